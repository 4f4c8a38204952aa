//! The beginning, the close and the end of streams, as events.

use crate::streams::wire::{ContentType, Offset, StreamPath};

/// What happened to a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happened {
    /// It was created from nothing.
    Created,
    /// It was created from the content of another one.
    Forked {
        /// The other one.
        source: String,
        /// Where it was forked.
        offset: Offset,
        /// How many messages, or bytes, behind that offset it has in addition.
        sub_offset: u64,
    },
    /// It was closed: there will be no more content.
    Closed,
    /// Somebody deleted it.
    Deleted,
    /// Its time was over.
    Expired,
}

/// The beginning, the close or the end of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleEvent {
    /// The stream.
    pub path: StreamPath,
    /// What happened to it.
    pub happened: Happened,
    /// When it was decided, in milliseconds since 1970.
    pub at_ms: u64,
    /// Its media type.
    pub content_type: ContentType,
    /// Whether it is closed by then; a stream can be created closed.
    pub closed: bool,
    /// Where the registry goes on behind this event; `None` if none is kept.
    pub registry_next: Option<Offset>,
}
