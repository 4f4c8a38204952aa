//! `/dead-letters`: messages that could not be handled or sent, to be replayed or discarded.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::state::Api;
use crate::http::{Kind, Path, Problem, Query};
use crate::relay::{DeadLetter, DeadLetterId, Direction};

/// Number of dead letters on a page: by default, and at most.
const PAGE_LETTERS: usize = 100;
const PAGE_LETTERS_MAX: usize = 1_000;

/// Bytes of the messages on a page. A page has one message at least.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// Query parameters of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    limit: Option<usize>,
    after: Option<u64>,
}

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

/// Lists dead letters, oldest first: the first `?limit=` of those behind the one with the id `?after=`, and no more than 1 MiB
/// of messages. If there are more, `Link` has the next page. RFC 8288.
pub(super) async fn list(
    State(api): State<Api>,
    Query(Page { limit, after }): Query<Page>,
) -> Result<Response, Problem> {
    let limit = limit.unwrap_or(PAGE_LETTERS);
    if !(1..=PAGE_LETTERS_MAX).contains(&limit) {
        let detail = format!("limit={limit}: expected a number from 1 to {PAGE_LETTERS_MAX}");
        return Err(Problem::new(Kind::InvalidRequest, detail));
    }
    let page = api.relay.dead_letters_after(after.map(DeadLetterId), limit, PAGE_BYTES_MAX);
    let last = page.letters.last().map(|letter| letter.id).filter(|_| page.has_more);
    let next = last.map(|last| [(LINK, format!("</dead-letters?limit={limit}&after={last}>; rel=\"next\""))]);
    let rows: Vec<Row> = page.letters.into_iter().map(Row::from).collect();
    Ok(match next {
        Some(next) => (next, Json(rows)).into_response(),
        None => Json(rows).into_response(),
    })
}

/// Returns one dead letter. `404`: no such dead letter.
pub(super) async fn show(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Row>, Problem> {
    let found = api.relay.dead_letter(parse(&id)?);
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
