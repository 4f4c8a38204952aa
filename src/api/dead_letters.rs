//! `/dead-letters`: what could not be handled or sent, with the reason, to be tried again or thrown away.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::routes::Api;
use crate::http::{Kind, Problem};
use crate::relay::{DeadLetter, DeadLetterId, Direction};

/// One row of the list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    id: u64,
    direction: &'static str,
    reason: String,
    /// RFC 3339, UTC.
    at: String,
    message: Option<Box<RawValue>>,
}

impl From<DeadLetter> for Row {
    fn from(letter: DeadLetter) -> Self {
        let envelope = String::from_utf8_lossy(&letter.message.to_json()).into_owned();
        Self {
            id: letter.id.0,
            direction: match letter.direction {
                Direction::Incoming => "incoming",
                Direction::Outgoing => "outgoing",
            },
            reason: letter.reason,
            at: humantime::format_rfc3339_millis(letter.at).to_string(),
            message: RawValue::from_string(envelope).ok(),
        }
    }
}

/// All of them, oldest first.
pub(super) async fn list(State(api): State<Api>) -> Json<Vec<Row>> {
    Json(api.relay.dead_letters().into_iter().map(Row::from).collect())
}

/// `202`: the message is on its way again, and no dead letter any more unless it fails again.
pub(super) async fn replay(State(api): State<Api>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    match api.relay.replay(parse(&id)?) {
        None => Err(missing(&id)),
        Some(Ok(())) => Ok(StatusCode::ACCEPTED),
        Some(Err(error)) => Err(error.into()),
    }
}

/// `204`: the message is gone for good.
pub(super) async fn discard(State(api): State<Api>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    match api.relay.discard(parse(&id)?) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(missing(&id)),
    }
}

fn parse(id: &str) -> Result<DeadLetterId, Problem> {
    id.parse().map(DeadLetterId).map_err(|_| missing(id))
}

fn missing(id: &str) -> Problem {
    Problem::new(Kind::NotFound, format!("there is no dead letter {id:.40}"))
}
