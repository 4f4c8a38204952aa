//! `GET /messages`: incoming messages as server-sent events, for services that cannot listen.

use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;

use super::state::Api;
use crate::http::sse::{self, DataPrefix, Encoder};
use crate::http::{Kind, Problem, message_name};
use crate::message::{Message, MessageId, MessageName};
use crate::relay::Subscription;

/// Interval of keep-alive comments on an idle stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Streams messages: `event: message`, `id:` the id of the message, `data:` its envelope. `?name=a,b` selects names.
/// A message that is not acknowledged within the lease is delivered again; those of a lost subscriber at once.
pub(super) async fn follow(State(api): State<Api>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let subscription = api.relay.subscribe(names(query.as_deref())?);
    let events = stream::unfold(subscription, |mut subscription: Subscription| async move {
        let (message, delivery) = subscription.next().await?;
        Some((event(&message, delivery), subscription))
    });
    Ok(sse::respond(sse::keep_alive(events, KEEP_ALIVE)))
}

/// Acknowledges a message. `204`: it is handled and will not be delivered again. `404`: it is not leased (any longer).
pub(super) async fn acknowledge(State(api): State<Api>, Path(id): Path<String>) -> Result<impl IntoResponse, Problem> {
    let id = MessageId::parse(&id).map_err(crate::message::Error::from)?;
    if api.relay.acknowledge(&id) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let detail = format!("no message {id} waits for an acknowledgement: it was acknowledged, or its lease is over");
    Err(Problem::new(Kind::NotFound, detail))
}

fn event(message: &Message, delivery: u32) -> Bytes {
    let mut out = BytesMut::new();
    let envelope = message.to_json();
    let event = Encoder::begin(&mut out, "message", DataPrefix::Spaced)
        .data(&String::from_utf8_lossy(&envelope))
        .comment(&format!("delivery {delivery}"));
    // The id of a message may contain NUL, the id of an event may not. None of ours does.
    let event = match message.id.as_str().contains('\0') {
        true => event,
        false => event.id(message.id.as_str()),
    };
    event.end();
    out.freeze()
}

fn names(query: Option<&str>) -> Result<Vec<MessageName>, Problem> {
    let values = query.unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("name="));
    values.flat_map(|value| value.split(',')).filter(|name| !name.is_empty()).map(message_name).collect()
}
