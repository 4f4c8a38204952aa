//! Traffic records: `GET /traffic` and `GET /activities/{id}`, written by the broker and read by our tools.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::{ActivityId, InstanceId, MessageId, MessageName, Role};

/// A recorded message. Data of a `message` event in `GET /traffic`, which adds the key `payload` on request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficRow {
    /// Wall-clock time at which it was routed or stopped, RFC 3339 with microseconds.
    pub at: String,
    /// Its id.
    pub id: MessageId,
    /// Name used by its sender.
    pub name: MessageName,
    /// Public name.
    pub public_name: MessageName,
    /// Sender, if known.
    pub sender: Option<Role>,
    /// Instance of the sender, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// Its conversation.
    pub activity_id: ActivityId,
    /// Id of the message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_to: Option<MessageId>,
    /// Time since the message it answers, if both are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_time_ms: Option<f64>,
    /// Its receivers.
    pub receivers: Vec<ReceiverRow>,
    /// Roles that receive it but are away; it waits for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<Role>,
    /// Number of receivers and awaited roles beyond those listed, since records are bounded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
    /// Payload size.
    pub payload_bytes: usize,
    /// Its outcome.
    pub fate: Fate,
    /// Reason why it was forbidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A receiver of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverRow {
    /// The role.
    pub role: Role,
    /// The chosen instance; `None` for a service of the posted landscape.
    pub instance: Option<InstanceId>,
    /// Name it uses for the message.
    pub name: MessageName,
}

/// Outcome of a message at the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Routed to its receivers, or waiting for them.
    Routed,
    /// No service receives it.
    NoReceivers,
    /// The sender may not send it.
    Forbidden,
    /// Only its failure is known: it was never routed, or that record has been evicted.
    Undelivered,
}

/// Data of a `missed` event in `GET /traffic`: the follower read too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// Number of skipped events.
    pub missed: u64,
}

/// Body of `GET /activities/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    /// The conversation.
    pub activity_id: ActivityId,
    /// Its recorded messages in order of arrival. Never empty.
    pub messages: Vec<ActivityRow>,
}

/// One message of an activity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityRow {
    /// The message.
    #[serde(flatten)]
    pub message: TrafficRow,
    /// Earlier message in the list: the one it answers, or else the last one its sender had received.
    pub parent: Option<MessageId>,
    /// Time since the first message in the list.
    pub after_ms: f64,
    /// Receivers that did not get it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undelivered: Vec<UndeliveredRow>,
}

/// A receiver that did not get a message of an activity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UndeliveredRow {
    /// Role that should have received it; `None` if there is none.
    pub receiver: Option<Role>,
    /// Reason why it was not delivered.
    pub reason: String,
    /// Time from the first message in the list until it was given up.
    pub after_ms: f64,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Converts to milliseconds with microsecond precision.
pub(in crate::broker) fn millis(duration: Duration) -> f64 {
    // Exact for durations up to 285 years.
    duration.as_micros() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(id: &str, receivers: usize, response_time_ms: Option<f64>) -> ActivityRow {
        let name = MessageName::parse("create").unwrap();
        let role = Role::parse("users").unwrap();
        let receiver = ReceiverRow { role: role.clone(), instance: None, name: name.clone() };
        let message = TrafficRow {
            at: "2026-11-22T13:41:32.294600Z".into(),
            id: MessageId::parse(id).unwrap(),
            name: name.clone(),
            public_name: name,
            sender: response_time_ms.map(|_| role.clone()),
            instance: InstanceId::parse(id).ok(),
            activity_id: ActivityId::parse(id).unwrap(),
            response_to: MessageId::parse(id).ok().filter(|_| receivers > 0),
            response_time_ms,
            receivers: vec![receiver; receivers],
            waiting_for: vec![role; receivers],
            left_out: receivers,
            payload_bytes: receivers,
            fate: Fate::NoReceivers,
            detail: response_time_ms.map(|time| time.to_string()),
        };
        let undelivered = vec![UndeliveredRow { receiver: None, reason: id.into(), after_ms: 1.5 }; receivers];
        ActivityRow { message, parent: MessageId::parse(id).ok(), after_ms: 0.25, undelivered }
    }

    #[test]
    fn absent_optional_values_are_omitted() {
        let text = serde_json::to_string(&row("1", 0, None)).unwrap();
        let expected = r#"{"at":"2026-11-22T13:41:32.294600Z","id":"1","name":"create","publicName":"create","sender":null,"instance":"1","activityId":"1","receivers":[],"payloadBytes":0,"fate":"no-receivers","parent":"1","afterMs":0.25}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn times_have_microsecond_precision() {
        assert_eq!(millis(Duration::from_nanos(7_596_853)), 7.596);
    }

    proptest! {
        #[test]
        fn activities_survive_the_round_trip(id in "[a-z ö]{1,9}", receivers in 0_usize..3, micros in proptest::option::of(0_u32..)) {
            let messages = vec![row(&id, receivers, micros.map(|micros| millis(Duration::from_micros(micros.into()))))];
            let activity = Activity { activity_id: ActivityId::parse(&id).unwrap(), messages };
            let text = serde_json::to_vec(&activity).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Activity>(&text).unwrap(), activity);
        }

        #[test]
        fn garbage_never_panics(text in ".{0,200}") {
            drop(serde_json::from_str::<Activity>(&text));
            drop(serde_json::from_str::<TrafficRow>(&text));
            drop(serde_json::from_str::<Missed>(&text));
        }
    }
}
