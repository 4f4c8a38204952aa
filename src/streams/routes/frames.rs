//! Response bodies of chunks that are shared with the store.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};

/// A body that yields its chunks one by one, and knows its length.
struct Chunks {
    chunks: VecDeque<Bytes>,
    bytes_left: u64,
}

/// Returns a body of these chunks, without copying them.
pub(super) fn body_of(chunks: impl IntoIterator<Item = Bytes>) -> Body {
    let chunks: VecDeque<Bytes> = chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect();
    let bytes_left = chunks.iter().map(|chunk| chunk.len() as u64).sum();
    Body::new(Chunks { chunks, bytes_left }.boxed())
}

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let next = this.chunks.pop_front();
        this.bytes_left -= next.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Poll::Ready(next.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes_left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn chunks_arrive_in_order_and_their_length_is_known() {
        let body = body_of([Bytes::from_static(b"["), Bytes::new(), Bytes::from_static(b"1,2]")]);
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "[1,2]");
    }

    #[test]
    fn a_body_without_chunks_is_empty() {
        assert!(body_of([]).is_end_stream());
    }
}
