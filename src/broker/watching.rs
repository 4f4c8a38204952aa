//! `GET /traffic` and `GET /activities/{id}`: what goes through the broker, live and told as a story.

use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::routes::{Face, busy, json_text, typed};
use super::rules::{Filter, Seen};
use super::traffic::{self, FOLLOWERS_MAX, Payloads, Refusal};
use super::wire::{Missed, TrafficRow};
use crate::http::sse::{self, DataPrefix, Encoder};
use crate::http::{Kind, Problem};
use crate::message::{ActivityId, MessageName, Payload, Role};

/// How often an idle stream says that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a follower asks for.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wish {
    message: Option<MessageName>,
    role: Option<Role>,
    activity: Option<ActivityId>,
    payloads: bool,
}

/// Streams what comes by from now on: `event: message` for a message that was routed or stopped, `event: undelivered`
/// for one that was given up, `event: missed` where a follower was too slow. Ends when the broker has shut down.
pub(super) async fn follow(
    State(face): State<Face>,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wish) = wish.map_err(|error| Problem::new(Kind::InvalidRequest, error.body_text()))?;
    let payloads = if wish.payloads { Payloads::Shown } else { Payloads::LeftOut };
    if payloads == Payloads::Shown && !face.broker.config().log_payloads {
        let detail = "payloads are not shown: the broker was started without broker.log_payloads (--log-payloads)";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let filter = Filter { message: wish.message, role: wish.role, activity: wish.activity };
    let following = face.broker.follow(filter, payloads).map_err(|refusal| match refusal {
        Refusal::Full => Problem::new(Kind::Busy, format!("{FOLLOWERS_MAX} follow the traffic already"))
            .retry_after(Duration::from_secs(5)),
        Refusal::Closed => busy(&face.broker),
    })?;
    let events = stream::unfold(following, |mut following| async move {
        let next = following.next().await?;
        Some((event(&next), following))
    });
    Ok(sse::respond(sse::keep_alive(events, KEEP_ALIVE)))
}

/// The messages of an activity that are on record, in order. `404` if none is.
pub(super) async fn activity(State(face): State<Face>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id = ActivityId::parse(&id).map_err(|error| Problem::new(Kind::InvalidRequest, error))?;
    match face.broker.activity(&id) {
        Some(activity) => Ok(typed("application/json", json_text(&activity))),
        None => Err(Problem::new(Kind::NotFound, nothing_of(&id, face.broker.config().traffic_messages_max))),
    }
}

fn nothing_of(id: &ActivityId, messages_max: usize) -> String {
    match messages_max {
        0 => {
            format!("nothing is known of the activity {id:?}: broker.traffic_messages_max is 0, so no traces are kept")
        }
        _ => format!("nothing is known of the activity {id:?}: traces of the last {messages_max} messages are kept"),
    }
}

fn event(event: &traffic::Event) -> Bytes {
    let (name, data) = match event {
        traffic::Event::Message(seen, payload) => ("message", message(seen, payload.as_ref())),
        traffic::Event::Undelivered(row) => ("undelivered", json_text(row)),
        traffic::Event::Missed(missed) => ("missed", json_text(&Missed { missed: *missed })),
    };
    let mut out = BytesMut::new();
    Encoder::begin(&mut out, name, DataPrefix::Spaced).data(&String::from_utf8_lossy(&data)).end();
    out.freeze()
}

fn message(seen: &Seen, payload: Option<&Payload>) -> Bytes {
    #[derive(Serialize)]
    struct Shown {
        #[serde(flatten)]
        row: TrafficRow,
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Box<RawValue>>,
    }
    // Line breaks stand between tokens only; without them an event is one line.
    let payload = payload.map(|payload| payload.to_string().replace(['\n', '\r'], " "));
    let payload = payload.and_then(|text| RawValue::from_string(text).ok());
    json_text(&Shown { row: seen.row(), payload })
}
