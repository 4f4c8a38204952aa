//! Reads the content of a stream, which may be spread over several logs.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::error::Error;
use super::read_view::ReadableStream;
use super::wire::Offset;
use crate::store::{self, LogId, Owner, Run, Store};

/// Bytes, and where they end.
type Found = (Vec<Bytes>, u64);

/// Reads through all of the logs that hold the range: on this thread what the store has at hand, on another one what it
/// has to fetch.
pub(super) async fn read_segments(
    store: &Arc<dyn Store>,
    stream: &Arc<ReadableStream>,
    range: (u64, u64),
    bytes_max: usize,
) -> Result<Found, Error> {
    let at_hand = read_each(stream, range, bytes_max, |log, range, left| store.read_now(log, range, left));
    if let Some(read) = at_hand {
        return read;
    }
    let (store, stream) = (Arc::clone(store), Arc::clone(stream));
    let fetching = move || read_each(&stream, range, bytes_max, |log, range, left| Some(store.read(log, range, left)));
    match tokio::task::spawn_blocking(fetching).await {
        Ok(read) => read.expect("a read that may block always tells something"),
        Err(error) => Err(Error::StoreRead { cause: error.to_string() }),
    }
}

/// `None` if one of the reads is.
fn read_each(
    stream: &ReadableStream,
    (start, end): (u64, u64),
    bytes_max: usize,
    read: impl Fn(LogId, Range<u64>, usize) -> Option<Result<Run, store::Error>>,
) -> Option<Result<Found, Error>> {
    let (mut at, mut chunks, mut left) = (start, Vec::new(), bytes_max);
    for segment in stream.segments().filter(|segment| segment.until > start) {
        let until = segment.until.min(end);
        let run = match read(Owner::Streams.log(segment.log), at..until, left)? {
            Ok(run) => run,
            Err(error) => return Some(Err(reading_failed(stream, start, error))),
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
fn reading_failed(stream: &ReadableStream, start: u64, error: store::Error) -> Error {
    match error {
        // Where a log begins there is a record, or there was one.
        store::Error::NoRecord { position, .. } if begins_at(stream, position) => {
            let (path, cause) = (stream.path.clone(), "its first records are missing".to_owned());
            Error::Damaged { path, offset: Offset::at(position), cause }
        }
        store::Error::NoRecord { .. } => Error::NoOffset { offset: Offset::at(start) },
        store::Error::Damaged { position, cause, .. } => {
            Error::Damaged { path: stream.path.clone(), offset: Offset::at(position), cause }
        }
        error => error.into(),
    }
}

/// Whether one of the logs begins at this position.
fn begins_at(stream: &ReadableStream, position: u64) -> bool {
    position == 0 || stream.segments().any(|segment| segment.until == position)
}
