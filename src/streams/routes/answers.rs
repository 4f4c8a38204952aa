//! Answers in the format of the protocol.

use axum::body::Body;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::http::Problem;
use crate::http::access::Original;
use crate::streams::error::Error;
use crate::streams::rules::{Appended, Created, Effect, Refusal};
use crate::streams::service::Description;
use crate::streams::wire::{EntityTag, Lifetime, RequestError, header};

/// The reason why a call is answered with a problem.
pub(super) enum Failure {
    Error(Error),
    Problem(Problem),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::Error(error.into())
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let error = match self {
            Self::Problem(problem) => return problem.into_response(),
            Self::Error(error) => error,
        };
        let mut headers = HeaderMap::new();
        match &error {
            Error::Refused(refusal) => add_details(&mut headers, refusal),
            Error::Damaged { until, .. } => set(&mut headers, &header::NEXT_OFFSET, until),
            _ => {}
        }
        let mut response = Problem::from(error).into_response();
        response.headers_mut().extend(headers);
        response
    }
}

/// Adds the headers that a client needs to continue after a refusal.
fn add_details(headers: &mut HeaderMap, refusal: &Refusal) {
    if let Refusal::ReadOnly { .. } = refusal {
        set(headers, &ALLOW, "GET, HEAD, OPTIONS");
    }
    if let Refusal::Closed { tail, .. } = refusal {
        set(headers, &header::CLOSED, "true");
        set(headers, &header::NEXT_OFFSET, tail);
    }
    if let Refusal::ProducerFenced { current } | Refusal::ProducerForgotten { epoch: current } = refusal {
        set(headers, &header::PRODUCER_EPOCH, current);
    }
    if let Refusal::ProducerGap { expected, received } = refusal {
        set(headers, &header::PRODUCER_EXPECTED_SEQ, expected);
        set(headers, &header::PRODUCER_RECEIVED_SEQ, received);
    }
}

/// Sets a header. The value must be visible ASCII.
pub(super) fn set(headers: &mut HeaderMap, name: &HeaderName, value: impl ToString) {
    let value = HeaderValue::try_from(value.to_string());
    let value = value.expect("callers pass numbers, offsets, and texts that came in a header");
    headers.insert(name, value);
}

/// Builds an answer without copying the headers.
pub(super) fn answer(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

pub(super) fn created(created: &Created, location: &str) -> Response {
    let mut headers = HeaderMap::new();
    set(&mut headers, &CONTENT_TYPE, created.content_type.as_str());
    set(&mut headers, &header::NEXT_OFFSET, created.next);
    if created.closed {
        set(&mut headers, &header::CLOSED, "true");
    }
    if !created.new {
        return answer(StatusCode::OK, headers, Body::empty());
    }
    headers.extend(HeaderValue::try_from(location).ok().map(|location| (LOCATION, location)));
    answer(StatusCode::CREATED, headers, Body::empty())
}

pub(super) fn appended(appended: &Appended) -> Response {
    let mut headers = HeaderMap::new();
    set(&mut headers, &header::NEXT_OFFSET, appended.next);
    if appended.closed {
        set(&mut headers, &header::CLOSED, "true");
    }
    if let Some((epoch, seq)) = appended.producer {
        set(&mut headers, &header::PRODUCER_EPOCH, epoch);
        set(&mut headers, &header::PRODUCER_SEQ, seq);
    }
    let status = match (appended.effect, appended.producer) {
        (Effect::Wrote, Some(_)) => StatusCode::OK,
        (Effect::Wrote, None) | (Effect::Closed | Effect::Repeated, _) => StatusCode::NO_CONTENT,
    };
    answer(status, headers, Body::empty())
}

pub(super) fn deleted() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

pub(super) fn described(description: &Description) -> Response {
    let mut headers = HeaderMap::new();
    set(&mut headers, &CONTENT_TYPE, description.content_type.as_str());
    set(&mut headers, &header::NEXT_OFFSET, description.next);
    match &description.lifetime {
        Lifetime::Unlimited => {}
        Lifetime::Idle { ttl_s } => set(&mut headers, &header::TTL, ttl_s),
        Lifetime::Until { text, .. } => set(&mut headers, &header::EXPIRES_AT, text),
    }
    if description.closed {
        set(&mut headers, &header::CLOSED, "true");
    }
    let end = description.next.position();
    let tag = EntityTag { life: description.life, start: 0, end, closed: description.closed };
    set(&mut headers, &ETAG, tag);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer(StatusCode::OK, headers, Body::empty())
}

/// The public URL of a path of this server, which a client has `called`.
pub(super) fn absolute(public_url: &str, called: &Original, path: &str) -> String {
    match public_url.is_empty() {
        true => called.url(path),
        false => format!("{}{path}", public_url.trim_end_matches('/')),
    }
}
