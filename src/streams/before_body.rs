//! Refusals of requests before their bodies are read: a body that nothing can take costs nothing.
//!
//! The decision checks everything again, once the body is there. What depends on the body, or may change until then in favour of
//! the client, is left to it.

use axum::body::{Body, HttpBody};

use super::error::Error;
use super::read_view::Deleted;
use super::rules::Refusal;
use super::service::Streams;
use super::wire::{AppendRequest, CreateRequest, Lifetime, StreamPath};

/// Bodies of which it is checked beforehand that there is space for them.
const LARGE_BYTES_MIN: u64 = 64 * 1024;

/// The size of a body that was not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Announced {
    /// There is none.
    Nothing,
    /// That many bytes, at least one.
    Bytes(u64),
    /// It comes in chunks, or with a coding, and may turn out to be empty.
    Unknown,
}

impl Announced {
    pub(super) fn by(body: &Body) -> Self {
        match (body.is_end_stream(), body.size_hint().exact()) {
            (true, _) | (_, Some(0)) => Self::Nothing,
            (false, Some(bytes)) => Self::Bytes(bytes),
            (false, None) => Self::Unknown,
        }
    }
}

/// Refuses an append that would be refused with any body. Errors: [`Error::Refused`], [`Error::Draining`], [`Error::NoRoom`].
pub(super) fn check_append(
    streams: &Streams,
    path: &StreamPath,
    request: &AppendRequest,
    announced: Announced,
) -> Result<(), Error> {
    streams.check_accepting()?;
    let checked = refusal_of_append(streams, path, request, announced);
    count(streams, checked)?;
    check_space(streams, announced)
}

/// Refuses a creation that would be refused with any body. Errors: as for [`check_append`].
pub(super) fn check_create(
    streams: &Streams,
    path: &StreamPath,
    request: &CreateRequest,
    announced: Announced,
) -> Result<(), Error> {
    streams.check_accepting()?;
    if announced == Announced::Nothing {
        return Ok(());
    }
    count(streams, streams.with_ledger(|ledger, now_ms| ledger.check_create(now_ms, path, request)))?;
    check_space(streams, announced)
}

/// Looks at what readers see, without the lock that decisions need.
fn refusal_of_append(
    streams: &Streams,
    path: &StreamPath,
    request: &AppendRequest,
    announced: Announced,
) -> Result<(), Refusal> {
    if path.is_registry() {
        return Err(Refusal::ReadOnly { path: path.clone() });
    }
    let not_found = || Refusal::NotFound { path: path.clone() };
    let stream = streams.writer().view().find(path).ok_or_else(not_found)?;
    let end = stream.end();
    match (end.deleted, &stream.lifetime) {
        (Some(Deleted::KeptForForks), _) => return Err(Refusal::Deleted { path: path.clone() }),
        (Some(Deleted::Removed), _) => return Err(not_found()),
        (None, Lifetime::Until { at_ms, .. }) if *at_ms <= streams.now_ms() => return Err(not_found()),
        (None, _) => {}
    }
    // A close without content may come in zero chunks.
    if announced == Announced::Nothing || (announced == Announced::Unknown && request.closed) {
        return Ok(());
    }
    let Some(content_type) = &request.content_type else { return Err(Refusal::NoContentType) };
    if end.closed {
        // A producer may repeat the request that closed the stream.
        let tail = stream.offset_at(end.tail);
        return if request.producer.is_some() { Ok(()) } else { Err(Refusal::Closed { path: path.clone(), tail }) };
    }
    if *content_type != stream.content_type {
        let (stream, request) = (stream.content_type.as_str().into(), content_type.as_str().into());
        return Err(Refusal::ContentTypeDiffers { stream, request });
    }
    Ok(())
}

fn check_space(streams: &Streams, announced: Announced) -> Result<(), Error> {
    let Announced::Bytes(bytes @ LARGE_BYTES_MIN..) = announced else { return Ok(()) };
    streams.writer().reserve(bytes)?;
    count(streams, streams.with_ledger(|ledger, _| ledger.check_content(bytes)))
}

fn count(streams: &Streams, checked: Result<(), Refusal>) -> Result<(), Error> {
    if checked.is_err() {
        streams.metrics().refused.inc();
    }
    Ok(checked?)
}
