//! Read-only views of the broker: `GET /config.json` (exo 2.4, 3.7, 3.8), `GET /services`, `GET /undelivered`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::announcement::Address;
use super::translation::Pair;
use crate::message::{ActivityId, InstanceId, MessageId, MessageName, Role};

/// Body of `GET /config.json`, in the form of the current landscape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Listing {
    /// Services and routes by public name. exo 2.4.
    Http(Configuration),
    /// Roles with namespaces. exo 3.8.
    Namespaces {
        /// Connected services.
        clients: BTreeMap<Role, NamespaceRow>,
        /// Routes that the landscape declares.
        routes: BTreeMap<Role, RouteRow>,
    },
    /// Roles with pairs of names. exo 3.7.
    Pairs {
        /// Connected services; `None` if there are none.
        clients: Option<Vec<ClientRow>>,
        /// Routes that the landscape declares.
        routes: BTreeMap<Role, RouteRow>,
    },
}

/// A connected role in the listing with namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceRow {
    /// The role.
    pub client_name: Role,
    /// The role again.
    pub service_type: Role,
    /// Its namespace, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_namespace: Option<String>,
}

/// A connected role in the listing with translation pairs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientRow {
    /// The role.
    pub role: Role,
    /// Number of connected instances.
    pub instances: usize,
}

/// Routes of a declared role, with the kind of translation that its form supports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteRow {
    /// Messages it receives, by its own names.
    pub receives: Vec<MessageName>,
    /// Messages it sends, by its own names.
    pub sends: Vec<MessageName>,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_namespace: Option<String>,
    /// Its translation pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_translations: Option<Vec<Pair>>,
    /// The same pairs, in the last form of the originals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translations: Option<Vec<Pair>>,
}

/// Services and routes. exo 2.4.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Configuration {
    /// One entry per role, showing the first of several instances.
    pub services: BTreeMap<Role, ServiceRow>,
    /// Routes by public message name.
    pub routes: BTreeMap<MessageName, Receivers>,
}

/// Receivers of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Receivers {
    /// One entry per role.
    pub receivers: Vec<ServiceRow>,
}

/// A service in the original's format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRow {
    /// Its role.
    pub name: Role,
    /// Its host; `localhost` for a service of this process.
    pub host: String,
    /// Its port; 0 for a service of this process.
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
    /// Its instance id; `None` for a service of the posted landscape.
    pub instance: Option<InstanceId>,
    /// `landscape`, `registered`, `connected` (over a WebSocket) or `local`.
    pub kind: &'static str,
    /// Its address; `None` for a service of this process.
    #[serde(serialize_with = "as_text")]
    pub address: Option<Address>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// True if it accepts several messages in one delivery.
    pub batch: bool,
    /// Messages it receives, by its own names.
    pub receives: Vec<MessageName>,
    /// Messages it sends, by its own names.
    pub sends: Vec<MessageName>,
    /// Remaining time of its lease; `None` if it does not expire.
    pub lease_left_ms: Option<u64>,
    /// True if the service behind it does not answer.
    pub away: bool,
    /// Number of messages waiting for it.
    pub queue_length: usize,
    /// Age of the oldest of them; `None` if there are none.
    pub oldest_ms: Option<u64>,
}

/// One role without an instance in `GET /services`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AbsentRow {
    /// The role.
    pub role: Role,
    /// Number of messages waiting for it.
    pub queue_length: usize,
    /// Age of the oldest of them; `None` if there are none.
    pub oldest_ms: Option<u64>,
}

/// An undelivered message, in `GET /undelivered` and in `undelivered` events of `GET /traffic`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undelivered {
    /// Id of the message.
    pub id: MessageId,
    /// Its public name.
    pub name: MessageName,
    /// Sender, if known.
    pub sender: Option<Role>,
    /// Role that should have received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<Role>,
    /// Reason why it was not delivered.
    pub reason: String,
    /// Wall-clock time at which it was given up, RFC 3339.
    pub at: String,
    /// Its conversation, for `GET /activities/{id}`.
    #[serde(rename = "activityId")]
    pub activity_id: ActivityId,
}

fn as_text<S: serde::Serializer>(address: &Option<Address>, serializer: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(address),
        None => serializer.serialize_none(),
    }
}
