//! Errors of the streams.

use std::sync::Arc;
use std::time::Duration;

use super::rules::Refusal;
use super::wire::{EntryError, Offset, RequestError, StreamPath};
use crate::http::{Kind, Problem};
use crate::log_limit::LogLimit;
use crate::store::{self, CommitError};

/// The reason why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The request is malformed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The rules refuse the request; nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The offset is from another life of the stream.
    #[error(
        "{offset} is not an offset of this stream {path}: it was deleted and made again since, or damage cost it records; \
         read it from the start, offset=-1"
    )]
    OffsetGone {
        /// The stream.
        path: StreamPath,
        /// The offset.
        offset: Offset,
    },
    /// Too much is waiting to be written; nothing has changed.
    #[error("{bytes} bytes wait to be written, try again later")]
    Busy {
        /// The size of what is waiting.
        bytes: usize,
    },
    /// Readers have not taken what was read for them.
    #[error(
        "readers hold {bytes_max} bytes that were read for them, which is the maximum (streams.reading_bytes_max): try again later"
    )]
    ManyReaders {
        /// The maximum.
        bytes_max: usize,
    },
    /// The store failed, now or earlier. It is unknown whether a write that got this answer survives a restart.
    #[error("the store failed, nothing is accepted until the server is restarted: {cause}")]
    StoreFailed {
        /// The store's reason.
        cause: String,
    },
    /// The content at the offset cannot be read; content elsewhere can.
    #[error("the stream {path} is damaged at {offset}, it can be read on from {until}: {cause}")]
    Damaged {
        /// The stream.
        path: StreamPath,
        /// The offset where the damage begins, or that of a read inside it.
        offset: Offset,
        /// The offset after it, where a read can go on.
        until: Offset,
        /// The store's reason.
        cause: String,
    },
    /// The disk is full, except for a reserve; nothing has changed.
    #[error("{0}")]
    NoRoom(String),
    /// The store cannot work now, because the system refuses something that it needs. Nothing is damaged or has changed.
    #[error("{cause}")]
    Unavailable {
        /// The condition of the system.
        cause: String,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(Arc<store::Error>),
    /// The store cannot be read.
    #[error("the store cannot be read: {cause}")]
    StoreRead {
        /// The store's reason.
        cause: String,
    },
    /// An entry in the store is malformed.
    #[error(transparent)]
    MalformedEntry(#[from] EntryError),
    /// The server is shutting down.
    #[error("the server is shutting down")]
    Draining,
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::DiskFull { .. } => Self::NoRoom(error.to_string()),
            error if error.is_temporary() => Self::Unavailable { cause: error.to_string() },
            error => Self::StoreRead { cause: error.to_string() },
        }
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Busy { bytes } => Self::Busy { bytes },
            CommitError::Failed(failure) => Self::StoreFailed { cause: failure.to_string() },
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Request(RequestError::HeaderTooLong { .. }) => Kind::HeadersTooLarge,
            Error::Request(_) => Kind::InvalidRequest,
            Error::OffsetGone { .. } => Kind::Gone,
            Error::Refused(refusal) => kind_of(refusal),
            Error::Busy { .. } | Error::ManyReaders { .. } => Kind::Busy,
            Error::StoreFailed { .. } => Kind::StoreFailed,
            Error::Unavailable { .. } => Kind::Unavailable,
            Error::NoRoom(_) => Kind::Full,
            Error::Damaged { .. } => Kind::Damaged,
            Error::Store(_) | Error::StoreRead { .. } | Error::MalformedEntry(_) => Kind::Internal,
            Error::Draining => Kind::Draining,
        };
        if matches!(kind, Kind::Internal | Kind::Damaged) {
            static LINES: LogLimit = LogLimit::new();
            if let Some(left_out) = LINES.admit() {
                tracing::error!(%error, left_out, "cannot read a stream");
            }
        }
        if let Error::Damaged { path, offset, until, .. } = error {
            let detail = format!("the stream {path} is damaged at {offset}: its content before {until} is lost");
            return Self::new(kind, detail).member("until", &until.to_string());
        }
        let problem = Self::new(kind, &error);
        match kind {
            Kind::Internal => problem.with_detail("the stream cannot be read; the log has the cause".to_owned()),
            Kind::Busy | Kind::Draining | Kind::Unavailable => problem.retry_after(Duration::from_secs(1)),
            Kind::StoreFailed => problem.retry_after(Duration::from_secs(30)),
            _ => problem,
        }
    }
}

fn kind_of(refusal: &Refusal) -> Kind {
    match refusal {
        Refusal::NotFound { .. } | Refusal::SourceNotFound { .. } => Kind::NotFound,
        Refusal::Deleted { .. } => Kind::Gone,
        Refusal::ReadOnly { .. } => Kind::MethodNotAllowed,
        Refusal::NameHeld { .. }
        | Refusal::SourceDeleted { .. }
        | Refusal::SourceReadOnly { .. }
        | Refusal::ForksTooDeep { .. } => Kind::Conflict,
        Refusal::Exists { .. } => Kind::StreamExists,
        Refusal::EmptyBody
        | Refusal::NoContentType
        | Refusal::Json(_)
        | Refusal::NoMessages
        | Refusal::EpochBegins { .. }
        | Refusal::ForkOffset { .. }
        | Refusal::ForkSubOffset { .. } => Kind::InvalidRequest,
        Refusal::ContentTypeDiffers { .. } => Kind::ContentTypeMismatch,
        Refusal::Closed { .. } => Kind::StreamClosed,
        Refusal::SeqRegressed { .. } => Kind::SequenceConflict,
        Refusal::ProducerFenced { .. } | Refusal::ProducerForgotten { .. } => Kind::ProducerFenced,
        Refusal::ProducerGap { .. } => Kind::ProducerGap,
        Refusal::Full { .. }
        | Refusal::MetadataFull { .. }
        | Refusal::TooManyStreams { .. }
        | Refusal::TooLong { .. } => Kind::Full,
        Refusal::TooManyProducers { .. } => Kind::Busy,
    }
}
