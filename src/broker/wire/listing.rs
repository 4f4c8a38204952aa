//! What the broker shows of itself: `GET /config.json` (exo 2.4, 3.7, 3.8), `GET /services`, `GET /undelivered`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::announcement::Address;
use super::translation::Pair;
use crate::message::{InstanceId, MessageId, MessageName, Role};

/// The body of `GET /config.json`, in the form of the landscape that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Listing {
    /// Services and routes by public name. exo 2.4.
    Http(Configuration),
    /// Roles with namespaces. exo 3.8.
    Namespaces {
        /// Who is there.
        clients: BTreeMap<Role, NamespaceRow>,
        /// What the landscape declares.
        routes: BTreeMap<Role, RouteRow>,
    },
    /// Roles with pairs of names. exo 3.7.
    Pairs {
        /// Who is there; `None` while nobody is.
        clients: Option<Vec<ClientRow>>,
        /// What the landscape declares.
        routes: BTreeMap<Role, RouteRow>,
    },
}

/// A role that is there, as the broker with namespaces shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceRow {
    /// The role.
    pub client_name: Role,
    /// The role once more.
    pub service_type: Role,
    /// Its namespace, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_namespace: Option<String>,
}

/// A role that is there, as the broker with pairs of names shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientRow {
    /// The role.
    pub role: Role,
    /// How many instances of it are there.
    pub instances: usize,
}

/// A role that the landscape declares, with what its form knows of translation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteRow {
    /// What it receives, in its own language.
    pub receives: Vec<MessageName>,
    /// What it sends, in its own language.
    pub sends: Vec<MessageName>,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_namespace: Option<String>,
    /// Its pairs of names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_translations: Option<Vec<Pair>>,
    /// The same in the last form of the originals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translations: Option<Vec<Pair>>,
}

/// Services and routes. exo 2.4.
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

/// One message that could not be delivered, in `GET /undelivered`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Undelivered {
    /// The message's id.
    pub id: MessageId,
    /// Its public name.
    pub name: MessageName,
    /// Who sent it, if known.
    pub sender: Option<Role>,
    /// The role that should have got it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiver: Option<Role>,
    /// Why it did not.
    pub reason: String,
    /// When it was given up, by the clock on the wall: RFC 3339.
    pub at: String,
}

fn as_text<S: serde::Serializer>(address: &Option<Address>, serializer: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(address),
        None => serializer.serialize_none(),
    }
}
