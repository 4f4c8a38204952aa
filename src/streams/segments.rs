//! Reads the content of a stream, which may be spread over several logs.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::error::Error;
use super::read_view::ReadableStream;
use super::wire::Offset;
use crate::store::{self, LogId, Owner, Run, Store};

/// Chunks of bytes, and the position after them.
type Found = (Vec<Bytes>, u64);

/// Reads a range through all logs that hold parts of it: on this thread if the store has it in memory, otherwise on one that
/// may block.
pub(super) async fn read_segments(
    store: &Arc<dyn Store>,
    stream: &Arc<ReadableStream>,
    range: (u64, u64),
    bytes_max: usize,
) -> Result<Found, Error> {
    let in_memory = read_each(stream, range, bytes_max, |log, range, left| store.read_now(log, range, left));
    if let Some(read) = in_memory {
        return read;
    }
    let (store, stream) = (Arc::clone(store), Arc::clone(stream));
    let blocking = move || read_each(&stream, range, bytes_max, |log, range, left| Some(store.read(log, range, left)));
    match tokio::task::spawn_blocking(blocking).await {
        Ok(read) => read.expect("a read that may block always has an outcome"),
        Err(error) => Err(Error::StoreRead { cause: error.to_string() }),
    }
}

/// Reads segment by segment; `None` if `read` is for one of them.
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

/// Translates an error of the store into one about this stream.
fn reading_failed(stream: &ReadableStream, start: u64, error: store::Error) -> Error {
    match error {
        // A log has a record at its beginning, unless that record was lost.
        store::Error::NoRecord { position, .. } if begins_at(stream, position) => {
            let (path, cause) = (stream.path.clone(), "its first records are missing".to_owned());
            Error::Damaged { path, offset: Offset::at(position), cause }
        }
        store::Error::NoRecord { .. } => Error::NoOffset { offset: Offset::at(start) },
        store::Error::Damaged { position, source, .. } => {
            let cause = source.to_string();
            Error::Damaged { path: stream.path.clone(), offset: Offset::at(position), cause }
        }
        error => error.into(),
    }
}

/// Returns true if one of the logs begins at this position.
fn begins_at(stream: &ReadableStream, position: u64) -> bool {
    position == 0 || stream.segments().any(|segment| segment.until == position)
}
