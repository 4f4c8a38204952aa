//! `/dead-letters`: messages that could not be handled or sent, to be replayed or discarded.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::state::Api;
use crate::http::{Kind, Path, Problem};
use crate::relay::{DeadLetter, DeadLetterId, Direction};

/// A row of the list.
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

/// Lists all dead letters, oldest first.
pub(super) async fn list(State(api): State<Api>) -> Json<Vec<Row>> {
    Json(api.relay.dead_letters().into_iter().map(Row::from).collect())
}

/// Returns one dead letter. `404`: no such dead letter.
pub(super) async fn show(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Row>, Problem> {
    let parsed = parse(&id)?;
    let found = api.relay.dead_letters().into_iter().find(|letter| letter.id == parsed);
    found.map(|letter| Json(Row::from(letter))).ok_or_else(|| missing(&id))
}

/// Handles or sends a message again. `202`: it is no longer a dead letter, unless it fails again. `404`: no such dead
/// letter.
pub(super) async fn replay(State(api): State<Api>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    match api.relay.replay(parse(&id)?).await {
        None => Err(missing(&id)),
        Some(Ok(())) => Ok(StatusCode::ACCEPTED),
        Some(Err(error)) => Err(error.into()),
    }
}

/// Discards a message. `204`: it is discarded. `404`: no such dead letter.
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
