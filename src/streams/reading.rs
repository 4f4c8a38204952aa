//! Reading a stream, and waiting for more of it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::error::Error;
use super::rules::{Ledger, Refusal};
use super::service::Streams;
use super::shelf::{End, Gone, Shown};
use super::wire::{Begin, ContentType, Lifetime, Offset};
use crate::store::{self, LogId, Run, Store};

/// Somebody who reads one life of a stream, from a place on. While a reader lives, a stream with a `Stream-TTL` does not
/// expire.
pub struct Reader {
    streams: Streams,
    shown: Arc<Shown>,
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
    pub(super) fn open(streams: &Streams, shown: Arc<Shown>, begin: Begin) -> Result<Self, Error> {
        let tail = alive(&shown)?.tail;
        let position = match begin {
            Begin::Start => 0,
            Begin::Now => tail,
            // Beyond the end there is nothing to wait for: a reader that comes from another life goes on from here.
            Begin::After(offset) => offset.position().unwrap_or(u64::MAX).min(tail),
        };
        let idle = matches!(shown.lifetime, Lifetime::Idle { .. });
        let following = idle.then(|| Following::begin(streams, &shown)).transpose()?;
        Ok(Self { streams: streams.clone(), shown, position, _following: following })
    }

    /// The media type of the stream.
    pub fn content_type(&self) -> &ContentType {
        &self.shown.content_type
    }

    /// How long the stream lives.
    pub fn lifetime(&self) -> &Lifetime {
        &self.shown.lifetime
    }

    /// A number that tells this life of the stream from all others.
    pub fn life(&self) -> u64 {
        self.shown.log
    }

    /// What there is from here on, as much as fits into `bytes_max`, at least one append; the next call goes on behind
    /// it. Errors: [`Error::Refused`] when the stream is gone, [`Error::NoOffset`], [`Error::Damaged`],
    /// [`Error::StoreRead`].
    pub async fn take(&mut self, bytes_max: usize) -> Result<Slice, Error> {
        let end = alive(&self.shown)?;
        let start = self.position.min(end.tail);
        let (chunks, next) = match start == end.tail {
            true => (Vec::new(), start),
            false => self.read(start, end.tail, bytes_max).await?,
        };
        self.position = next;
        self.streams.metrics().bytes_read.inc_by(next - start);
        let up_to_date = next == end.tail;
        let (start, next) = (Offset::at(start), Offset::at(next));
        Ok(Slice { chunks, start, next, up_to_date, closed: up_to_date && end.closed })
    }

    /// What it reads, for whoever knows already what a step gives.
    pub(super) fn shown(&self) -> &Arc<Shown> {
        &self.shown
    }

    /// Where it stands, where the stream ends, and whether that is for ever. Errors: [`Error::Refused`] when the stream is
    /// gone.
    pub(super) fn way_to_end(&self) -> Result<(u64, u64, bool), Error> {
        let end = alive(&self.shown)?;
        Ok((self.position.min(end.tail), end.tail, end.closed))
    }

    /// Goes on behind what was read by somebody else.
    pub(super) fn pass_to(&mut self, position: u64) {
        self.streams.metrics().bytes_read.inc_by(position - self.position.min(position));
        self.position = position;
    }

    /// Waits until there is something behind the place of the reader, or the stream is closed or gone. Cancel-safe.
    pub async fn more(&self) {
        let position = self.position;
        self.shown.reaches(move |end| end.tail > position || end.closed || end.gone.is_some()).await;
    }

    async fn read(&self, start: u64, end: u64, bytes_max: usize) -> Result<(Vec<Bytes>, u64), Error> {
        let read = read_segments(self.streams.store(), &self.shown, (start, end), bytes_max).await;
        // Whoever reads while the stream is removed may find nothing; that is no defect of the store.
        read.or_else(|error| alive(&self.shown).and(Err(error)))
    }
}

/// Bytes, and where they end.
type Found = (Vec<Bytes>, u64);

/// Reads through all of the logs that hold the range: on this thread what the store has at hand, on another one what it
/// has to fetch.
pub(super) async fn read_segments(
    store: &Arc<dyn Store>,
    shown: &Arc<Shown>,
    range: (u64, u64),
    bytes_max: usize,
) -> Result<Found, Error> {
    let at_hand = read_each(shown, range, bytes_max, |log, range, left| store.read_now(log, range, left));
    if let Some(read) = at_hand {
        return read;
    }
    let (store, shown) = (Arc::clone(store), Arc::clone(shown));
    let fetching = move || read_each(&shown, range, bytes_max, |log, range, left| Some(store.read(log, range, left)));
    match tokio::task::spawn_blocking(fetching).await {
        Ok(read) => read.expect("a read that may block always tells something"),
        Err(error) => Err(Error::StoreRead { cause: error.to_string() }),
    }
}

/// `None` if one of the reads is.
fn read_each(
    shown: &Shown,
    (start, end): (u64, u64),
    bytes_max: usize,
    read: impl Fn(LogId, Range<u64>, usize) -> Option<Result<Run, store::Error>>,
) -> Option<Result<Found, Error>> {
    let (mut at, mut chunks, mut left) = (start, Vec::new(), bytes_max);
    for segment in shown.segments().filter(|segment| segment.until > start) {
        let until = segment.until.min(end);
        let run = match read(LogId(segment.log), at..until, left)? {
            Ok(run) => run,
            Err(error) => return Some(Err(reading_failed(shown, start, error))),
        };
        left = left.saturating_sub(usize::try_from(run.end - at).unwrap_or(usize::MAX));
        at = run.end;
        chunks.extend(run.chunks);
        if at < until || at == end || left == 0 {
            break;
        }
    }
    Some(Ok((chunks, at)))
}

/// In the words of whoever reads this stream.
fn reading_failed(shown: &Shown, start: u64, error: store::Error) -> Error {
    match error {
        // Where a log begins there is a record, or there was one.
        store::Error::NoRecord { position, .. } if begins_at(shown, position) => {
            let (path, cause) = (shown.path.clone(), "its first records are missing".to_owned());
            Error::Damaged { path, offset: Offset::at(position), cause }
        }
        store::Error::NoRecord { .. } => Error::NoOffset { offset: Offset::at(start) },
        store::Error::Damaged { position, cause, .. } => {
            Error::Damaged { path: shown.path.clone(), offset: Offset::at(position), cause }
        }
        error => error.into(),
    }
}

/// Whether one of the logs begins at this position.
fn begins_at(shown: &Shown, position: u64) -> bool {
    position == 0 || shown.segments().any(|segment| segment.until == position)
}

fn alive(shown: &Shown) -> Result<End, Error> {
    let end = shown.end();
    match end.gone {
        None => Ok(end),
        Some(Gone::Removed) => Err(Refusal::NotFound { path: shown.path.clone() }.into()),
        Some(Gone::Kept) => Err(Refusal::Deleted { path: shown.path.clone() }.into()),
    }
}

/// Keeps a stream in use as long as it lives.
struct Following {
    streams: Streams,
    shown: Arc<Shown>,
}

impl Following {
    fn begin(streams: &Streams, shown: &Arc<Shown>) -> Result<Self, Error> {
        streams.with_ledger(|ledger: &mut Ledger, now_ms| ledger.follow(now_ms, &shown.path))?;
        Ok(Self { streams: streams.clone(), shown: Arc::clone(shown) })
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let shown = &self.shown;
        self.streams.with_ledger(|ledger: &mut Ledger, now_ms| ledger.unfollow(now_ms, &shown.path, shown.log));
    }
}
