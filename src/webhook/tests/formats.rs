//! Requests as the service sees them.

use super::service::{Reaction, answer, json};
use super::world::{TRACE, World, full_message, message, quick};
use crate::message::{Message, MessageName};
use crate::webhook::{Config, Format};

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

/// Delivers `message` and compares the single call: path, body and headers. An empty value means the header is absent.
async fn check(config: Config, message: Message, path: &str, body: &[u8], headers: &[(&str, &str)]) {
    let world = World::start(config, []).await;
    assert_eq!(world.handle(message).await, Ok(()));
    let calls = world.service.calls();
    let [call] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!(call.path, path);
    assert_eq!(call.body, body);
    assert_eq!(call.header("host"), world.service.url.trim_start_matches("http://"));
    for (name, value) in headers {
        assert_eq!(call.header(name), *value, "{name}");
    }
}

#[tokio::test]
async fn the_envelope_is_the_body() {
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("traceparent", TRACE),
        ("ce-type", ""),
        ("webhook-id", ""),
    ];
    let message = full_message();
    check(quick(), message.clone(), "/run/users.create", &message.to_json(), &headers).await;
}

#[tokio::test]
async fn a_minimal_message_has_no_trace() {
    let minimal = Message { payload: None, ..message("1") };
    check(quick(), minimal, "/run/users.create", br#"{"id":"1","name":"users.create"}"#, &[("traceparent", "")]).await;
}

#[tokio::test]
async fn names_are_percent_encoded_in_the_path() {
    let odd = Message { name: MessageName::parse("a/b c?d#é%").unwrap(), ..message("1") };
    check(quick(), odd.clone(), "/run/a%2Fb%20c%3Fd%23%C3%A9%25", &odd.to_json(), &[]).await;
}

#[tokio::test]
async fn an_event_has_its_attributes_in_headers_and_the_payload_as_body() {
    let config = Config { format: Format::Cloudevents, ..quick() };
    let headers = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "8"),
        ("ce-source", "/exorelay/web"),
        ("ce-type", "users.create"),
        ("ce-activityid", "7"),
        ("ce-responseto", "6"),
        ("ce-traceparent", TRACE),
        ("traceparent", TRACE),
    ];
    check(config, full_message(), "/run/users.create", b"{ \"name\": \"Will\" }", &headers).await;
}

#[tokio::test]
async fn an_event_without_data_has_no_content_type() {
    let config = Config { format: Format::Cloudevents, ..quick() };
    let headers = [("content-type", ""), ("ce-source", "/exorelay/unknown"), ("ce-activityid", "")];
    check(config, Message { payload: None, ..message("1") }, "/run/users.create", b"", &headers).await;
}

#[tokio::test]
async fn an_event_in_the_answer_is_the_reply() {
    let event = |content_type: &str, body: &'static str| answer(200, body).header("content-type", content_type);
    let script = [
        event("application/json", "{ \"id\": 1 }").header("ce-type", "users%20created").header("ce-id", "5"),
        event("application/cloudevents+json", r#"{"specversion":"1.0","type":"second","data":2}"#),
        json(r#"{"reply":{"name":"third","payload":3}}"#),
        answer(204, "").header("ce-type", "fourth"),
    ];
    let config = Config { format: Format::Cloudevents, ..quick() };
    let world = World::start(config, script.map(Reaction::from)).await;
    for id in ["1", "2", "3", "4"] {
        assert_eq!(world.handle(message(id)).await, Ok(()));
    }
    assert_eq!(world.sent(), ["users created { \"id\": 1 }", "second 2", "third 3", "fourth"]);
}

#[tokio::test]
async fn a_repeated_call_has_the_number_of_the_attempt() {
    for (format, in_body, event_header) in [(Format::Exocom, true, ""), (Format::Cloudevents, false, "2")] {
        let config = Config { format, ..quick() };
        let world = World::start(config, [Reaction::from(answer(500, ""))]).await;
        assert_eq!(world.handle(full_message()).await, Ok(()));
        let [first, second] = world.service.calls().try_into().unwrap();
        assert_eq!((first.header("exo-attempt"), second.header("exo-attempt")), ("1", "2"));
        assert_eq!((first.header("ce-attempt"), second.header("ce-attempt")), ("", event_header));
        assert!(!first.body.ends_with(b",\"attempt\":1}"));
        assert_eq!(second.body.ends_with(b",\"attempt\":2}"), in_body);
    }
}

#[tokio::test]
async fn every_attempt_is_signed_anew_under_the_same_id() {
    let config = Config { secret: vec![SECRET.to_owned()], ..quick() };
    let world = World::start(config, [Reaction::from(answer(500, ""))]).await;
    assert_eq!(world.handle(full_message()).await, Ok(()));
    let calls = world.service.calls();
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert_eq!(call.header("webhook-id"), "8");
        let secret = crate::webhook::wire::Secret::parse(SECRET).unwrap();
        let signature = secret.sign("8", call.header("webhook-timestamp"), &call.body);
        assert_eq!(call.header("webhook-signature"), signature);
        assert!(call.header("webhook-timestamp").parse::<u64>().unwrap() > 1_700_000_000);
    }
}
