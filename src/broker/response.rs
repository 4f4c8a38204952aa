//! Response building shared by the broker's HTTP handlers.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::error::Error;
use super::service::Broker;
use crate::http::{Kind, Problem};

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
