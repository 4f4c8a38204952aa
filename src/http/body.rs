//! Request bodies, read and decoded within a limit and a timeout, and message names in URLs.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Request};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;

use super::coding::{CodingError, Codings};
use super::{Kind, Limits, Problem};
use crate::message::MessageName;

/// Largest buffer allocated for an announced body before its bytes arrive.
const RESERVED_BYTES_MAX: usize = 256 * 1024;

/// Smaller bodies are copied: a slice would keep the whole read buffer alive.
const SHARED_BYTES_MIN: usize = 4 * 1024;

/// Headers that browsers send, and only they. Fetch 3.2, Fetch Metadata 2.
const OF_BROWSERS: [HeaderName; 4] = [
    ORIGIN,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-dest"),
    HeaderName::from_static("sec-fetch-user"),
];

/// Sent by browsers, and with the value `cors` by Node, too.
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Wait suggested to a client whose body does not fit into the budget of its listener.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Error of a body that is being read.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    /// The connection broke, or the other end violated the protocol.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    /// The bodies that are being read have no space left for this one.
    #[error(
        "the bodies that this listener is reading have {bytes_max} bytes together, which is the maximum \
         (http.bodies_bytes_max): try again later"
    )]
    Full {
        /// The bound.
        bytes_max: usize,
    },
}

/// A request with its body read.
pub struct Incoming {
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Reads a JSON body. A missing content type and curl's default count as JSON, unless a browser sent the body: a page may send
/// those to any listener, without asking before.
/// Errors: 415, and those of [`read_body`]. Cancel-safe.
pub async fn json_body(request: Request<Body>, limits: &Limits) -> Result<Incoming, Problem> {
    let headers = request.headers();
    let detail = match headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default()) {
        Some(text) if is_json(text) || is_default(text) && !is_of_browser(headers) => None,
        Some(text) => Some(format!("the content type is {text:?}, expected application/json")),
        None if !request.body().is_end_stream() && is_of_browser(headers) => {
            Some("a web page sent a body without a content type, expected application/json".to_owned())
        }
        None => None,
    };
    if let Some(detail) = detail {
        return Err(Problem::new(Kind::UnsupportedMediaType, detail));
    }
    let (parts, body) = request.into_parts();
    let body = read_body(&parts.headers, body, limits).await?;
    Ok(Incoming { headers: parts.headers, body })
}

/// Returns true if a browser sent the request, for a page of any origin.
fn is_of_browser(headers: &HeaderMap) -> bool {
    let has_mode = headers.get(MODE).is_some_and(|mode| mode != "cors");
    has_mode || OF_BROWSERS.iter().any(|name| headers.contains_key(name))
}

fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type);
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Returns true for the types that clients send by default, without a thought about the body.
fn is_default(content_type: &str) -> bool {
    matches!(essence(content_type).as_str(), "" | "text/plain" | "application/x-www-form-urlencoded")
}

/// Reads a body of at most `limits.body_bytes_max`, before and after it is decoded, within `limits.body_timeout_ms`.
///
/// Errors: 413 as soon as the body is known to be too large, 415 for an unknown coding, 408, 400 for a body that broke off or
/// is not of its coding, 503 while the bodies that the listener reads have `limits.bodies_bytes_max` together. Our listeners
/// discard what is left unread. Cancel-safe.
pub async fn read_body(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Bytes, Problem> {
    let bytes_max = limits.body_bytes_max;
    let too_large = || Problem::new(Kind::BodyTooLarge, format!("the body is over the limit of {bytes_max} bytes"));
    let codings = Codings::of(headers)?;
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large());
    }
    let mut reading = pin!(collect(body, announced, bytes_max));
    let read = match if_ready(reading.as_mut()).await {
        Some(read) => Ok(read),
        None => tokio::time::timeout(limits.body_timeout(), reading).await,
    };
    match read {
        Ok(Ok(Some(bytes))) if codings.is_empty() => Ok(bytes),
        Ok(Ok(Some(bytes))) => Ok(Box::pin(codings.decode(bytes, bytes_max)).await?),
        Ok(Ok(None)) => Err(too_large()),
        Ok(Err(error)) => Err(unread(error)),
        Err(_) => {
            let detail = format!("the body was not complete after {} ms", limits.body_timeout_ms);
            Err(Problem::new(Kind::BodyTimeout, detail))
        }
    }
}

/// Returns the problem of a body that was not read to its end.
fn unread(error: axum::Error) -> Problem {
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        if let Some(full @ UploadError::Full { .. }) = error.downcast_ref() {
            return Problem::new(Kind::Busy, full).retry_after(RETRY_AFTER);
        }
        cause = error.source();
    }
    Problem::new(Kind::InvalidMessage, format!("the body broke off: {error}"))
}

impl From<CodingError> for Problem {
    fn from(error: CodingError) -> Self {
        let kind = match &error {
            CodingError::Unknown { .. } => Kind::UnsupportedCoding,
            CodingError::TooLarge { .. } => Kind::BodyTooLarge,
            CodingError::Malformed { .. } => Kind::InvalidMessage,
        };
        Self::new(kind, error)
    }
}

/// Polls the future at most twice and returns its output if it is ready. hyper hands over a short body, which arrived with
/// its head, on the second poll; a timer for each of those would cost more than reading them.
async fn if_ready<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    let mut asked = false;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if asked => Poll::Ready(None),
        Poll::Pending => {
            asked = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

/// Returns the body, or `None` if it is over the limit. A large body that arrived in one piece is not copied.
async fn collect(mut body: Body, announced: Option<u64>, bytes_max: usize) -> Result<Option<Bytes>, axum::Error> {
    let reserved = announced.map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)).min(RESERVED_BYTES_MAX);
    let mut whole = Bytes::new();
    let mut joined = BytesMut::new();
    let mut seen: u64 = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        seen += data.len() as u64;
        if seen > bytes_max as u64 {
            return Ok(None);
        }
        if whole.is_empty() && joined.is_empty() {
            whole = data;
            if body.is_end_stream() {
                break;
            }
        } else {
            if joined.is_empty() {
                joined.reserve(reserved);
            }
            joined.extend_from_slice(&std::mem::take(&mut whole));
            joined.extend_from_slice(&data);
        }
    }
    Ok(Some(match joined.is_empty() {
        true if whole.len() < SHARED_BYTES_MIN => Bytes::copy_from_slice(&whole),
        true => whole,
        false => joined.freeze(),
    }))
}

/// Parses a message name from the percent-encoded rest of a URL path, with or without a trailing slash.
/// Errors: 400 if it is not UTF-8 or not a valid name.
pub fn message_name(encoded: &str) -> Result<MessageName, Problem> {
    let encoded = encoded.strip_suffix('/').unwrap_or(encoded);
    let decoded = percent_decode_str(encoded).decode_utf8().map_err(|_| {
        Problem::new(Kind::InvalidMessage, format!("the message name in the URL is not UTF-8: {encoded:.80}"))
    })?;
    MessageName::parse(&decoded).map_err(|error| Problem::new(Kind::InvalidMessage, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_type(content_type: &str, expected: bool) {
        assert_eq!(is_json(content_type) || is_default(content_type), expected, "{content_type}");
    }

    #[test]
    fn json_and_the_default_types_of_curl_are_accepted() {
        check_type("application/json; charset=utf-8", true);
        check_type("application/cloudevents+json", true);
        check_type("application/x-www-form-urlencoded", true);
    }

    async fn status_of(headers: &[(&str, &str)], body: &'static str) -> Option<Kind> {
        let mut request = Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let read = json_body(request.body(Body::from(body)).unwrap(), &Limits::default()).await;
        read.err().map(|problem| problem.kind())
    }

    /// Those are what a page may send to any listener, without asking before.
    #[tokio::test]
    async fn text_and_forms_of_a_browser_are_not_json() {
        let types =
            ["text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "multipart/form-data", ""];
        for browser in [
            ("origin", "http://localhost:4001"),
            ("origin", "null"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-dest", "empty"),
            ("sec-fetch-mode", "no-cors"),
        ] {
            for content_type in types {
                let refused = status_of(&[browser, ("content-type", content_type)], "{}").await;
                assert_eq!(refused, Some(Kind::UnsupportedMediaType), "{browser:?} {content_type}");
            }
            assert_eq!(status_of(&[browser], "{}").await, Some(Kind::UnsupportedMediaType), "{browser:?}");
            assert_eq!(status_of(&[browser], "").await, None, "{browser:?}");
            assert_eq!(status_of(&[browser, ("content-type", "application/json")], "{}").await, None, "{browser:?}");
        }
        // Node sends this, and no browser sends it alone.
        assert_eq!(status_of(&[("sec-fetch-mode", "cors"), ("content-type", "text/plain")], "{}").await, None);
        assert_eq!(status_of(&[], "{}").await, None);
    }

    #[test]
    fn other_content_types_are_refused() {
        check_type("application/xml", false);
        check_type("image/png", false);
        check_type("multipart/form-data; boundary=json", false);
    }

    #[test]
    fn names_are_decoded_once() {
        assert_eq!(message_name("mongo%20create").unwrap().as_str(), "mongo create");
        assert_eq!(message_name("a%2Fb%3Fc%23d/").unwrap().as_str(), "a/b?c#d");
        assert_eq!(message_name("100%2525").unwrap().as_str(), "100%25");
        assert!(message_name("%ff").is_err());
        assert!(message_name("a%0Ab").is_err());
    }

    #[tokio::test]
    async fn a_body_in_one_piece_is_copied_if_it_is_small() {
        for (length, copied) in [(SHARED_BYTES_MIN - 1, true), (SHARED_BYTES_MIN, false)] {
            let bytes = Bytes::from(vec![b'x'; length]);
            let read = collect(Body::from(bytes.clone()), None, length).await.unwrap().unwrap();
            assert_eq!((read == bytes, read.as_ptr() != bytes.as_ptr()), (true, copied), "{length}");
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused() {
        assert_eq!(collect(Body::from(vec![b'x'; 11]), None, 10).await.unwrap(), None);
    }
}
