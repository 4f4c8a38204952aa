//! Errors as `application/problem+json` (RFC 9457): one table from slug to status to title.

use std::time::Duration;

use axum::http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::coding;
use crate::message;

/// Kind of problem. The slug is a contract: clients branch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The body, the name or a header cannot be understood.
    InvalidMessage,
    /// The query or a header of the call has a wrong value.
    InvalidRequest,
    /// The body is not of a type this listener reads.
    UnsupportedMediaType,
    /// The body has a content or transfer coding that cannot be decoded.
    UnsupportedCoding,
    /// The body is over the limit.
    BodyTooLarge,
    /// A header is over the limit.
    HeadersTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The caller has not proved who it is.
    Unauthenticated,
    /// The caller may not do this.
    Forbidden,
    /// The path does not exist.
    NotFound,
    /// The path does not support the method.
    MethodNotAllowed,
    /// No service on the bus receives a message of this name.
    NoReceivers,
    /// A queue is full, or the bus is away and the outbox is full; try again later.
    Busy,
    /// This process is shutting down.
    Draining,
    /// No reply arrived in time.
    NoReply,
    /// The message could not be delivered to the service that receives it.
    Undeliverable,
    /// The service that receives the request could not handle it.
    Failed,
    /// The idempotency key was used before, with another body.
    IdempotencyMismatch,
    /// The call names an instance that is not registered.
    UnknownInstance,
    /// The bus refused the message.
    Refused,
    /// The request conflicts with the current state.
    Conflict,
    /// A stream of this name exists with other settings.
    StreamExists,
    /// The stream is closed.
    StreamClosed,
    /// The stream holds content of another type.
    ContentTypeMismatch,
    /// The sequence of the writer does not grow.
    SequenceConflict,
    /// Requests of the producer before this one are missing.
    ProducerGap,
    /// A newer epoch of the producer has taken over.
    ProducerFenced,
    /// The resource is gone for good.
    Gone,
    /// A storage limit is reached.
    Full,
    /// The store failed; an operator has to repair it before anything can be written.
    StoreFailed,
    /// The system refuses something that is needed, such as an open file; try again later.
    Unavailable,
    /// Stored content was lost; content around it can be read.
    Damaged,
    /// A bug; the log has the cause.
    Internal,
}

impl Kind {
    /// Returns slug, status and title of the problem.
    pub fn row(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::InvalidMessage => ("invalid-message", StatusCode::BAD_REQUEST, "Invalid message"),
            Self::InvalidRequest => ("invalid-request", StatusCode::BAD_REQUEST, "Invalid request"),
            Self::UnsupportedMediaType => {
                ("unsupported-media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type")
            }
            Self::UnsupportedCoding => {
                ("unsupported-coding", StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported coding of the body")
            }
            Self::BodyTooLarge => ("body-too-large", StatusCode::PAYLOAD_TOO_LARGE, "Body too large"),
            Self::HeadersTooLarge => {
                ("headers-too-large", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Headers too large")
            }
            Self::BodyTimeout => ("body-timeout", StatusCode::REQUEST_TIMEOUT, "Body came too slowly"),
            Self::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED, "Who is calling?"),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "Forbidden"),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "Not found"),
            Self::MethodNotAllowed => ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::NoReceivers => ("no-receivers", StatusCode::NOT_FOUND, "No receivers"),
            Self::Busy => ("busy", StatusCode::SERVICE_UNAVAILABLE, "Busy"),
            Self::Draining => ("draining", StatusCode::SERVICE_UNAVAILABLE, "Shutting down"),
            Self::NoReply => ("no-reply", StatusCode::GATEWAY_TIMEOUT, "No reply"),
            Self::Undeliverable => ("undeliverable", StatusCode::BAD_GATEWAY, "Undeliverable"),
            Self::Failed => ("failed", StatusCode::BAD_GATEWAY, "The service failed"),
            Self::IdempotencyMismatch => {
                ("idempotency-mismatch", StatusCode::UNPROCESSABLE_ENTITY, "Idempotency key was used with another body")
            }
            Self::UnknownInstance => ("unknown-instance", StatusCode::CONFLICT, "Unknown instance"),
            Self::Refused => ("refused", StatusCode::BAD_GATEWAY, "Refused by the bus"),
            Self::Conflict => ("conflict", StatusCode::CONFLICT, "Conflict"),
            Self::StreamExists => ("stream-exists", StatusCode::CONFLICT, "Stream exists"),
            Self::StreamClosed => ("stream-closed", StatusCode::CONFLICT, "Stream is closed"),
            Self::ContentTypeMismatch => ("content-type-mismatch", StatusCode::CONFLICT, "Another content type"),
            Self::SequenceConflict => ("sequence-conflict", StatusCode::CONFLICT, "Sequence does not grow"),
            Self::ProducerGap => ("producer-gap", StatusCode::CONFLICT, "Requests of the producer are missing"),
            Self::ProducerFenced => ("producer-fenced", StatusCode::FORBIDDEN, "A newer producer has taken over"),
            Self::Gone => ("gone", StatusCode::GONE, "Gone"),
            Self::Full => ("full", StatusCode::INSUFFICIENT_STORAGE, "No room"),
            Self::StoreFailed => ("store-failed", StatusCode::SERVICE_UNAVAILABLE, "The store failed"),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "Out of resources"),
            Self::Damaged => ("damaged", StatusCode::INTERNAL_SERVER_ERROR, "Damaged"),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
        }
    }
}

/// A problem response. The detail is for people and safe to show to the client.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: Kind,
    detail: String,
    retry_after: Option<Duration>,
    /// Further members with their values in JSON. RFC 9457 3.2.
    members: Vec<(&'static str, String)>,
}

impl Problem {
    /// Creates a problem with this detail.
    pub fn new(kind: Kind, detail: impl ToString) -> Self {
        Self { kind, detail: detail.to_string(), retry_after: None, members: Vec::new() }
    }

    /// Adds `Retry-After`, rounded up to whole seconds, at least one.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Adds a member with a value that can be written as JSON; another one is left out.
    pub fn member(mut self, name: &'static str, value: &impl serde::Serialize) -> Self {
        self.members.extend(serde_json::to_string(value).ok().map(|json| (name, json)));
        self
    }

    /// Replaces the detail.
    pub fn with_detail(mut self, detail: String) -> Self {
        self.detail = detail;
        self
    }

    /// Adds the headers that say how to go on, to an answer in any format.
    pub(crate) fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil().max(1.0) as u64));
        }
        if self.kind == Kind::Unauthenticated {
            // RFC 6750 3.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.kind == Kind::UnsupportedCoding {
            // RFC 9110 15.5.16.
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(coding::ACCEPTED));
        }
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the detail.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<message::OutOfBounds> for Problem {
    fn from(error: message::OutOfBounds) -> Self {
        let kind = match &error {
            message::OutOfBounds::Payload { .. } => Kind::BodyTooLarge,
            message::OutOfBounds::Auth { .. } | message::OutOfBounds::Name(_) => Kind::InvalidMessage,
        };
        Self::new(kind, error)
    }
}

impl From<message::Error> for Problem {
    fn from(error: message::Error) -> Self {
        Self::new(Kind::InvalidMessage, error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (slug, status, title) = self.kind.row();
        let mut body = serde_json::json!({
            "type": format!("urn:exorelay:problem:{slug}"),
            "title": title,
            "status": status.as_u16(),
            "detail": self.detail,
        })
        .to_string();
        if !self.members.is_empty() {
            body.pop();
            for (name, json) in &self.members {
                body.push_str(&format!(",\"{name}\":{json}"));
            }
            body.push('}');
        }
        let content_type = HeaderValue::from_static("application/problem+json");
        let mut response = (status, [(CONTENT_TYPE, content_type)], body).into_response();
        self.add_headers(response.headers_mut());
        response
    }
}

/// Responds to a method that the path does not support. Cancel-safe.
pub(crate) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(Kind::MethodNotAllowed, format!("{} does not support {method}", uri.path()))
}

/// Responds to a path that has no route. Cancel-safe.
pub async fn not_found(method: Method, uri: Uri) -> Problem {
    Problem::new(Kind::NotFound, format!("cannot {method} {}", uri.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn members_are_part_of_the_body_unchanged() {
        let payload: Box<serde_json::value::RawValue> = serde_json::from_str("{\"sum\": 1.00}").unwrap();
        let problem = Problem::new(Kind::Failed, "no").member("role", &"shop \"1\"").member("payload", &payload);
        let body = axum::body::to_bytes(problem.into_response().into_body(), 1000).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.ends_with(r#","role":"shop \"1\"","payload":{"sum": 1.00}}"#), "{text}");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
    }

    #[test]
    fn a_wait_below_a_second_is_sent_as_one_second() {
        let response = Problem::new(Kind::Busy, "full").retry_after(Duration::from_millis(20)).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
}
