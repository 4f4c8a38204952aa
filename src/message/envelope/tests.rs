use proptest::prelude::*;

use super::*;

fn name(text: &str) -> Option<MessageName> {
    Some(MessageName::parse(text).unwrap())
}

fn check(body: &'static str, expected: Result<Message, Error>) {
    assert_eq!(Message::from_json(name("hello"), &Bytes::from(body)), expected, "{body}");
}

fn hello(id: &str) -> Message {
    Message::new(MessageId::parse(id).unwrap(), MessageName::parse("hello").unwrap())
}

#[test]
fn an_envelope_with_only_an_id_is_a_message_without_payload() {
    check(r#"{"id":"1"}"#, Ok(hello("1")));
}

#[test]
fn payloads_of_every_kind_arrive_as_written() {
    for payload in ["{}", "[]", "\"\"", "0", "false", "null", "{ \"a\" : 1.0 }"] {
        let body = Bytes::from(format!("{{\"id\":\"1\",\"payload\":{payload}}}"));
        let message = Message::from_json(name("hello"), &body).unwrap();
        assert_eq!(message.payload.unwrap().as_bytes(), payload);
    }
}

#[test]
fn a_missing_or_empty_id_is_reported() {
    for body in ["", "{}", r#"{"id":""}"#, r#"{"id":null}"#, r#"{"payload":{"id":"1"}}"#] {
        check(body, Err(Error::MissingId));
    }
    assert_eq!(Error::MissingId.to_string(), "missing message id");
}

#[test]
fn a_field_of_the_wrong_type_is_named() {
    check(r#"{"id":5}"#, Err(Error::Field { field: "id", expected: "a string" }));
    check(r#"{"id":"1","responseTo":[]}"#, Err(Error::Field { field: "responseTo", expected: "a string" }));
    check(r#"{"id":"1","isSecurity":1}"#, Err(Error::Field { field: "isSecurity", expected: "true or false" }));
}

#[test]
fn a_body_that_is_not_an_object_is_refused() {
    for body in ["[]", "\"hello\"", "5", "null"] {
        check(body, Err(Error::NotAnObject));
    }
}

#[test]
fn the_name_in_the_url_takes_precedence_over_the_one_in_the_body() {
    check(r#"{"id":"1","name":"other","unknown":true}"#, Ok(hello("1")));
    assert_eq!(Message::from_json(None, &Bytes::from(r#"{"id":"1"}"#)), Err(Error::MissingName));
}

#[test]
fn a_small_payload_does_not_keep_its_large_body_in_memory() {
    let body = |payload: usize, junk: usize| {
        let (payload, junk) = ("x".repeat(payload), "y".repeat(junk));
        Bytes::from(format!(r#"{{"id":"1","name":"a","payload":"{payload}","auth":"z","junk":"{junk}"}}"#))
    };
    let shares = |body: &Bytes, value: &Payload| body.as_ptr_range().contains(&value.as_bytes().as_ptr());
    for (payload, junk, shared) in [(9, 9, true), (9, 4_000, false), (4_000, 9, true)] {
        let body = body(payload, junk);
        let message = Message::from_json(None, &body).unwrap();
        assert_eq!(shares(&body, &message.payload.unwrap()), shared, "{payload} {junk}");
    }
    let item = String::from_utf8(body(900, 0).to_vec()).unwrap();
    let list = Bytes::from(format!("[{item},{item},{item}]"));
    for message in Message::list_from_json(&list).unwrap() {
        assert!(!shares(&list, &message.unwrap().payload.unwrap()));
    }
}

#[test]
fn an_activity_defaults_to_the_answered_message_then_to_the_message_itself() {
    let mut message = hello("3");
    assert_eq!(message.conversation().as_str(), "3");
    message.response_to = Some(MessageId::parse("2").unwrap());
    assert_eq!(message.conversation().as_str(), "2");
    message.activity_id = Some(ActivityId::parse("1").unwrap());
    assert_eq!(message.conversation().as_str(), "1");
}

fn messages() -> impl Strategy<Value = Message> {
    let text = || "[a-zA-Z0-9 \"\\\\/üあ-]{1,20}";
    let option = proptest::option::of(text());
    let more = (option.clone(), any::<bool>());
    (text(), text(), option.clone(), option.clone(), option.clone(), option, more).prop_map(
        |(id, name, payload, sender, activity, response, (auth, is_security))| Message {
            id: MessageId::parse(&id).unwrap(),
            name: MessageName::parse(&name).unwrap(),
            payload: payload.map(|text| Payload::of(&text).unwrap()),
            sender: sender.map(|text| Role::parse(&text).unwrap()),
            activity_id: activity.map(|text| ActivityId::parse(&text).unwrap()),
            response_to: response.map(|text| MessageId::parse(&text).unwrap()),
            auth: auth.map(|text| Payload::of(&text).unwrap()),
            is_security,
            trace: TraceParent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            properties: Properties { hops: u32::from(is_security), ..Properties::default() },
        },
    )
}

proptest! {
    #[test]
    fn messages_survive_the_round_trip(message in messages()) {
        prop_assert_eq!(Message::from_json(None, &message.to_json()).unwrap(), message);
    }

    #[test]
    fn lists_survive_the_round_trip(list in proptest::collection::vec(messages(), 0..5)) {
        let read: Vec<_> = Message::list_from_json(&Message::list_to_json(&list)).unwrap();
        prop_assert_eq!(read.into_iter().collect::<Result<Vec<_>, _>>().unwrap(), list);
    }

    #[test]
    fn an_envelope_cut_anywhere_is_refused(message in messages(), cut in 0_usize..300) {
        let json = message.to_json();
        if cut > 0 && cut < json.len() {
            prop_assert!(Message::from_json(None, &json.slice(..cut)).is_err());
        }
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(Message::from_json(None, &Bytes::from(bytes.clone())));
        drop(Message::list_from_json(&Bytes::from(bytes)));
    }
}
