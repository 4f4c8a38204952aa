//! Garbage for the parsers of messages.

use bytes::Bytes;
use proptest::prelude::*;

use super::{Message, MessageId, MessageName, Payload, Role, TraceParent};
use crate::mutation::{mutated, mutated_text};

pub(crate) const ENVELOPES: [&str; 6] = [
    r#"{"id":"1","name":"users.create","payload":{"name":"Will"},"sender":"web","activityId":"7"}"#,
    r#"{"id":"2","name":"users created","responseTo":"1","payload":[1,2.5e3,"\u00e9"],"auth":{"a":1}}"#,
    r#"{"name":"a","id":"3","isSecurity":true,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}"#,
    r#"{"id":"4","name":"a","relay":{"instance":"users-1","timeout_ms":500,"many":true},"payload":null}"#,
    r#"{"id":"5","name":"a","payload":"text"}"#,
    "{}",
];

proptest! {
    #[test]
    fn an_envelope_that_is_read_can_be_sent_on(body in mutated(ENVELOPES)) {
        let body = Bytes::from(body);
        if let Ok(message) = Message::from_json(None, &body) {
            let sent = message.to_json();
            prop_assert_eq!(Message::from_json(None, &sent), Ok(message), "{:?}", sent);
            // Fields once, escaped, and what the relay adds.
            prop_assert!(sent.len() <= 6 * body.len() + 1024);
        }
        let name = MessageName::parse("of.the.url").unwrap();
        if let Ok(message) = Message::from_json(Some(name.clone()), &body) {
            prop_assert_eq!(message.name, name);
        }
    }

    #[test]
    fn a_list_has_each_envelope_on_its_own(body in mutated([
        format!("[{}]", ENVELOPES.join(",")), "[]".to_owned(), "[{\"id\":\"1\",\"name\":\"a\"},5]".to_owned(),
    ])) {
        let body = Bytes::from(body);
        if let Ok(messages) = Message::list_from_json(&body) {
            let items: Vec<serde_json::Value> = serde_json::from_slice(&body).unwrap_or_default();
            prop_assert!(items.is_empty() || items.len() == messages.len());
            let good: Vec<Message> = messages.into_iter().filter_map(Result::ok).collect();
            let again = Message::list_from_json(&Message::list_to_json(&good)).unwrap();
            prop_assert_eq!(again.into_iter().map(Result::unwrap).collect::<Vec<_>>(), good);
        }
    }

    #[test]
    fn a_payload_is_json(body in mutated(["{\"a\":[1,{}]}", "\"é\"", "[[[1]]]", "1e5"])) {
        let is_json = std::str::from_utf8(&body).is_ok() && serde_json::from_slice::<&serde_json::value::RawValue>(&body).is_ok();
        let payload = Payload::parse(Bytes::from(body));
        prop_assert!(is_json || payload.is_err());
    }

    #[test]
    fn names_and_ids_are_kept_as_they_are(
        text in mutated_text(["users.create", "größe 1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]),
    ) {
        prop_assert!(MessageName::parse(&text).is_ok_and(|name| name.as_str() == text) || MessageName::parse(&text).is_err());
        prop_assert!(Role::parse(&text).is_ok_and(|role| role.as_str() == text) || Role::parse(&text).is_err());
        prop_assert!(MessageId::parse(&text).is_ok_and(|id| id.as_str() == text) || MessageId::parse(&text).is_err());
        if let Some(trace) = TraceParent::parse(&text) {
            prop_assert_eq!(TraceParent::parse(trace.as_str()).map(|again| again == trace), Some(true));
        }
    }
}
