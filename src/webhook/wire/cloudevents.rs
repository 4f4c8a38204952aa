//! CloudEvents 1.0.2 over HTTP: encodes a message as `ce-` headers, and reads an event as a reply.

use std::fmt::Write;

use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{
    AnswerError, Meaning, Reply, check_count, is_essence, is_json, meaning, name_of, payload_of, without_mark,
};
use crate::message::{Message, Payload, path_segment};

/// Header that marks an answer as a binary-mode event.
pub(crate) const TYPE_HEADER: &str = "ce-type";

/// Characters that must be percent-encoded in header values: everything but printable ASCII, and space, double quote and
/// percent sign. HTTP binding, section 3.1.3.2.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// Returns the event attributes of `message` as header names and encoded values. Attribute names allow only lower-case
/// letters and digits (CloudEvents, section 3.1), so `activityId` becomes `activityid`. The trace uses the distributed
/// tracing extension.
pub(crate) fn attributes(message: &Message) -> Vec<(&'static str, String)> {
    let sender = message.sender.as_ref().map_or("unknown", |role| role.as_str());
    let source = format!("/exorelay/{}", path_segment(sender));
    let mut headers = vec![
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", encode(message.id.as_str())),
        ("ce-source", encode(&source)),
        (TYPE_HEADER, encode(message.name.as_str())),
    ];
    let optional = [
        ("ce-activityid", message.activity_id.as_ref().map(|id| id.as_str())),
        ("ce-responseto", message.response_to.as_ref().map(|id| id.as_str())),
        ("ce-traceparent", message.trace.as_ref().map(|trace| trace.as_str())),
    ];
    headers.extend(optional.into_iter().filter_map(|(name, text)| Some((name, encode(text?)))));
    headers
}

/// Reads a binary-mode event as a reply, from the value of `ce-type`, the content type if there is one, and the body, which
/// is JSON whatever its type. Errors: the [`AnswerError`] that names the header.
pub(crate) fn event(ce_type: &str, content_type: Option<&str>, body: &Bytes) -> Result<Reply, AnswerError> {
    let name = decode(ce_type).ok_or(AnswerError::Field { field: TYPE_HEADER.into(), expected: "UTF-8" })?;
    let name = name_of(TYPE_HEADER, &name)?;
    let body = without_mark(body);
    if body.is_empty() {
        return Ok(Reply { name, payload: None });
    }
    match Payload::parse(body) {
        Ok(payload) => Ok(Reply { name, payload: Some(payload) }),
        Err(_) if content_type.is_some_and(|content_type| !is_json(content_type)) => {
            Err(AnswerError::Field { field: "content-type".into(), expected: "application/json, and the body JSON" })
        }
        Err(cause) => Err(AnswerError::Payload { field: "body".into(), cause }),
    }
}

/// Reads the body of an answer without `ce-type`: a structured-mode event or a batch of them, with or without the content
/// type that says so, or a body as [`meaning`] takes it. Errors: the [`AnswerError`] that names the attribute.
pub(crate) fn event_meaning(
    content_type: Option<&str>,
    body: &Bytes,
    replies_max: usize,
) -> Result<Meaning, AnswerError> {
    let body = without_mark(body);
    let declared = |essence: &str| content_type.is_some_and(|content_type| is_essence(content_type, essence));
    let replies = match body.first() {
        Some(b'{') if declared("application/cloudevents+json") || is_event(&body) => {
            vec![structured_event(&body, &body)?]
        }
        Some(b'[') if declared("application/cloudevents-batch+json") || is_batch(&body) => {
            let events: Vec<&RawValue> = serde_json::from_slice(&body).map_err(AnswerError::not_json)?;
            check_count(events.len(), replies_max)?;
            let reply = |event: &RawValue| structured_event(&body, event.get().as_bytes());
            events.into_iter().map(reply).collect::<Result<_, _>>()?
        }
        _ => return meaning(content_type, &body, replies_max),
    };
    Ok(Meaning::Replies(replies))
}

fn is_event(json: &[u8]) -> bool {
    serde_json::from_slice::<Structured<'_>>(json)
        .is_ok_and(|event| event.specversion.is_some() && event.r#type.is_some())
}

fn is_batch(json: &[u8]) -> bool {
    let events: Result<Vec<&RawValue>, _> = serde_json::from_slice(json);
    events.is_ok_and(|events| !events.is_empty() && events.iter().all(|event| is_event(event.get().as_bytes())))
}

/// Reads a structured-mode event, a part of `body`, as a reply: its `type` and `data`.
fn structured_event(body: &Bytes, event: &[u8]) -> Result<Reply, AnswerError> {
    let event: Structured<'_> = serde_json::from_slice(event).map_err(AnswerError::not_json)?;
    if event.data_base64.is_some() {
        return Err(AnswerError::Field { field: "data_base64".into(), expected: "absent: payloads must be JSON" });
    }
    let name = event.r#type.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let name = name.ok_or(AnswerError::Field { field: "type".into(), expected: "a string" })?;
    Ok(Reply { name: name_of("type", &name)?, payload: payload_of("data", body, event.data)? })
}

#[derive(Deserialize)]
struct Structured<'a> {
    #[serde(borrow)]
    specversion: Option<&'a RawValue>,
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_base64: Option<&'a RawValue>,
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    write!(encoded, "{}", utf8_percent_encode(text, ESCAPED)).expect("writing to a string cannot fail");
    encoded
}

fn decode(value: &str) -> Option<String> {
    percent_decode_str(value).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{ActivityId, MessageId, MessageName, Role, TraceParent};

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn message() -> Message {
        Message::new(MessageId::parse("1").unwrap(), MessageName::parse("users.create").unwrap())
    }

    fn check(message: &Message, expected: &[(&str, &str)]) {
        let attributes = attributes(message);
        let attributes: Vec<_> = attributes.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(attributes, expected);
    }

    #[test]
    fn a_minimal_message_has_the_four_required_attributes() {
        let expected = [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/exorelay/unknown"),
            ("ce-type", "users.create"),
        ];
        check(&message(), &expected);
    }

    #[test]
    fn sender_conversation_request_and_trace_are_attributes_too() {
        let full = Message {
            sender: Some(Role::parse("web front").unwrap()),
            activity_id: Some(ActivityId::parse("7").unwrap()),
            response_to: Some(MessageId::parse("6").unwrap()),
            trace: TraceParent::parse(TRACE),
            ..message()
        };
        let expected = [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            // A percent-encoded URI reference, whose percent sign is encoded once more for the header.
            ("ce-source", "/exorelay/web%2520front"),
            ("ce-type", "users.create"),
            ("ce-activityid", "7"),
            ("ce-responseto", "6"),
            ("ce-traceparent", TRACE),
        ];
        check(&full, &expected);
    }

    #[test]
    fn header_values_are_encoded_as_the_binding_says() {
        let check = |text: &str, expected: &str| assert_eq!(encode(text), expected);
        check("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80");
        check("100% \"sure\"", "100%25%20%22sure%22");
        check("!#$&'()*+,-./:;<=>?@[\\]^_`{|}~", "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~");
    }

    #[test]
    fn an_event_in_the_answer_is_a_reply() {
        let check = |ce_type: &str, content_type: Option<&str>, body: &'static str, expected: Result<&str, &str>| {
            let reply = event(ce_type, content_type, &Bytes::from(body));
            let actual = reply.map(|reply| format!("{} {:?}", reply.name, reply.payload.map(|json| json.to_string())));
            assert_eq!(actual.map_err(|error| error.to_string()), expected.map(str::to_owned).map_err(str::to_owned));
        };
        check(
            "users%20created",
            Some("application/json"),
            "{\"a\" : 1}",
            Ok("users created Some(\"{\\\"a\\\" : 1}\")"),
        );
        check("done", None, "", Ok("done None"));
        check("done", Some("text/plain"), "\u{feff}[ 1 ]", Ok("done Some(\"[ 1 ]\")"));
        check("done", Some("text/plain"), "a", Err("\"content-type\" must be application/json, and the body JSON"));
        check("", None, "", Err("\"ce-type\": the message name is empty"));
        check("%ff", None, "", Err("\"ce-type\" must be UTF-8"));
    }

    #[test]
    fn a_structured_event_in_the_answer_is_a_reply() {
        let check = |body: &'static str, expected: Result<&str, &str>| {
            let reply =
                event_meaning(Some("application/cloudevents+json"), &Bytes::from(body), 9).map(
                    |meaning| match meaning {
                        Meaning::Replies(mut replies) => replies.remove(0),
                        Meaning::Other(other) => panic!("{other:?}"),
                    },
                );
            let actual = reply.map(|reply| format!("{} {:?}", reply.name, reply.payload.map(|json| json.to_string())));
            assert_eq!(actual.map_err(|error| error.to_string()), expected.map(str::to_owned).map_err(str::to_owned));
        };
        check(r#"{"specversion":"1.0","type":"done","data":[ 1 ]}"#, Ok("done Some(\"[ 1 ]\")"));
        check(r#"{"type":"done"}"#, Ok("done None"));
        check(r#"{"data":1}"#, Err("\"type\" must be a string"));
        check(r#"{"type":5}"#, Err("\"type\" must be a string"));
        check(r#"{"type":"done","data_base64":"AA=="}"#, Err("\"data_base64\" must be absent: payloads must be JSON"));
    }

    #[test]
    fn events_are_recognised_without_their_content_type() {
        let names = |content_type, body: &'static str| match event_meaning(content_type, &Bytes::from(body), 9) {
            Ok(Meaning::Replies(replies)) => replies.iter().map(|reply| reply.name.to_string()).collect::<Vec<_>>(),
            other => vec![format!("{other:?}")],
        };
        let event = r#" {"specversion":"1.0","type":"done","data":1}"#;
        assert_eq!(names(Some("text/html"), event), ["done"]);
        assert_eq!(names(None, r#"{"reply":{"name":"a"}}"#), ["a"]);
        assert_eq!(names(None, r#"{"type":"done"}"#), ["Ok(Other(NoReply))"]);
        let batch = r#"[{"specversion":"1.0","type":"a"},{"specversion":"1.0","type":"b"}]"#;
        assert_eq!(names(None, batch), ["a", "b"]);
        assert_eq!(names(Some("application/cloudevents-batch+json"), r#"[{"type":"a"}]"#), ["a"]);
        assert_eq!(names(None, "[]"), ["Ok(Other(NoObject))"]);
        assert_eq!(names(Some("text/plain"), "OK"), ["Ok(Other(NoObject))"]);
    }

    proptest! {
        #[test]
        fn header_values_survive_the_round_trip(text in "\\PC{0,60}") {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
            prop_assert_eq!(decode(&encoded).unwrap(), text);
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100), text in ".*") {
            let body = Bytes::from(bytes);
            drop(event_meaning(Some("application/cloudevents+json"), &body, 9));
            drop(event(&text, None, &body));
        }
    }
}
