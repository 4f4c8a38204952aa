//! `GET /traffic` streams live traffic; `GET /activities/{id}` returns the recorded messages of one conversation.

use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::callers::{Credentials, check_operator};
use super::follower::{self, EventId, Payloads};
use super::response::{busy, json_text};
use super::rules::{Filter, TimedRecord};
use super::service::Broker;
use super::traffic::{FOLLOWERS_MAX, Refusal};
use super::wire::{Missed, TrafficRow};
use crate::http::access::Verb;
use crate::http::sse::{self, DataPrefix, Encoder};
use crate::http::{Kind, Path, Problem, Query, typed};
use crate::message::{ActivityId, MessageName, Payload, Role};

/// Interval between keep-alive comments on an idle stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Query parameters of `GET /traffic`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct FollowQuery {
    message: Option<MessageName>,
    role: Option<Role>,
    activity: Option<ActivityId>,
    payloads: bool,
}

/// Streams traffic from now on: `event: message` for a message that was routed or stopped, `event: undelivered` for a
/// message that was given up, `event: missed` for a gap because the client read too slowly. Ends when the broker shuts
/// down. With `Last-Event-ID`, first what was recorded after that event, without payloads.
pub(super) async fn follow(
    State(broker): State<Broker>,
    headers: HeaderMap,
    credentials: Credentials,
    Query(query): Query<FollowQuery>,
) -> Result<Response, Problem> {
    check_operator(&broker, &credentials, Verb::Traffic)?;
    let payloads = if query.payloads { Payloads::Shown } else { Payloads::LeftOut };
    if payloads == Payloads::Shown && !broker.config().log_payloads {
        let detail = "payloads are hidden: start the broker with broker.log_payloads (--log-payloads) to show them";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let filter = Filter { message: query.message, role: query.role, activity: query.activity };
    let following = broker.follow(filter, payloads, last_event(&headers)?).map_err(|refusal| match refusal {
        Refusal::Full => Problem::new(
            Kind::Busy,
            format!("{FOLLOWERS_MAX} clients already follow the traffic, which is the maximum; try again later"),
        )
        .retry_after(Duration::from_secs(5)),
        Refusal::Closed => busy(&broker),
    })?;
    let began = following.began();
    let events = stream::unfold(following, |mut following| async move {
        let (id, next) = following.next().await?;
        Some((event(id, &next), following))
    });
    Ok(sse::respond(sse::with_retry(Some(began.to_string()), sse::keep_alive(events, KEEP_ALIVE))))
}

/// The last event that an `EventSource` got, which sends it when it connects again. HTML Standard 9.2.3.
fn last_event(headers: &HeaderMap) -> Result<Option<EventId>, Problem> {
    let Some(id) = headers.get("last-event-id").filter(|id| !id.is_empty()) else { return Ok(None) };
    let parsed = id.to_str().ok().and_then(EventId::parse);
    let wrong = || Problem::new(Kind::InvalidRequest, format!("Last-Event-ID is {id:?}, expected the id of an event"));
    parsed.map(Some).ok_or_else(wrong)
}

/// Returns the recorded messages of one activity in order, or `404` if there are none.
pub(super) async fn activity(
    State(broker): State<Broker>,
    Path(id): Path<String>,
    credentials: Credentials,
) -> Result<Response, Problem> {
    check_operator(&broker, &credentials, Verb::Traffic)?;
    let id = ActivityId::parse(&id).map_err(|error| Problem::new(Kind::InvalidRequest, error))?;
    match broker.activity(&id) {
        Some(activity) => Ok(typed("application/json", json_text(&activity))),
        None => Err(Problem::new(Kind::NotFound, no_record(&id, broker.config().traffic_messages_max))),
    }
}

fn no_record(id: &ActivityId, messages_max: usize) -> String {
    match messages_max {
        0 => {
            format!("no record of activity {id:?}: broker.traffic_messages_max is 0, so nothing is recorded")
        }
        _ => format!("no record of activity {id:?}: only the last {messages_max} messages are recorded"),
    }
}

fn event(id: EventId, event: &follower::Event) -> Bytes {
    let (name, data) = match event {
        follower::Event::Message(seen, payload) => ("message", message(seen, payload.as_ref())),
        follower::Event::Undelivered(row) => ("undelivered", json_text(row)),
        follower::Event::Missed(missed) => ("missed", json_text(&Missed { missed: *missed })),
    };
    let mut out = BytesMut::new();
    Encoder::begin(&mut out, name, DataPrefix::Spaced).data(&String::from_utf8_lossy(&data)).id(&id.to_string()).end();
    out.freeze()
}

fn message(seen: &TimedRecord, payload: Option<&Payload>) -> Bytes {
    #[derive(Serialize)]
    struct Row {
        #[serde(flatten)]
        row: TrafficRow,
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Box<RawValue>>,
    }
    // JSON has raw line breaks only between tokens. Replacing them keeps the event on one line.
    let payload = payload.map(|payload| payload.to_string().replace(['\n', '\r'], " "));
    let payload = payload.and_then(|text| RawValue::from_string(text).ok());
    json_text(&Row { row: seen.row(), payload })
}
