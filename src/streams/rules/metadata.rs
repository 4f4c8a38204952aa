//! The bytes that streams take besides their content, and their limit.

use super::ledger::Ledger;
use super::refusal::Refusal;
use super::stream::Stream;
use crate::streams::wire::{Lifetime, StreamEntry, StreamPath};

/// Approximate bytes of a stream, in memory, in the store and in the registry, besides its texts.
const STREAM_BYTES: u64 = 1024;

/// Copies of each text: for the rules, in the store, and in the registry, which has the path twice.
pub(super) const TEXT_COPIES: u64 = 4;

/// Approximate bytes of an inherited segment.
const SEGMENT_BYTES: u64 = 96;

/// The part of the limit by which existing streams may exceed it: they may get producers and sequences while no stream can
/// be created.
const RESERVED_PART: u64 = 8;

/// Approximate bytes of a stream without its producers.
pub(super) fn bytes_of(path: &StreamPath, entry: &StreamEntry) -> u64 {
    let lifetime = match &entry.lifetime {
        Lifetime::Unlimited | Lifetime::Idle { .. } => 0,
        Lifetime::Until { text, .. } => text.len(),
    };
    let closed_by = entry.closed.as_ref().and_then(|closing| closing.by.as_ref()).map_or(0, |stamp| stamp.id.len());
    let source = entry.origin.as_ref().map_or(0, |origin| origin.source.len());
    let seq = entry.last_seq.as_ref().map_or(0, |seq| seq.len());
    let texts = path.as_str().len() + entry.content_type.as_str().len() + lifetime + closed_by + source + seq;
    STREAM_BYTES + TEXT_COPIES * texts as u64 + SEGMENT_BYTES * entry.inherited.len() as u64
}

impl Ledger {
    /// The approximate bytes of all streams besides their content.
    pub(crate) fn metadata_bytes(&self) -> u64 {
        self.metadata_bytes
    }

    /// Checks that a new stream fits. Errors: [`Refusal::MetadataFull`].
    pub(super) fn check_new(&self, path: &StreamPath, entry: &StreamEntry) -> Result<(), Refusal> {
        self.check_metadata(bytes_of(path, entry), self.limits.metadata_bytes_max)
    }

    /// Checks that any new stream fits. Errors: [`Refusal::MetadataFull`].
    pub(super) fn check_any_new(&self) -> Result<(), Refusal> {
        self.check_metadata(STREAM_BYTES, self.limits.metadata_bytes_max)
    }

    /// Checks that an existing stream may take more. Errors: [`Refusal::MetadataFull`].
    pub(super) fn check_more(&self, bytes: u64) -> Result<(), Refusal> {
        self.check_metadata(bytes, self.metadata_bytes_reserved_max())
    }

    /// The bytes that one stream may take for its producers.
    pub(super) fn producers_bytes_left(&self, stream: &Stream) -> u64 {
        let others = self.metadata_bytes - stream.producers_bytes();
        self.metadata_bytes_reserved_max().saturating_sub(others)
    }

    /// Counts a stream as it is now.
    pub(super) fn count_metadata(&mut self, path: &StreamPath) {
        let Some(stream) = self.streams.get_mut(path) else { return };
        let bytes = bytes_of(path, &stream.entry) + stream.producers_bytes();
        let counted = std::mem::replace(&mut stream.counted_bytes, bytes);
        self.metadata_bytes = self.metadata_bytes - counted + bytes;
    }

    fn check_metadata(&self, bytes: u64, bytes_max: u64) -> Result<(), Refusal> {
        match self.metadata_bytes.saturating_add(bytes) > bytes_max {
            true => Err(Refusal::MetadataFull { bytes_max: self.limits.metadata_bytes_max }),
            false => Ok(()),
        }
    }

    fn metadata_bytes_reserved_max(&self) -> u64 {
        self.limits.metadata_bytes_max.saturating_add(self.limits.metadata_bytes_max / RESERVED_PART)
    }
}
