//! Reads the content of a stream, which may be spread over several logs.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::error::Error;
use super::read_view::ReadableStream;
use crate::store::{self, LogId, Owner, Run, Store};

/// The content of whole appends.
pub(super) struct Found {
    /// The position where it begins.
    pub(super) start: u64,
    pub(super) chunks: Vec<Bytes>,
    /// The position after it.
    pub(super) next: u64,
}

impl Found {
    /// Leaves out what is before `start`, if that is in the first append.
    pub(super) fn cut_before(mut self, start: u64) -> Self {
        let mut left = start.saturating_sub(self.start);
        for chunk in &mut self.chunks {
            let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            drop(chunk.split_to(bytes));
            left -= bytes as u64;
        }
        self.chunks.retain(|chunk| !chunk.is_empty());
        Self { start: self.start.max(start), ..self }
    }
}

/// Reads a range through all logs that hold parts of it: on this thread if the store has it in memory, otherwise on one that
/// may block. A range that starts inside an append begins with the whole of it. Errors: [`Error::Damaged`],
/// [`Error::StoreRead`].
pub(super) async fn read_segments(
    store: &Arc<dyn Store>,
    stream: &Arc<ReadableStream>,
    range: (u64, u64),
    bytes_max: usize,
) -> Result<Found, Error> {
    // An error is looked into on a thread that may block.
    let in_memory = read_each(stream, range, bytes_max, |log, range, left| store.read_now(log, range, left));
    if let Some(Ok(found)) = in_memory {
        return Ok(found);
    }
    let (store, stream) = (Arc::clone(store), Arc::clone(stream));
    let blocking = move || {
        let read = |range| read_each(&stream, range, bytes_max, |log, range, left| Some(store.read(log, range, left)));
        let read = |range| read(range).expect("a read that may block always has an outcome");
        let read = match read(range) {
            // The range starts inside an append.
            Err(store::Error::NoRecord { .. }) => {
                append_start(&*store, &stream, range.0).and_then(|start| read((start, range.1)))
            }
            read => read,
        };
        read.map_err(|error| reading_failed(&*store, &stream, error))
    };
    match tokio::task::spawn_blocking(blocking).await {
        Ok(read) => read,
        Err(error) => Err(Error::StoreRead { cause: error.to_string() }),
    }
}

/// Reads segment by segment; `None` if `read` is for one of them.
fn read_each(
    stream: &ReadableStream,
    (start, end): (u64, u64),
    bytes_max: usize,
    read: impl Fn(LogId, Range<u64>, usize) -> Option<Result<Run, store::Error>>,
) -> Option<Result<Found, store::Error>> {
    let (mut at, mut chunks, mut left) = (start, Vec::new(), bytes_max);
    for segment in stream.layout().segments().filter(|segment| segment.until > start) {
        let until = segment.until.min(end);
        let run = match read(Owner::Streams.log(segment.log), at..until, left)? {
            Ok(run) => run,
            // What was read before can be returned; the next read reports the error.
            Err(_) if !chunks.is_empty() => break,
            Err(error) => return Some(Err(error)),
        };
        left = left.saturating_sub(usize::try_from(run.end - at).unwrap_or(usize::MAX));
        at = run.end;
        chunks.extend(run.chunks);
        if at < until || at == end || left == 0 {
            break;
        }
    }
    Some(Ok(Found { start, chunks, next: at }))
}

/// Returns the position where the append begins that holds the byte at `position`.
fn append_start(store: &dyn Store, stream: &ReadableStream, position: u64) -> Result<u64, store::Error> {
    let segment = stream.layout().segments().find(|segment| position < segment.until);
    let segment = segment.expect("the last segment has no end");
    store.record_start(Owner::Streams.log(segment.log), position)
}

/// Translates an error of the store into one about this stream. May block.
fn reading_failed(store: &dyn Store, stream: &ReadableStream, error: store::Error) -> Error {
    let (position, cause) = match error {
        // Every position before the end of a stream is in an append, unless that was lost.
        store::Error::NoRecord { position, .. } => (position, "its records are missing".to_owned()),
        store::Error::Damaged { position, source, .. } => (position, source.to_string()),
        error => return error.into(),
    };
    let until = readable_after(store, stream, position);
    let (offset, until) = (stream.offset_at(position), stream.offset_at(until));
    Error::Damaged { path: stream.path.clone(), offset, until, cause }
}

/// Returns the position after damage at which a read can go on: the next record of the same segment, or its end if none follows
/// or the store cannot say.
fn readable_after(store: &dyn Store, stream: &ReadableStream, position: u64) -> u64 {
    let segment = stream.layout().segments().find(|segment| position < segment.until);
    let segment = segment.expect("the last segment has no end");
    let next = store.start_after(Owner::Streams.log(segment.log), position).ok().flatten();
    next.unwrap_or(u64::MAX).min(segment.until).min(stream.end().tail)
}
