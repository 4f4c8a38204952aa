//! The body of an answer in pieces of one frame. hyper asks for a piece when the one before has been taken, so a client that
//! takes nothing holds one piece in memory beside the rest of the body, and it shows for how long it has taken nothing.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// Maximum length of a piece: that of a frame.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// The progress of one answer: a number that is odd while a piece waits to be taken. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Returns a number of the piece that waits to be taken; `None` if there is none.
    pub(super) fn waiting(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|number| number % 2 == 1)
    }

    /// Returns the answer with a body whose progress is followed; without one where HTTP allows none. RFC 9110 6.4.1.
    pub(super) fn follow(self, method: &Method, response: Response) -> Response {
        let (mut parts, body) = response.into_parts();
        let status = parts.status;
        if *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            let length = body.size_hint().exact().filter(|length| *method == Method::HEAD && *length > 0);
            if let Some(length) = length {
                parts.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
            }
            return Response::from_parts(parts, Body::empty());
        }
        if body.is_end_stream() {
            return Response::from_parts(parts, body);
        }
        let pieces = Pieces { body, rest: Bytes::new(), is_divided: false, progress: self };
        Response::from_parts(parts, Body::new(pieces))
    }

    /// Records that the next piece is asked for.
    fn asked(&self) {
        let number = self.0.load(Ordering::Relaxed);
        self.0.store(number + number % 2, Ordering::Relaxed);
    }

    /// Records that a piece is handed over.
    fn handed_over(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A body in pieces.
struct Pieces {
    body: Body,
    /// The part of a longer one that is not handed over.
    rest: Bytes,
    is_divided: bool,
    progress: Progress,
}

impl Pieces {
    fn next(&mut self) -> Bytes {
        if self.rest.len() > PIECE_BYTES_MAX {
            self.is_divided = true;
            return self.rest.split_to(PIECE_BYTES_MAX);
        }
        let last = mem::take(&mut self.rest);
        // A copy, since the last piece may wait for long and would keep all others in memory.
        if mem::take(&mut self.is_divided) { Bytes::copy_from_slice(&last) } else { last }
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        this.progress.asked();
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(context)).transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => this.rest = data,
                Some(Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
                None => return Poll::Ready(None),
            }
        }
        this.progress.handed_over();
        Poll::Ready(Some(Ok(Frame::data(this.next()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn followed(method: &Method, status: StatusCode, body: &'static str) -> Response {
        let response = Response::builder().status(status).body(Body::from(body)).unwrap();
        Progress::default().follow(method, response)
    }

    #[tokio::test]
    async fn a_long_body_comes_in_pieces_and_each_is_waited_for() {
        let whole: Vec<u8> = (0..40_000_u32).map(|number| number as u8).collect();
        let progress = Progress::default();
        let mut body = progress.clone().follow(&Method::GET, Response::new(Body::from(whole.clone()))).into_body();
        assert_eq!(body.size_hint().exact(), Some(40_000));
        let mut joined = Vec::new();
        let mut numbers = Vec::new();
        assert_eq!(progress.waiting(), None);
        while !body.is_end_stream() {
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(piece.len() <= PIECE_BYTES_MAX);
            numbers.push(progress.waiting().expect("the piece is not taken"));
            joined.extend_from_slice(&piece);
        }
        assert_eq!((joined, numbers), (whole, vec![1, 3, 5]));
        assert!(body.frame().await.is_none());
        assert_eq!(progress.waiting(), None);
    }

    #[test]
    fn some_answers_have_no_body() {
        let head = followed(&Method::HEAD, StatusCode::OK, "body");
        assert_eq!(head.headers()[CONTENT_LENGTH], "4");
        assert!(head.body().is_end_stream());
        for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
            assert!(followed(&Method::GET, status, "body").body().is_end_stream());
        }
        assert!(!followed(&Method::GET, StatusCode::OK, "body").body().is_end_stream());
    }
}
