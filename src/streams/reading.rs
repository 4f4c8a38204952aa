//! Reading a stream, and waiting for more of it.

use std::sync::Arc;

use bytes::Bytes;

use super::error::Error;
use super::read_view::{Deleted, End, ReadableStream};
use super::rules::Refusal;
use super::segments::read_segments;
use super::shared::Shared;
use super::wire::{Begin, ContentType, Lifetime, Offset};

/// Somebody who reads one life of a stream, from a place on. While a reader lives, a stream with a `Stream-TTL` does not
/// expire.
pub struct Reader {
    shared: Shared,
    stream: Arc<ReadableStream>,
    position: u64,
    _following: Option<Following>,
}

/// What a read gave.
#[derive(Debug, Clone)]
pub struct Slice {
    /// The bytes, shared with the store; whole appends. In a JSON stream, messages with a comma behind each.
    pub chunks: Vec<Bytes>,
    /// Where it begins.
    pub start: Offset,
    /// Where it ends, and the next read begins.
    pub next: Offset,
    /// Whether it reaches the end of the stream.
    pub up_to_date: bool,
    /// Whether it reaches the end of a closed stream: there will never be more.
    pub closed: bool,
}

impl Slice {
    /// Whether there is nothing in it.
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
            // Beyond the end there is nothing to wait for: a reader that comes from another life goes on from here.
            Begin::After(offset) => offset.position().unwrap_or(u64::MAX).min(tail),
        };
        let idle = matches!(stream.lifetime, Lifetime::Idle { .. });
        let following = idle.then(|| Following::begin(shared, &stream)).transpose()?;
        Ok(Self { shared: shared.clone(), stream, position, _following: following })
    }

    /// The media type of the stream.
    pub fn content_type(&self) -> &ContentType {
        &self.stream.content_type
    }

    /// How long the stream lives.
    pub fn lifetime(&self) -> &Lifetime {
        &self.stream.lifetime
    }

    /// A number that tells this life of the stream from all others.
    pub fn life(&self) -> u64 {
        self.stream.log
    }

    /// What there is from here on, as much as fits into `bytes_max`, at least one append; the next call goes on behind
    /// it. Errors: [`Error::Refused`] when the stream is gone, [`Error::NoOffset`], [`Error::Damaged`],
    /// [`Error::StoreRead`].
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

    /// What it reads, for whoever knows already what a step gives.
    pub(super) fn stream(&self) -> &Arc<ReadableStream> {
        &self.stream
    }

    /// Where it stands, where the stream ends, and whether that is for ever. Errors: [`Error::Refused`] when the stream is
    /// gone.
    pub(super) fn way_to_end(&self) -> Result<(u64, u64, bool), Error> {
        let end = alive(&self.stream)?;
        Ok((self.position.min(end.tail), end.tail, end.closed))
    }

    /// Goes on behind what was read by somebody else.
    pub(super) fn pass_to(&mut self, position: u64) {
        self.shared.metrics().bytes_read.inc_by(position - self.position.min(position));
        self.position = position;
    }

    /// Waits until there is something behind the place of the reader, or the stream is closed or gone. Cancel-safe.
    pub async fn more(&self) {
        let position = self.position;
        self.stream.wait_for(move |end| end.tail > position || end.closed || end.deleted.is_some()).await;
    }

    async fn read(&self, start: u64, end: u64, bytes_max: usize) -> Result<(Vec<Bytes>, u64), Error> {
        let read = read_segments(self.shared.store(), &self.stream, (start, end), bytes_max).await;
        // Whoever reads while the stream is removed may find nothing; that is no defect of the store.
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

/// Keeps a stream in use as long as it lives.
struct Following {
    shared: Shared,
    stream: Arc<ReadableStream>,
}

impl Following {
    fn begin(shared: &Shared, stream: &Arc<ReadableStream>) -> Result<Self, Error> {
        shared.with_ledger(|ledger, now_ms| ledger.follow(now_ms, &stream.path))?;
        Ok(Self { shared: shared.clone(), stream: Arc::clone(stream) })
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let stream = &self.stream;
        self.shared.with_ledger(|ledger, now_ms| ledger.unfollow(now_ms, &stream.path, stream.log));
    }
}
