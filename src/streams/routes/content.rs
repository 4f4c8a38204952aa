//! The content of an answer to a read: its beginning is read before the answer begins, the rest while it is sent.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use futures_util::future::BoxFuture;
use hyper::body::{Frame, SizeHint};

use crate::log_limit::LogLimit;
use crate::streams::error::Error;
use crate::streams::read_budget::Held;
use crate::streams::reader::{Encoded, Reader, Slice};
use crate::streams::wire::Kind;

/// Bytes that are read at a time, and so the memory that a slow reader holds; a single append may be larger.
const PART_BYTES_MAX: usize = 512 * 1024;

/// Bytes that are handed to the connection at a time: it copies them, and an append may be much longer.
pub(super) const PIECE_BYTES: usize = 128 * 1024;

/// Content from a position on.
pub(super) struct Content {
    /// The position where it begins.
    start: u64,
    /// The position after it.
    pub(super) next: u64,
    /// The end that the stream had when it was asked for.
    end: u64,
    /// True if everything was asked for, and damage is in the way.
    pub(super) is_cut: bool,
    /// True if it reaches the end that the stream had when it was asked for.
    pub(super) up_to_date: bool,
    /// True if it reaches the end of a closed stream.
    pub(super) closed: bool,
    /// The chunks that were read already.
    chunks: Vec<Bytes>,
    /// The memory that they take.
    held: Vec<Held>,
    /// The position after them.
    read: u64,
}

/// Reads the beginning of the content up to `end`, where the stream is closed if that is true. The content is what fits into
/// `bytes_max`, and everything if that is 0. Errors: those of [`Reader::take`], if they concern the beginning.
pub(super) async fn read_content(
    reader: &mut Reader,
    (end, closed): (u64, bool),
    bytes_max: usize,
) -> Result<Content, Error> {
    let part_bytes_max = if bytes_max == 0 { PART_BYTES_MAX } else { bytes_max };
    // What is damaged ends the answer, if that is known.
    let until = reader.readable_until(end);
    let (slice, first) = reader.take_held((until, closed), part_bytes_max, Encoded::No).await?;
    let (Slice { mut chunks, start, next, .. }, mut held) = (slice, vec![first]);
    let (start, mut read) = (start.position(), next.position());
    let mut next = if bytes_max == 0 { until } else { read };
    let mut is_damaged = until < end;
    // Less than a part was read: there may be damage after it, which is found now, while the answer can still say so.
    while read < next && read - start < PART_BYTES_MAX as u64 {
        match reader.take_held((until, closed), PART_BYTES_MAX, Encoded::No).await {
            Ok((more, more_held)) => {
                held.push(more_held);
                chunks.extend(more.chunks);
                read = more.next.position();
            }
            Err(error) => {
                is_damaged |= matches!(error, Error::Damaged { .. });
                next = read;
            }
        }
    }
    let up_to_date = next == end;
    let is_cut = is_damaged && bytes_max == 0;
    Ok(Content { start, next, end, is_cut, up_to_date, closed: up_to_date && closed, chunks, held, read })
}

impl Content {
    pub(super) fn is_empty(&self) -> bool {
        self.next == self.start
    }

    /// Returns the body. In a JSON stream it is one array of the messages, without the comma after the last one.
    pub(super) fn into_body(self, reader: Reader) -> Body {
        let end = self.next;
        self.into_body_until(end, reader)
    }

    /// Returns a body that breaks off after this content, so that nobody takes it for everything up to the end of the stream. Its
    /// length is that of everything.
    pub(super) fn into_broken_body(self, reader: Reader) -> Body {
        let end = self.end;
        self.into_body_until(end, reader)
    }

    fn into_body_until(self, end: u64, reader: Reader) -> Body {
        let (array, bytes) = (reader.content_type().kind() == Kind::Json, end - self.start);
        let bytes_left = match (array, bytes) {
            (true, 0) => 2,
            (true, bytes) => bytes + 1,
            (false, bytes) => bytes,
        };
        let readable = self.next;
        let (chunks, held) = (VecDeque::new(), self.held);
        let mut body = Parts { array, bytes_left, chunks, held, readable, end, rest: Rest::None };
        body.chunks.extend(array.then_some(Bytes::from_static(b"[")));
        body.push(self.chunks, self.read);
        if self.read < end {
            body.rest = Rest::Idle(Box::new(reader));
        }
        Body::new(body)
    }
}

/// A part that was read, with the memory that it takes.
type HeldSlice = (Slice, Held);

/// A body that yields its chunks one by one, reads more when it has none left, and knows its length.
struct Parts {
    /// True if the chunks are the elements of an array.
    array: bool,
    bytes_left: u64,
    chunks: VecDeque<Bytes>,
    /// The memory that they take.
    held: Vec<Held>,
    /// The position up to which it can be read.
    readable: u64,
    /// The position where it ends; a body that cannot be read until there breaks off.
    end: u64,
    rest: Rest,
}

/// The content that is not read yet.
enum Rest {
    None,
    Idle(Box<Reader>),
    Reading(BoxFuture<'static, (Box<Reader>, Result<HeldSlice, Error>)>),
}

impl Parts {
    /// Adds chunks that end at this position.
    fn push(&mut self, chunks: Vec<Bytes>, position: u64) {
        self.chunks.extend(chunks.into_iter().filter(|chunk| !chunk.is_empty()));
        if self.array && position == self.end {
            if let Some(last) = self.chunks.back_mut().filter(|last| last.ends_with(b",")) {
                last.truncate(last.len() - 1);
            }
            self.chunks.push_back(Bytes::from_static(b"]"));
        }
    }

    /// Reads until there is a chunk, or nothing is left.
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            if let Some(mut chunk) = self.chunks.pop_front() {
                if chunk.len() > PIECE_BYTES {
                    self.chunks.push_front(chunk.split_off(PIECE_BYTES));
                }
                return Poll::Ready(Some(Ok(chunk)));
            }
            match std::mem::replace(&mut self.rest, Rest::None) {
                Rest::None => return Poll::Ready(None),
                Rest::Idle(mut reader) => {
                    // They were taken.
                    self.held.clear();
                    let (readable, end) = (self.readable, self.end);
                    self.rest = Rest::Reading(Box::pin(async move {
                        let slice = match reader.position() < readable {
                            true => reader.take_held((readable, false), PART_BYTES_MAX, Encoded::No).await,
                            false => {
                                // Lets the connection send what was read before: an error discards what it holds.
                                tokio::task::yield_now().await;
                                let read = reader.take_until((end, false), PART_BYTES_MAX).await;
                                read.and_then(|_| Err(broken_off()))
                            }
                        };
                        (reader, slice)
                    }));
                }
                Rest::Reading(mut reading) => {
                    let Poll::Ready((reader, slice)) = reading.as_mut().poll(context) else {
                        self.rest = Rest::Reading(reading);
                        return Poll::Pending;
                    };
                    match slice {
                        Ok((slice, held)) => {
                            self.held.push(held);
                            let position = slice.next.position();
                            self.push(slice.chunks, position);
                            if position < self.end {
                                self.rest = Rest::Idle(reader);
                            }
                        }
                        Err(error) => {
                            static LINES: LogLimit = LogLimit::new();
                            let is_fault = !matches!(error, Error::Refused(_));
                            if let Some(left_out) = is_fault.then(|| LINES.admit()).flatten() {
                                tracing::error!(%error, left_out, "cannot read a stream to its end, the answer is broken off");
                            }
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                }
            }
        }
    }
}

/// The error of a body whose headers have said that it ends before.
fn broken_off() -> Error {
    Error::StoreRead { cause: "it could not be read before".to_owned() }
}

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let next = std::task::ready!(this.poll_chunk(context));
        if let Some(Ok(chunk)) = &next {
            this.bytes_left -= chunk.len() as u64;
        }
        Poll::Ready(next.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_empty() && matches!(self.rest, Rest::None)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes_left)
    }
}
