//! Readers: they return the content of a stream, and wait for more.

use std::sync::Arc;

use bytes::Bytes;

use super::error::Error;
use super::read_budget::Held;
use super::read_view::{Deleted, End, ReadableStream};
use super::rules::Refusal;
use super::segments::{Found, read_segments};
use super::shared::Shared;
use super::wire::{Begin, ContentType, Following, Kind, Lifetime, Offset, text_until};
use crate::store::Pace;

/// A position in one life of a stream. As long as there is a reader, a stream with a `Stream-TTL` does not expire.
pub struct Reader {
    shared: Shared,
    stream: Arc<ReadableStream>,
    position: u64,
    _in_use: Option<InUse>,
}

/// Reads that are longer wait for others from the disk.
const LONG_READ_BYTES: u64 = 512 * 1024;

/// The form in which content that was read is kept for its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoded {
    /// It is sent as it is.
    No,
    /// It is copied into events.
    Events,
}

impl Encoded {
    /// Returns the bytes that content takes; `is_copy` if the store does not have it in memory anyway.
    fn bytes_of(self, bytes: usize, is_copy: bool) -> usize {
        let read = if is_copy { bytes } else { 0 };
        match self {
            Self::No => read,
            // Base64 is a third longer.
            Self::Events => read + bytes.saturating_add(bytes / 3),
        }
    }
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
            // One beyond the end is at the end.
            Begin::After(offset) => match stream.layout().position_of(offset) {
                Some(position) => position.min(tail),
                None => return Err(Error::OffsetGone { path: stream.path.clone(), offset }),
            },
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
        self.stream.life()
    }

    /// Returns true if only this life of this stream has offsets of the era of this one: neither a fork's source has, nor
    /// another stream from before there were eras.
    pub(super) fn is_of_own_era(&self, offset: Offset) -> bool {
        let own = self.stream.layout().era;
        own != 0 && offset.era() == own
    }

    /// Returns the content from the current position on, and advances past it: whole appends of at most `bytes_max` bytes
    /// in all, but at least one append if there is one. From a position inside an append, the whole of it is returned, as if
    /// the reader had been at its beginning, unless an event of text ended there. Errors: [`Error::Refused`] if the stream was deleted, [`Error::Damaged`],
    /// [`Error::StoreRead`]. Cancel-safe.
    pub async fn take(&mut self, bytes_max: usize) -> Result<Slice, Error> {
        let end = alive(&self.stream)?;
        self.take_until((end.tail, end.closed), bytes_max).await
    }

    /// Does as [`Reader::take`] for a stream that ends at this position, and is closed there if that is true. Cancel-safe.
    pub(super) async fn take_until(&mut self, (end, closed): (u64, bool), bytes_max: usize) -> Result<Slice, Error> {
        let start = self.position.min(end);
        let Found { start, chunks, next } = match start == end {
            true => Found { start, chunks: Vec::new(), next: start },
            false => self.read(start, end, bytes_max).await?,
        };
        self.position = next;
        self.shared.metrics().bytes_read.inc_by(next - start);
        let up_to_date = next == end;
        let (start, next) = (self.stream.offset_at(start), self.stream.offset_at(next));
        Ok(Slice { chunks, start, next, up_to_date, closed: up_to_date && closed })
    }

    /// Does as [`Reader::take_until`], and counts what it returns as memory that readers hold, as far as the store does not have it
    /// in memory anyway. With `encoded`, it counts as much as it takes once it is encoded for this reader. Cancel-safe.
    /// Errors: also [`Error::ManyReaders`].
    pub(super) async fn take_held(
        &mut self,
        (end, closed): (u64, bool),
        bytes_max: usize,
        encoded: Encoded,
    ) -> Result<(Slice, Held), Error> {
        let (budget, start) = (self.shared.inner.read_budget.clone(), self.position);
        let is_copy = self.shared.store().pace() == Pace::Blocking;
        // A short read has a short append, or a part of one.
        let reading = if is_copy && end - start.min(end) > LONG_READ_BYTES { budget.read().await } else { None };
        let slice = self.take_until((end, closed), bytes_max).await?;
        let bytes = encoded.bytes_of(slice.chunks.iter().map(Bytes::len).sum(), is_copy);
        if let Some(held) = budget.try_hold(bytes) {
            return Ok((slice, held));
        }
        drop((slice, reading));
        self.position = start;
        let held = budget.hold(bytes).await?;
        let reading = if is_copy { budget.read().await } else { None };
        let slice = self.take_until((end, closed), bytes_max).await?;
        drop(reading);
        Ok((slice, held))
    }

    /// The stream.
    pub(super) fn stream(&self) -> &Arc<ReadableStream> {
        &self.stream
    }

    /// Returns the position up to which the stream can be read from here to `end`, as far as that is known.
    pub(super) fn readable_until(&self, end: u64) -> u64 {
        self.stream.readable_until(self.position, end)
    }

    /// The offset of a position.
    pub(super) fn offset_at(&self, position: u64) -> Offset {
        self.stream.offset_at(position)
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
        self.stream.offset_at(self.position - bytes as u64)
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

    /// Returns true for a position inside an append at which events of text end, because the rest of the append waits for
    /// more text. A reader that goes on there, live or not, gets only the rest.
    async fn is_between_events(&self, position: u64, end: u64) -> bool {
        if self.content_type().kind() != Kind::Text {
            return false;
        }
        let append = read_segments(self.shared.store(), &self.stream, (position, end), 1).await;
        let rest = append.map(|append| append.cut_before(position).chunks.concat());
        rest.is_ok_and(|rest| text_until(&rest, Following::More) == Some(0))
    }

    async fn read(&self, start: u64, end: u64, bytes_max: usize) -> Result<Found, Error> {
        let read = match read_segments(self.shared.store(), &self.stream, (start, end), bytes_max).await {
            Ok(found) if found.start < start && self.is_between_events(start, end).await => Ok(found.cut_before(start)),
            read => read,
        };
        read.or_else(|error| {
            // A read may fail because the stream was removed meanwhile: that is no fault of the store.
            alive(&self.stream)?;
            if let Error::Damaged { offset, .. } = &error {
                self.stream.note_damage(offset.position());
            }
            Err(error)
        })
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
