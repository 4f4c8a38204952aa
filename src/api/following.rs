//! Headers of `GET /messages` by which `exorelay tail` says what it follows.

use axum::http::{HeaderMap, HeaderValue};

use crate::message::{MessageName, nearest, path_segment};
use crate::relay::Relay;

/// The role of the service, percent-encoded.
pub(crate) const ROLE_HEADER: &str = "exo-role";

/// The number of followers, this one included, that share the messages.
pub(crate) const FOLLOWERS_HEADER: &str = "exo-followers";

/// The requested names that the service does not receive, percent-encoded and separated by commas; each with `=` and the
/// received name that it resembles, if there is one.
pub(crate) const NOT_RECEIVED_HEADER: &str = "exo-not-received";

/// Returns the headers for a new follower of `names`; of all messages, if there are none. A service that declares no names may
/// receive any.
pub(super) fn headers(relay: &Relay, names: &[MessageName]) -> HeaderMap {
    let received = relay.receives();
    let unknown = names.iter().filter(|name| !received.is_empty() && !received.contains(name));
    let described: Vec<String> = unknown.map(|name| described(name, &received)).collect();
    let values = [
        (ROLE_HEADER, path_segment(relay.role().as_str()).to_string()),
        (FOLLOWERS_HEADER, relay.followers().to_string()),
        (NOT_RECEIVED_HEADER, described.join(",")),
    ];
    let given = values.into_iter().filter(|(_, text)| !text.is_empty());
    let parsed = given.filter_map(|(name, text)| Some((name.parse().ok()?, HeaderValue::from_str(&text).ok()?)));
    parsed.collect()
}

fn described(name: &MessageName, received: &[MessageName]) -> String {
    let similar = nearest(name.as_str(), received.iter().map(MessageName::as_str));
    let similar = similar.map(|similar| format!("={}", path_segment(similar))).unwrap_or_default();
    format!("{}{similar}", path_segment(name.as_str()))
}
