//! What went through the broker: `GET /traffic` and `GET /activities/{id}`, written by the broker and read by our tools.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::{ActivityId, InstanceId, MessageId, MessageName, Role};

/// One message that came by. The data of an event `message` in `GET /traffic`, there with the key `payload` beside
/// these if payloads were asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficRow {
    /// When it was routed or stopped, by the clock on the wall: RFC 3339, to the microsecond.
    pub at: String,
    /// Its id.
    pub id: MessageId,
    /// What its sender calls it.
    pub name: MessageName,
    /// What everybody else calls it.
    pub public_name: MessageName,
    /// Who sent it, if known.
    pub sender: Option<Role>,
    /// Which instance of the sender that was, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// The conversation it belongs to.
    pub activity_id: ActivityId,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_to: Option<MessageId>,
    /// How long after the message it answers it came, if both are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_time_ms: Option<f64>,
    /// Who gets it.
    pub receivers: Vec<ReceiverRow>,
    /// Roles that receive it and are away; it waits for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<Role>,
    /// How many more of both there are: the record has no room for hundreds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
    /// How long its payload is.
    pub payload_bytes: usize,
    /// What became of it.
    pub fate: Fate,
    /// Why it was forbidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Somebody who gets a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverRow {
    /// The role.
    pub role: Role,
    /// The instance that was chosen; `None` for a service of the posted landscape.
    pub instance: Option<InstanceId>,
    /// What it calls the message.
    pub name: MessageName,
}

/// What became of a message at the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is on its way to those who receive it, or waits for them.
    Routed,
    /// No service receives it.
    NoReceivers,
    /// Its sender may not send it.
    Forbidden,
    /// Nothing is known of it but that it was given up: it never was routed, or that is off the record.
    Undelivered,
}

/// The data of an event `missed` in `GET /traffic`: the follower was too slow for what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// How many events were left out here.
    pub missed: u64,
}

/// The body of `GET /activities/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    /// The conversation.
    pub activity_id: ActivityId,
    /// Its messages that are on record, in the order they came. Never none.
    pub messages: Vec<ActivityRow>,
}

/// One message of an activity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityRow {
    /// The message.
    #[serde(flatten)]
    pub message: TrafficRow,
    /// An earlier message of the list: the one it answers, else the last that its sender had got before.
    pub parent: Option<MessageId>,
    /// How long after the first message of the list it came.
    pub after_ms: f64,
    /// Who did not get it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undelivered: Vec<UndeliveredRow>,
}

/// Somebody who did not get a message of an activity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UndeliveredRow {
    /// The role that should have got it; `None` if there is none.
    pub receiver: Option<Role>,
    /// Why it did not.
    pub reason: String,
    /// How long after the first message of the list it was given up.
    pub after_ms: f64,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Milliseconds to the microsecond, as rows tell them.
pub(in crate::broker) fn millis(duration: Duration) -> f64 {
    // Exact for 285 years.
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
    fn a_row_has_no_keys_without_a_value_but_those_that_are_always_there() {
        let text = serde_json::to_string(&row("1", 0, None)).unwrap();
        let expected = r#"{"at":"2026-11-22T13:41:32.294600Z","id":"1","name":"create","publicName":"create","sender":null,"instance":"1","activityId":"1","receivers":[],"payloadBytes":0,"fate":"no-receivers","parent":"1","afterMs":0.25}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn times_are_told_to_the_microsecond() {
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
