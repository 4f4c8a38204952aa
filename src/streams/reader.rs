//! Readers: they return the content of a stream, and wait for more.

use std::sync::Arc;

use bytes::Bytes;

use super::error::Error;
use super::read_view::{Deleted, End, ReadableStream};
use super::rules::Refusal;
use super::segments::read_segments;
use super::shared::Shared;
use super::wire::{Begin, ContentType, Lifetime, Offset};

/// A position in one life of a stream. As long as there is a reader, a stream with a `Stream-TTL` does not expire.
pub struct Reader {
    shared: Shared,
    stream: Arc<ReadableStream>,
    position: u64,
    _in_use: Option<InUse>,
}

/// The result of a read.
#[derive(Debug, Clone)]
pub struct Slice {
    /// The bytes of whole appends, shared with the store. In a JSON stream, messages with a comma after each.
    pub chunks: Vec<Bytes>,
    /// The offset where it begins.
    pub start: Offset,
    /// The offset where it ends and the next read begins.
    pub next: Offset,
    /// True if it reaches the end of the stream.
    pub up_to_date: bool,
    /// True if it reaches the end of a closed stream: there will never be more.
    pub closed: bool,
}

impl Slice {
    /// Returns true if it has no content.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

impl Reader {
    pub(super) fn open(shared: &Shared, stream: Arc<ReadableStream>, begin: Begin) -> Result<Self, Error> {
        let tail = alive(&stream)?.tail;
        let position = match begin {
            Begin::Start => 0,
            Begin::Now => tail,
            // An offset beyond the end is from another life of the stream: the reader continues at the end.
            Begin::After(offset) => offset.position().unwrap_or(u64::MAX).min(tail),
        };
        let idle = matches!(stream.lifetime, Lifetime::Idle { .. });
        let in_use = idle.then(|| InUse::begin(shared, &stream)).transpose()?;
        Ok(Self { shared: shared.clone(), stream, position, _in_use: in_use })
    }

    /// The media type of the stream.
    pub fn content_type(&self) -> &ContentType {
        &self.stream.content_type
    }

    /// The lifetime of the stream.
    pub fn lifetime(&self) -> &Lifetime {
        &self.stream.lifetime
    }

    /// A number that identifies this life of the stream.
    pub fn life(&self) -> u64 {
        self.stream.log
    }

    /// Returns the content from the current position on, and advances past it: whole appends of at most `bytes_max` bytes
    /// in all, but at least one append if there is one. Errors: [`Error::Refused`] if the stream was deleted,
    /// [`Error::NoOffset`], [`Error::Damaged`], [`Error::StoreRead`]. Cancel-safe.
    pub async fn take(&mut self, bytes_max: usize) -> Result<Slice, Error> {
        let end = alive(&self.stream)?;
        let start = self.position.min(end.tail);
        let (chunks, next) = match start == end.tail {
            true => (Vec::new(), start),
            false => self.read(start, end.tail, bytes_max).await?,
        };
        self.position = next;
        self.shared.metrics().bytes_read.inc_by(next - start);
        let up_to_date = next == end.tail;
        let (start, next) = (Offset::at(start), Offset::at(next));
        Ok(Slice { chunks, start, next, up_to_date, closed: up_to_date && end.closed })
    }

    /// The stream.
    pub(super) fn stream(&self) -> &Arc<ReadableStream> {
        &self.stream
    }

    /// Returns the current position, the end of the stream, and true if that is closed. Errors: [`Error::Refused`] if the
    /// stream was deleted.
    pub(super) fn position_and_end(&self) -> Result<(u64, u64, bool), Error> {
        let end = alive(&self.stream)?;
        Ok((self.position.min(end.tail), end.tail, end.closed))
    }

    /// Returns to an earlier position: the next read returns the content after it again.
    pub(super) fn return_to(&mut self, position: u64) {
        self.position = position;
    }

    /// Returns true if it is at the end of a closed stream. Errors: [`Error::Refused`] if the stream was deleted.
    pub(super) fn is_at_closed_end(&self) -> Result<bool, Error> {
        let end = alive(&self.stream)?;
        Ok(end.closed && self.position >= end.tail)
    }

    /// The current position.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The offset `bytes` before the current position, which must not be more than were read.
    pub(super) fn offset_before(&self, bytes: usize) -> Offset {
        Offset::at(self.position - bytes as u64)
    }

    /// Advances past content that the caller got elsewhere.
    pub(super) fn advance_to(&mut self, position: u64) {
        self.shared.metrics().bytes_read.inc_by(position - self.position.min(position));
        self.position = position;
    }

    /// Waits until there is content after the current position, or the stream is closed or deleted. Cancel-safe.
    pub async fn more(&self) {
        let position = self.position;
        self.stream.wait_for(move |end| end.tail > position || end.closed || end.deleted.is_some()).await;
    }

    async fn read(&self, start: u64, end: u64, bytes_max: usize) -> Result<(Vec<Bytes>, u64), Error> {
        let read = read_segments(self.shared.store(), &self.stream, (start, end), bytes_max).await;
        // A read may fail because the stream was removed meanwhile: that is no fault of the store.
        read.or_else(|error| alive(&self.stream).and(Err(error)))
    }
}

fn alive(stream: &ReadableStream) -> Result<End, Error> {
    let end = stream.end();
    match end.deleted {
        None => Ok(end),
        Some(Deleted::Removed) => Err(Refusal::NotFound { path: stream.path.clone() }.into()),
        Some(Deleted::KeptForForks) => Err(Refusal::Deleted { path: stream.path.clone() }.into()),
    }
}

/// Keeps a stream from expiring until it is dropped.
struct InUse {
    shared: Shared,
    stream: Arc<ReadableStream>,
}

impl InUse {
    fn begin(shared: &Shared, stream: &Arc<ReadableStream>) -> Result<Self, Error> {
        shared.with_ledger(|ledger, now_ms| ledger.follow(now_ms, &stream.path))?;
        Ok(Self { shared: shared.clone(), stream: Arc::clone(stream) })
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let stream = &self.stream;
        self.shared.with_ledger(|ledger, now_ms| ledger.unfollow(now_ms, &stream.path, stream.log));
    }
}
