//! What the broker shows of itself: `GET /config.json` (exo 2.4), `GET /services`, `GET /undelivered`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::announcement::Address;
use crate::message::{ActivityId, InstanceId, MessageId, MessageName, Role};

/// The body of `GET /config.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Configuration {
    /// One entry per role; of several instances, the first.
    pub services: BTreeMap<Role, ServiceRow>,
    /// By public name.
    pub routes: BTreeMap<MessageName, Receivers>,
}

/// Who receives a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Receivers {
    /// One entry per role.
    pub receivers: Vec<ServiceRow>,
}

/// A service as the original shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRow {
    /// Its role.
    pub name: Role,
    /// Where it listens; `localhost` for a service of this process.
    pub host: String,
    /// Where it listens; 0 for a service of this process.
    pub port: u16,
    /// Its namespace, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_namespace: Option<String>,
}

/// One instance in `GET /services`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceRow {
    /// Its role.
    pub role: Role,
    /// Its id; `None` for a service of the posted landscape.
    pub instance: Option<InstanceId>,
    /// `landscape`, `registered`, `connected` (over a WebSocket) or `local`.
    pub kind: &'static str,
    /// Where it listens; `None` for a service of this process.
    #[serde(serialize_with = "as_text")]
    pub address: Option<Address>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Whether it takes several messages in one delivery.
    pub batch: bool,
    /// What it receives, in its own language.
    pub receives: Vec<MessageName>,
    /// What it sends, in its own language.
    pub sends: Vec<MessageName>,
    /// How long its registration still lasts; `None` if it does not end.
    pub lease_left_ms: Option<u64>,
    /// Messages waiting for it.
    pub queue_length: usize,
}

/// One message that could not be delivered, in `GET /undelivered`, and as the data of an event `undelivered` in
/// `GET /traffic`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undelivered {
    /// The message's id.
    pub id: MessageId,
    /// Its public name.
    pub name: MessageName,
    /// Who sent it, if known.
    pub sender: Option<Role>,
    /// The role that should have got it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<Role>,
    /// Why it did not.
    pub reason: String,
    /// When it was given up, by the clock on the wall: RFC 3339.
    pub at: String,
    /// The conversation it belongs to, for `GET /activities/{id}`.
    #[serde(rename = "activityId")]
    pub activity_id: ActivityId,
}

fn as_text<S: serde::Serializer>(address: &Option<Address>, serializer: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(address),
        None => serializer.serialize_none(),
    }
}
