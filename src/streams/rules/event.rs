//! The beginning, the close and the end of streams, as events.

use crate::streams::wire::{ContentType, Offset, StreamPath};

/// An event in the life of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happened {
    /// It was created.
    Created,
    /// It was created as a fork of another stream.
    Forked {
        /// The other stream.
        source: String,
        /// The offset at which it was forked.
        offset: Offset,
        /// The number of messages, or bytes, after that offset that it also contains.
        sub_offset: u64,
    },
    /// It was closed: there will be no more content.
    Closed,
    /// It was deleted.
    Deleted,
    /// Its lifetime was over.
    Expired,
}

/// The creation, the close or the end of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleEvent {
    /// The stream.
    pub path: StreamPath,
    /// The kind of event.
    pub happened: Happened,
    /// The time of the decision, in milliseconds since 1970.
    pub at_ms: u64,
    /// The media type of the stream.
    pub content_type: ContentType,
    /// True if the stream is closed after this; it can be created closed.
    pub closed: bool,
    /// The offset in the registry after this event; `None` if there is no registry.
    pub registry_next: Option<Offset>,
}
