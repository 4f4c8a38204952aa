//! Frames recorded from the originals, and malformed frames.

use proptest::prelude::*;

use super::*;
use crate::message::Payload;

fn read(frame: &str) -> Result<Frame, Error> {
    Frame::from_bytes(&Bytes::from(frame.to_owned()))
}

fn hello(frame: &str) -> Hello {
    match read(frame).unwrap() {
        Frame::Register(hello) => *hello,
        other => panic!("{other:?}"),
    }
}

fn message(frame: &str) -> Message {
    match read(frame).unwrap() {
        Frame::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn services_of_every_version_register() {
    let javascript = r#"{"name":"exocom.register-service","sender":"web","id":"1","activityId":"2","payload":{"clientName":"other"}}"#;
    assert_eq!((hello(javascript).role.as_str(), hello(javascript).dialect), ("web", Dialect::ActivityId));
    let go = r#"{"activityId":"2","auth":null,"id":"1","isSecurity":false,"name":"exocom.register-service","payload":null,"responseTime":0,"sender":"security","timestamp":"0001-01-01T00:00:00Z"}"#;
    assert_eq!(hello(go).role.as_str(), "security");
    let older = r#"{"name":"exocom.register-service","sender":"x","id":"1","payload":{"clientName":"tweets"}}"#;
    assert_eq!((hello(older).role.as_str(), hello(older).dialect), ("tweets", Dialect::ResponseTo));
    let oldest = r#"{"name":"exocom.register-service","id":"1","payload":{"name":"users"}}"#;
    assert_eq!(hello(oldest).role.as_str(), "users");
}

#[test]
fn a_registration_without_a_role_is_refused() {
    let error = read(r#"{"name":"exocom.register-service","id":"1"}"#).unwrap_err();
    assert_eq!(error.to_string(), "\"sender\" must be the role of the registering service");
}

#[test]
fn originals_may_leave_the_id_out_or_empty() {
    let read = |frame: &str| Frame::of_original(&Bytes::from(frame.to_owned()), || MessageId::parse("made").unwrap());
    let check = |frame: &str, expected: &str| match read(frame) {
        Ok(Frame::Message(message)) => assert_eq!(format!("{} {}", message.id, message.name), expected, "{frame}"),
        other => panic!("{frame}: {other:?}"),
    };
    check(r#" {"name":"ping","payload":{"id":1}}"#, "made ping");
    check(r#"{"id":"1","name":"ping"}"#, "1 ping");
    check(r#"{"id":"","name":"ping"}"#, "made ping");
    check(r#"{"name":"ping", "id" : null}"#, "made ping");
    assert_eq!(read("{}").unwrap_err(), Error::Message(message::Error::MissingName));
    let wrong = message::Error::Field { field: "id", expected: "a string" };
    assert_eq!(read(r#"{"id":5,"name":"ping"}"#).unwrap_err(), Error::Message(wrong));
}

#[test]
fn a_frame_of_a_go_client_is_a_message() {
    let frame = r#"{"activityId":"a","auth":{"sessionId":"s"},"id":"1","isSecurity":true,"name":"create user","payload":null,"responseTime":0,"sender":"web","timestamp":"0001-01-01T00:00:00Z"}"#;
    let message = message(frame);
    assert_eq!(message.auth.unwrap().as_bytes(), "{\"sessionId\":\"s\"}");
    assert!(message.is_security);
    assert!(message.payload.unwrap().is_null());
}

#[test]
fn a_delivery_has_the_nine_keys_that_a_go_client_expects() {
    let mut message = message(r#"{"name":"user created","id":"1","activityId":"a","payload":{"id":456}}"#);
    let unset = r#"{"activityId":"a","auth":null,"id":"1","isSecurity":false,"name":"user created","payload":{"id":456},"responseTime":0,"sender":"","timestamp":"0001-01-01T00:00:00Z"}"#;
    assert_eq!(delivery_frame(&message, Dialect::ActivityId, None), unset);
    message.sender = Some(Role::parse("users").unwrap());
    message.auth = Some(Payload::of("1").unwrap());
    let timestamp = SystemTime::UNIX_EPOCH + Duration::new(1_795_354_892, 294_600_676);
    let stamp = Stamp { timestamp, response_time: Some(Duration::from_nanos(7_596_853)) };
    let full = r#"{"activityId":"a","auth":"1","id":"1","isSecurity":false,"name":"user created","payload":{"id":456},"responseTime":7596853,"sender":"users","timestamp":"2026-11-22T13:41:32.294600676Z"}"#;
    assert_eq!(delivery_frame(&message, Dialect::ActivityId, Some(&stamp)), full);
}

#[test]
fn a_time_that_rfc_3339_cannot_represent_is_written_as_no_time() {
    let message = message(r#"{"name":"a","id":"1","activityId":"a"}"#);
    let check = |timestamp: SystemTime, expected: &str| {
        let stamp = Stamp { timestamp, response_time: None };
        let frame = delivery_frame(&message, Dialect::ActivityId, Some(&stamp));
        let expected = format!(r#""timestamp":"{expected}"}}"#);
        assert!(frame.ends_with(expected.as_bytes()), "{frame:?}");
        assert!(Frame::from_bytes(&delivery_frame(&message, Dialect::ResponseTo, Some(&stamp))).is_ok());
    };
    let second = Duration::from_secs(1);
    check(SystemTime::UNIX_EPOCH, "1970-01-01T00:00:00.000000000Z");
    check(SystemTime::UNIX_EPOCH - second, NO_TIME);
    let last = SystemTime::UNIX_EPOCH + second * u32::try_from(YEAR_10_000_SECS / 60).unwrap() * 60;
    check(last - second, "9999-12-31T23:59:59.000000000Z");
    check(last, NO_TIME);
}

#[test]
fn an_older_peer_gets_response_to_and_numeric_times() {
    let mut message = message(r#"{"name":"user created","id":"1","payload":5}"#);
    let stamp = Stamp { timestamp: SystemTime::UNIX_EPOCH + Duration::from_nanos(7), response_time: None };
    let frame = delivery_frame(&message, Dialect::ResponseTo, Some(&stamp));
    assert_eq!(frame, r#"{"name":"user created","id":"1","payload":5,"timestamp":7}"#);
    message.response_to = Some(MessageId::parse("0").unwrap());
    let frame = delivery_frame(&message, Dialect::ResponseTo, Some(&stamp));
    assert_eq!(
        frame,
        r#"{"name":"user created","id":"1","payload":5,"timestamp":7,"responseTime":0,"responseTo":"0"}"#
    );
}

#[test]
fn liveness_needs_no_id() {
    assert_eq!(read(r#"{"name":"__status"}"#), Ok(Frame::Status));
    assert_eq!(read(r#"{"name":"__status-ok","sender":"r"}"#), Ok(Frame::Alive));
}

#[test]
fn acknowledgements_are_an_array() {
    assert_eq!(read(" [200]"), Ok(Frame::Answers(Bytes::from_static(b" [200]"))));
}

#[test]
fn a_wrong_type_is_named() {
    let check = |frame: &str, expected: &str| assert_eq!(read(frame).unwrap_err().to_string(), expected);
    check(r#"{"name":"a","id":5}"#, "\"id\" must be a string");
    check(r#"{"name":["a"],"id":"5"}"#, "\"name\" must be a string");
    check(r#"{"name":"a"}"#, "missing message id");
    check(r#"{"id":"1"}"#, "missing message name: expected a \"name\" beside the \"id\"");
    check(r#"{"name":"a","id":"5","isSecurity":"yes"}"#, "\"isSecurity\" must be true or false");
    check(r#"{"name":"exocom.register-service","sender":5}"#, "\"sender\" must be a string");
}

proptest! {
    #[test]
    fn a_broker_reads_what_a_relay_sends(
        name in "[a-z ]{1,9}", id in "[a-z\"ü]{1,9}", payload in proptest::option::of(any::<i64>()),
        auth in proptest::option::of("[a-z]{1,3}"), is_security: bool,
    ) {
        prop_assume!(name.trim() == name);
        let message = Message {
            payload: payload.map(|payload| Payload::of(&payload).unwrap()),
            auth: auth.map(|auth| Payload::of(&auth).unwrap()),
            is_security,
            ..Message::new(MessageId::parse(&id).unwrap(), MessageName::parse(&name).unwrap())
        };
        prop_assert_eq!(Frame::from_bytes(&sending_frame(&message)), Ok(Frame::Message(message.clone())));
        let delivered = delivery_frame(&message, Dialect::ResponseTo, None);
        let Frame::Message(read) = Frame::from_bytes(&delivered).unwrap() else { panic!() };
        prop_assert_eq!((read.id, read.name, read.payload), (message.id, message.name, message.payload));
    }

    #[test]
    fn registrations_survive_the_round_trip(
        names in proptest::collection::vec("[a-z. ]{1,9}", 0..4), namespace in proptest::option::of("[a-z]{1,9}"),
        token in proptest::option::of("[a-z]{1,9}"), instance in proptest::option::of("[a-z]{1,9}"), away: bool,
    ) {
        let names: Vec<_> = names.iter().map(|name| MessageName::parse(name).unwrap()).collect();
        let hello = Hello {
            role: Role::parse("users").unwrap(),
            dialect: Dialect::ActivityId,
            instance: instance.map(|text| InstanceId::parse(&text).unwrap()),
            sends: names.clone(),
            receives: names,
            namespace,
            token,
            away,
        };
        let id = MessageId::parse("1").unwrap();
        prop_assert_eq!(Frame::from_bytes(&hello.to_json(&id)), Ok(Frame::Register(Box::new(hello))));
    }

    #[test]
    fn a_truncated_frame_is_not_a_message(cut in 1_usize..60) {
        let frame = Bytes::from_static(br#"{"name":"create user","sender":"web","id":"1","activityId":"2"}"#);
        prop_assert!(Frame::from_bytes(&frame.slice(..cut.min(frame.len() - 1))).is_err());
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(Frame::from_bytes(&Bytes::from(bytes)));
    }
}
