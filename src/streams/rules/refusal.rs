//! Refusals of commands.

use crate::streams::wire::{JsonError, Offset, StreamPath};

/// The reason why a command was refused. The text is for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The stream does not exist, or has expired.
    #[error("there is no stream {path}")]
    NotFound {
        /// The stream.
        path: StreamPath,
    },
    /// The stream was deleted, or has expired, and its content is kept for its forks only.
    #[error("the stream {path} was deleted")]
    Deleted {
        /// The stream.
        path: StreamPath,
    },
    /// The stream can be changed by the server only.
    #[error("the stream {path} is the server's own: it can be read and followed, but not changed")]
    ReadOnly {
        /// The stream.
        path: StreamPath,
    },
    /// The name is taken by a deleted stream that is kept for its forks.
    #[error("the name {path} is taken by a deleted stream that still has forks")]
    NameHeld {
        /// The stream.
        path: StreamPath,
    },
    /// A stream of this name exists with another configuration.
    #[error("the stream {path} exists with {difference}")]
    Exists {
        /// The stream.
        path: StreamPath,
        /// The difference.
        difference: &'static str,
    },
    /// The request has no body and does not close the stream.
    #[error("the body is empty: there is nothing to append")]
    EmptyBody,
    /// The body has no media type.
    #[error("a body needs a Content-Type")]
    NoContentType,
    /// The media type of the body is not that of the stream.
    #[error("the content type of the stream is {stream}, that of the request is {request}")]
    ContentTypeDiffers {
        /// The type of the stream.
        stream: String,
        /// The type in the request.
        request: String,
    },
    /// The stream is closed.
    #[error("the stream {path} is closed at {tail}")]
    Closed {
        /// The stream.
        path: StreamPath,
        /// The offset of its end.
        tail: Offset,
    },
    /// `Stream-Seq` is not greater than the last one.
    #[error("Stream-Seq {got:?} does not come after {last:?}")]
    SeqRegressed {
        /// The last one.
        last: String,
        /// The value in the request.
        got: String,
    },
    /// The body is not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The body is an empty array, which has no messages.
    #[error("the array is empty: there is nothing to append")]
    NoMessages,
    /// The producer has a newer epoch.
    #[error("the producer has moved on to epoch {current}")]
    ProducerFenced {
        /// The current epoch.
        current: u64,
    },
    /// The stream has forgotten the producer, and cannot know if it has this request already.
    #[error(
        "the stream has forgotten this producer of epoch {epoch}, because many others came after its last request, and cannot \
         know if it has this one already: look at the end of the stream, and begin epoch {} with Producer-Seq 0",
        epoch + 1
    )]
    ProducerForgotten {
        /// The epoch of the producer.
        epoch: u64,
    },
    /// A new epoch begins with another number than 0.
    #[error("a new epoch begins with Producer-Seq 0, not {seq}")]
    EpochBegins {
        /// The value in the request.
        seq: u64,
    },
    /// Requests of the producer are missing before this one.
    #[error("the next Producer-Seq is {expected}, not {received}")]
    ProducerGap {
        /// The next number.
        expected: u64,
        /// The value in the request.
        received: u64,
    },
    /// The stream to fork does not exist.
    #[error("there is no stream {source_path} to fork")]
    SourceNotFound {
        /// The source.
        source_path: StreamPath,
    },
    /// The stream to fork was deleted, and is kept for its forks only.
    #[error("the stream {source_path} was deleted and takes no new forks")]
    SourceDeleted {
        /// The source.
        source_path: StreamPath,
    },
    /// The stream to fork is the server's own.
    #[error("the stream {source_path} is the server's own and takes no forks")]
    SourceReadOnly {
        /// The source.
        source_path: StreamPath,
    },
    /// The offset is beyond the end of the source, or from another life of it.
    #[error(
        "{source_path} cannot be forked at {offset}: expected an offset of the source as it is now, at most its end"
    )]
    ForkOffset {
        /// The source.
        source_path: StreamPath,
        /// The offset.
        offset: Offset,
    },
    /// The append after the offset is shorter than the sub-offset, or there is none.
    #[error("Stream-Fork-Sub-Offset is {sub_offset}, but the append after the offset is shorter")]
    ForkSubOffset {
        /// The value in the request.
        sub_offset: u64,
    },
    /// Too many streams would hold parts of the fork.
    #[error("a fork may have parts in at most {segments_max} streams")]
    ForksTooDeep {
        /// The limit.
        segments_max: usize,
    },
    /// The content does not fit.
    #[error("the streams are full: the limit is {bytes_max} bytes")]
    Full {
        /// The limit.
        bytes_max: u64,
    },
    /// There are too many streams.
    #[error("there are too many streams: the limit is {streams_max}")]
    TooManyStreams {
        /// The limit.
        streams_max: usize,
    },
    /// The streams have too much besides their content: names, types, producers.
    #[error(
        "names, types and producers of all streams have reached the limit of {bytes_max} bytes (streams.metadata_bytes_max): \
         nothing can be created until streams are deleted"
    )]
    MetadataFull {
        /// The limit.
        bytes_max: u64,
    },
    /// The stream has too many producers, and has forgotten as many as it can.
    #[error(
        "the stream has too many new producers: the limit is {producers_max}, and {bytes_max} bytes; try again later, or send \
         without a producer"
    )]
    TooManyProducers {
        /// The limit.
        producers_max: usize,
        /// The limit of their bytes.
        bytes_max: u64,
    },
    /// Offsets cannot express a longer stream.
    #[error("the stream {path} has reached the maximum length of a stream")]
    TooLong {
        /// The stream.
        path: StreamPath,
    },
}
