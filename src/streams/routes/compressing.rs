//! Compression of long answers, which takes memory as long as the client reads.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{ACCEPT_ENCODING, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

use super::answers::Failure;
use crate::http::access::compress;
use crate::streams::read_budget::Held;
use crate::streams::service::Streams;

/// Shorter answers are compressed before the client has to read.
const SHORT_BYTES_MAX: u64 = 256 * 1024;

/// Approximate memory that compressing an answer takes.
const COMPRESSION_BYTES: usize = 1024 * 1024;

/// Compresses an answer. A long one is sent as it is if readers hold too much memory already. Errors: the client takes only
/// compressed answers then.
pub(super) async fn compressed(
    streams: &Streams,
    mut response: Response,
    asked: &HeaderMap,
) -> Result<Response, Failure> {
    let is_long = response.body().size_hint().exact().is_none_or(|bytes| bytes > SHORT_BYTES_MAX);
    if !is_long || !asked.contains_key(ACCEPT_ENCODING) {
        return Ok(compress(response, asked).await);
    }
    let budget = streams.read_budget();
    if let Some(held) = budget.try_hold(COMPRESSION_BYTES) {
        return Ok(compress(response, asked).await.map(|body| Body::new(HeldBody { body, _held: held })));
    }
    if !takes_plain(asked) {
        return Err(budget.many_readers().into());
    }
    response.headers_mut().append(VARY, HeaderValue::from(ACCEPT_ENCODING));
    Ok(response)
}

/// Returns true unless a header refuses an answer without a coding. RFC 9110 12.5.3.
fn takes_plain(asked: &HeaderMap) -> bool {
    let lines = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = lines.flat_map(|line| line.split(',')).map(|coding| coding.replace(' ', "").to_ascii_lowercase());
    !codings.any(|coding| coding.starts_with("identity;q=0") || coding.starts_with("*;q=0"))
}

/// A body that holds a part of the memory of readers.
struct HeldBody {
    body: Body,
    _held: Held,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_clients_take_an_answer_without_a_coding() {
        for (accepted, plain) in [("gzip", true), ("gzip, *;q=0.0", false), ("zstd, identity ; q=0", false)] {
            let asked = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
            assert_eq!(takes_plain(&asked), plain, "{accepted}");
        }
    }
}
