//! Limits of all streams.

/// Limits that the rules enforce.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) streams_max: usize,
    pub(crate) content_bytes_max: u64,
    /// Bytes that all streams may take besides their content.
    pub(crate) metadata_bytes_max: u64,
    /// Producers that a stream remembers, and the bytes that they may take.
    pub(crate) producers_max: usize,
    pub(crate) producers_bytes_max: u64,
    /// Forgotten producers of which a stream keeps a mark.
    pub(crate) producers_forgotten_max: usize,
    pub(crate) producer_idle_ms: u64,
    pub(crate) fork_segments_max: usize,
    /// True if there is a registry.
    pub(crate) registry: bool,
    /// Maximum time for which the registry keeps rows of streams that are gone.
    pub(crate) registry_gone_ms: u64,
    /// Maximum bytes of such rows, unless those of existing streams are more.
    pub(crate) registry_gone_bytes_max: u64,
}
