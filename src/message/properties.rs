//! Properties that only our relays and broker exchange: the `relay` key of an envelope.
//!
//! `{"hops":1,"replyTo":{"instance":"…","timeoutMs":30000,"many":true},"to":"…","repeatMs":600000,"returned":true,"leaving":true}`,
//! each left out at its default. Originals do not send the key; those of the HTTP era ignore it, and those of the WebSocket
//! era do not get it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::InstanceId;

/// Delivery properties of a message. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Properties {
    /// Number of messages that led to this one: a reply has one more than its request. Bounds loops.
    #[serde(skip_serializing_if = "is_default")]
    pub hops: u32,
    /// Sender of a request, which waits for a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<ReplyTo>,
    /// Instance that a reply is meant for: the one that made the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<InstanceId>,
    /// Time in milliseconds for which the sender may send the message again under its id. Receivers recognise it as a
    /// duplicate for at least that long.
    #[serde(skip_serializing_if = "is_default")]
    pub repeat_ms: u64,
    /// True if a receiver gives the message back to the bus, for another instance of its own role.
    #[serde(skip_serializing_if = "is_default")]
    pub returned: bool,
    /// True if that receiver leaves: without another instance the message waits for the next one of the role.
    #[serde(skip_serializing_if = "is_default")]
    pub leaving: bool,
}

/// Instance that waits for the reply to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplyTo {
    /// The instance.
    pub instance: InstanceId,
    /// Time in milliseconds for which it waits.
    pub timeout_ms: u64,
    /// True if it waits for further replies after the first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub many: bool,
}

impl ReplyTo {
    /// Describes the instance that waits for `timeout`; for further replies after the first, if `many`.
    pub fn new(instance: InstanceId, timeout: Duration, many: bool) -> Self {
        Self { instance, timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX), many }
    }

    /// Returns the time for which it waits.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

impl Properties {
    /// Returns true if no property is set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the properties of a reply to a message with these.
    pub fn of_reply(&self) -> Self {
        let to = self.reply_to.as_ref().map(|asker| asker.instance.clone());
        Self { hops: self.hops.saturating_add(1), to, ..Self::default() }
    }

    /// Returns the properties of a message that follows from one with these, and does not answer it.
    pub fn of_follower(&self) -> Self {
        Self { hops: self.hops.saturating_add(1), ..Self::default() }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::{Message, MessageId, MessageName};

    fn instance(text: &str) -> InstanceId {
        InstanceId::parse(text).unwrap()
    }

    fn message(properties: Properties) -> Message {
        let message = Message::new(MessageId::parse("1").unwrap(), MessageName::parse("ask").unwrap());
        Message { properties, ..message }
    }

    #[test]
    fn properties_survive_the_round_trip_and_defaults_are_left_out() {
        let reply_to = Some(ReplyTo::new(instance("web-1"), Duration::from_secs(30), true));
        let all =
            Properties { hops: 3, reply_to, to: Some(instance("web-2")), repeat_ms: 9, returned: true, leaving: true };
        for properties in [all, Properties::default(), Properties { hops: 1, ..Properties::default() }] {
            let json = message(properties.clone()).to_json();
            assert_eq!(Message::from_json(None, &json).unwrap().properties, properties);
        }
        assert_eq!(message(Properties::default()).to_json(), r#"{"id":"1","name":"ask"}"#);
    }

    #[test]
    fn the_key_of_others_is_ignored() {
        for other in ["null", "5", "\"x\"", "[]", "{\"hops\":\"x\"}", "{\"to\":[1]}", "{\"zonk\":{}}", "{\"hops\":-1}"]
        {
            let body = Bytes::from(format!(r#"{{"id":"1","name":"ask","relay":{other}}}"#));
            assert_eq!(Message::from_json(None, &body).unwrap(), message(Properties::default()), "{other}");
        }
    }

    #[test]
    fn a_reply_is_for_the_instance_that_asked_and_one_hop_further() {
        let reply_to = Some(ReplyTo::new(instance("web-1"), Duration::from_secs(1), false));
        let request = Properties { hops: 4, reply_to, repeat_ms: 9, ..Properties::default() };
        let expected = Properties { hops: 5, to: Some(instance("web-1")), ..Properties::default() };
        assert_eq!(request.of_reply(), expected);
        assert_eq!(request.of_follower(), Properties { hops: 5, ..Properties::default() });
    }
}
