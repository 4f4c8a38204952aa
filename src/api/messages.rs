//! `GET /messages`: incoming messages as server-sent events, for services that cannot listen.

use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use percent_encoding::percent_decode_str;

use super::following;
use super::state::Api;
use crate::http::access::{Target, Verb, allow, allow_some, allow_target};
use crate::http::sse::{self, DataPrefix, Encoder};
use crate::http::{Kind, Path, Problem, message_name};
use crate::message::{Message, MessageId, MessageName, Role};
use crate::relay::{Subscription, service_envelope};

/// Interval of keep-alive comments on an idle stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Streams messages: `event: message`, `id:` the id of the message, `data:` its envelope, from the second delivery on with
/// `attempt`. `?name=a,b` selects names, `?declared=true` those that the
/// role receives. At most `?unacknowledged=N` messages are sent before one is acknowledged. A message
/// that is not acknowledged within the lease is delivered again; those of a lost subscriber at once.
pub(super) async fn follow(
    State(api): State<Api>,
    extensions: Extensions,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = query.as_deref();
    let mut names = names(query)?;
    if names.is_empty() && values(query, "declared").next() == Some("true") {
        names.clone_from(&api.relay.config().receives);
    }
    for name in &names {
        allow(&extensions, Verb::Receive, name.as_str())?;
    }
    if names.is_empty() {
        allow_target(&extensions, Verb::Receive, Target::ALL)?;
    }
    let unacknowledged_max = unacknowledged_max(query)?;
    let subscription = api.relay.subscribe(names.clone(), unacknowledged_max);
    let about = following::headers(&api.relay, &names);
    let events = stream::unfold(subscription, |mut subscription: Subscription| async move {
        let (message, attempt) = subscription.next().await?;
        Some((event(&message, attempt), subscription))
    });
    let events = sse::respond(sse::with_retry(None, sse::keep_alive(events, KEEP_ALIVE)));
    Ok((about, events).into_response())
}

/// Acknowledges a message, from this `?sender=` if one is given. `204`: it is handled and will not be delivered again.
/// `404`: it was not delivered, or was acknowledged before.
pub(super) async fn acknowledge(
    State(api): State<Api>,
    extensions: Extensions,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<impl IntoResponse, Problem> {
    allow_some(&extensions, Verb::Receive)?;
    let (id, sender) = meant(&id, query.as_deref())?;
    if api.relay.acknowledge(&id, sender.as_ref()) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let from = sender.map(|sender| format!(" from {sender}")).unwrap_or_default();
    let detail =
        format!("no message {id}{from} waits for an acknowledgement: it was not delivered, or acknowledged before");
    Err(Problem::new(Kind::NotFound, detail))
}

/// Gives a message back that could not be handled. `204`: it is delivered again after the time of a lease, and this delivery
/// counts as failed. `404`: the subscriber does not have it (any longer).
pub(super) async fn retry(
    State(api): State<Api>,
    extensions: Extensions,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<impl IntoResponse, Problem> {
    allow_some(&extensions, Verb::Receive)?;
    let (id, sender) = meant(&id, query.as_deref())?;
    match api.relay.give_back(&id, sender.as_ref()) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::new(Kind::NotFound, format!("no subscriber has a message {id}"))),
    }
}

/// Parses the id and the sender of a message.
fn meant(id: &str, query: Option<&str>) -> Result<(MessageId, Option<Role>), Problem> {
    let id = MessageId::parse(id).map_err(crate::message::Error::from)?;
    Ok((id, values(query, "sender").next().map(sender).transpose()?))
}

fn event(message: &Message, attempt: u32) -> Bytes {
    let mut out = BytesMut::new();
    let envelope = service_envelope(message, attempt);
    let event = Encoder::begin(&mut out, "message", DataPrefix::Spaced).data(&String::from_utf8_lossy(&envelope));
    event.id(message.id.as_str()).end();
    out.freeze()
}

fn names(query: Option<&str>) -> Result<Vec<MessageName>, Problem> {
    let names = values(query, "name").flat_map(|value| value.split(','));
    names.filter(|name| !name.is_empty()).map(message_name).collect()
}

fn unacknowledged_max(query: Option<&str>) -> Result<Option<usize>, Problem> {
    let Some(value) = values(query, "unacknowledged").next() else { return Ok(None) };
    let max = value.parse().ok().filter(|max| *max > 0);
    let wrong = || {
        let detail = format!("unacknowledged={value:.40}: expected a number of messages, such as 1");
        Problem::new(Kind::InvalidRequest, detail)
    };
    max.map(Some).ok_or_else(wrong)
}

fn sender(value: &str) -> Result<Role, Problem> {
    let text = percent_decode_str(value).decode_utf8_lossy();
    Role::parse(&text).map_err(|error| Problem::new(Kind::InvalidRequest, format!("sender={value:.40}: {error}")))
}

fn values<'a>(query: Option<&'a str>, key: &'static str) -> impl Iterator<Item = &'a str> {
    let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(move |(name, _)| *name == key).map(|(_, value)| value)
}
