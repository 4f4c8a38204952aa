//! Response building shared by the broker's HTTP handlers.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

use super::error::Error;
use super::service::Broker;
use crate::http::{Kind, Problem};

/// Builds a `200` with the given content type.
pub(super) fn typed(content_type: &'static str, body: impl Into<Body>) -> Response {
    ([(CONTENT_TYPE, content_type)], body.into()).into_response()
}

pub(super) fn json_text(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("numbers and strings always serialize").into()
}

/// Returns the `503` that fits the broker's state: draining, or full queues.
pub(super) fn busy(broker: &Broker) -> Problem {
    match broker.is_draining() {
        true => Problem::new(Kind::Draining, Error::Draining).retry_after(Duration::from_secs(1)),
        false => Problem::new(Kind::Busy, "the queues of all receivers are full"),
    }
}
