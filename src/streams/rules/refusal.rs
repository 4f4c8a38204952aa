//! The reasons to say no.

use crate::streams::wire::{JsonError, Offset, StreamPath};

/// Why a command changed nothing. The text is for the person who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such stream, or it has expired.
    #[error("there is no stream {path}")]
    NotFound {
        /// The stream.
        path: StreamPath,
    },
    /// The stream was deleted, or has expired, and is only kept for its forks.
    #[error("the stream {path} was deleted")]
    Deleted {
        /// The stream.
        path: StreamPath,
    },
    /// Only the server writes the stream.
    #[error("the stream {path} is the server's own: it can be read and followed, and not be changed")]
    ReadOnly {
        /// The stream.
        path: StreamPath,
    },
    /// A stream that is kept for its forks holds the name.
    #[error("the name {path} is held by a deleted stream that still has forks")]
    NameHeld {
        /// The stream.
        path: StreamPath,
    },
    /// A stream of this name exists with another configuration.
    #[error("the stream {path} exists with {difference}")]
    Exists {
        /// The stream.
        path: StreamPath,
        /// What differs.
        difference: &'static str,
    },
    /// Nothing to append, and not to be closed either.
    #[error("the body is empty: there is nothing to append")]
    EmptyBody,
    /// Nobody said what the body is.
    #[error("a body needs its Content-Type")]
    NoContentType,
    /// The body is of another type than the stream.
    #[error("the stream holds {stream}, the request says {request}")]
    ContentTypeDiffers {
        /// What the stream was created with.
        stream: String,
        /// What the request says.
        request: String,
    },
    /// The stream takes nothing any more.
    #[error("the stream {path} is closed at {tail}")]
    Closed {
        /// The stream.
        path: StreamPath,
        /// Its last offset.
        tail: Offset,
    },
    /// `Stream-Seq` does not grow.
    #[error("Stream-Seq {got:?} does not come after {last:?}")]
    SeqRegressed {
        /// The greatest one so far.
        last: String,
        /// What the request says.
        got: String,
    },
    /// The body is no JSON.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// An empty array holds no message.
    #[error("the array is empty: there is nothing to append")]
    NoMessages,
    /// A newer life of the producer has taken over.
    #[error("the producer has moved on to epoch {current}")]
    ProducerFenced {
        /// The epoch in force.
        current: u64,
    },
    /// A new epoch that does not begin at its beginning.
    #[error("a new epoch begins with Producer-Seq 0, not {seq}")]
    EpochBegins {
        /// What the request says.
        seq: u64,
    },
    /// Requests of the producer are missing.
    #[error("the next Producer-Seq is {expected}, not {received}")]
    ProducerGap {
        /// What comes next.
        expected: u64,
        /// What the request says.
        received: u64,
    },
    /// There is nothing to fork.
    #[error("there is no stream {source_path} to fork")]
    SourceNotFound {
        /// The source.
        source_path: StreamPath,
    },
    /// The source was deleted and is only kept for the forks it has.
    #[error("the stream {source_path} was deleted and takes no new forks")]
    SourceDeleted {
        /// The source.
        source_path: StreamPath,
    },
    /// The source is the server's own.
    #[error("the stream {source_path} is the server's own and takes no forks")]
    SourceReadOnly {
        /// The source.
        source_path: StreamPath,
    },
    /// The place is beyond the source's end, or inside of an append.
    #[error("{offset} is no place where {source_path} can be forked")]
    ForkOffset {
        /// The source.
        source_path: StreamPath,
        /// The place.
        offset: Offset,
    },
    /// The append that follows has less in it, or there is none.
    #[error("Stream-Fork-Sub-Offset is {sub_offset}, but the append behind the offset has less in it")]
    ForkSubOffset {
        /// What the request says.
        sub_offset: u64,
    },
    /// A fork of a fork of a fork, and so on, too often.
    #[error("a fork may stand on at most {segments_max} streams")]
    ForksTooDeep {
        /// The bound.
        segments_max: usize,
    },
    /// There is no room for the content.
    #[error("the streams are full: they hold at most {bytes_max} bytes")]
    Full {
        /// The bound.
        bytes_max: u64,
    },
    /// There is no place for another stream.
    #[error("there is no place for another stream: there are {streams_max}")]
    TooManyStreams {
        /// The bound.
        streams_max: usize,
    },
    /// There is no place for another producer of this stream.
    #[error("there is no place for another producer of this stream: there are {producers_max}")]
    TooManyProducers {
        /// The bound.
        producers_max: usize,
    },
    /// The stream has got as long as offsets can tell.
    #[error("the stream {path} is as long as a stream can be")]
    TooLong {
        /// The stream.
        path: StreamPath,
    },
}
