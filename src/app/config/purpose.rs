//! The use of a configuration.

/// The use of a configuration: some settings are required by one command only, and only a command that uses a section minds
/// settings in it that have no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A sidecar, which requires a role.
    Sidecar,
    /// A sidecar that starts its service, and knows where to forward messages.
    SidecarOfChild,
    /// Broker, sidecar and edge in one process.
    Dev,
    /// A broker.
    Broker,
    /// A server of streams.
    Streams,
    /// A check of every section.
    Check,
    /// Any other use.
    Other,
}

impl Purpose {
    /// Returns true for a sidecar alone.
    pub(super) fn is_sidecar(self) -> bool {
        matches!(self, Self::Sidecar | Self::SidecarOfChild)
    }
}
