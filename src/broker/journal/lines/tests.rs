//! Log lines of each style.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::message::{ActivityId, InstanceId, Message, MessageName, Role};

const STYLES: [Style; 3] = [Style::Http, Style::Namespaces, Style::Go];

fn role(text: &str) -> Role {
    Role::parse(text).unwrap()
}

fn name(text: &str) -> MessageName {
    MessageName::parse(text).unwrap()
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

fn routed(receivers: &[(&str, &str)], millis: impl Into<Option<u64>>) -> Routed {
    let body = Bytes::from("{\"id\":\"1\",\"sender\":\"web\",\"payload\":{\n\"a b\": \"c \\\" d\" }}");
    let message = Message::from_json(Some(name("tweets.create")), &body).unwrap();
    let receivers = receivers.iter().map(|(receiver, called)| (role(receiver), name(called))).collect();
    Routed { message, receivers, response_time: millis.into().map(Duration::from_millis) }
}

fn check(style: Style, receivers: &[(&str, &str)], payloads: bool, expected: &[&str]) {
    assert_eq!(texts(&style.routed(&routed(receivers, None), payloads)), expected, "{style:?}");
}

#[test]
fn a_delivery_is_one_line_that_names_sender_message_and_receivers() {
    let receivers = [("tweets", "tweets.create"), ("log", "tweets.create")];
    for style in [Style::Http, Style::Namespaces] {
        check(style, &receivers, false, &["web  --[ tweets.create ]->  tweets and log"]);
    }
    let expected = ["web  --[ tweets.create ]->  tweets", "web  --[ tweets.create ]->  log"];
    check(Style::Go, &receivers, false, &expected);
}

#[test]
fn a_translated_delivery_shows_both_names() {
    for style in STYLES {
        let expected = ["web  --[ tweets.create ]-[ text.create ]->  tweets"];
        check(style, &[("tweets", "text.create")], false, &expected);
    }
}

#[test]
fn the_payload_follows_on_one_line_if_requested() {
    let payload = r#"{"a b":"c \" d"}"#;
    let receivers = [("tweets", "tweets.create"), ("log", "create")];
    let (first, second) = ("web  --[ tweets.create ]->  tweets", "web  --[ tweets.create ]-[ create ]->  log");
    check(Style::Http, &receivers, true, &[second, payload, first, payload]);
    check(Style::Namespaces, &receivers, true, &[second, payload, first, payload]);
    check(Style::Go, &receivers, true, &[first, payload, second, payload]);
}

#[test]
fn a_message_without_sender_and_payload_has_a_line_too() {
    let message = Message { sender: None, payload: None, ..routed(&[], None).message };
    let routed = Routed { message, ..routed(&[("web", "tweets.create")], None) };
    assert_eq!(texts(&Style::Http.routed(&routed, true)), ["?  --[ tweets.create ]->  web", "undefined"]);
    assert_eq!(texts(&Style::Go.routed(&routed, true)), ["  --[ tweets.create ]->  web", "null"]);
}

#[test]
fn a_reply_shows_its_response_time() {
    let routed = routed(&[("web", "tweets.create")], 1_500);
    let way = "web  --[ tweets.create ]->  web";
    assert_eq!(texts(&Style::Http.routed(&routed, false)), [way]);
    assert_eq!(texts(&Style::Namespaces.routed(&routed, false)), [format!("{way}  (1500.00 ms)")]);
    assert_eq!(texts(&Style::Go.routed(&routed, false)), [format!("{way}  ( 1.5s )")]);
    // Replies to requests that are not known, or no longer.
    let message = Message { response_to: Some(routed.message.id.clone()), ..routed.message.clone() };
    let stray = Routed { message, response_time: None, ..routed };
    assert_eq!(texts(&Style::Namespaces.routed(&stray, false)), [format!("{way}  (NaN ms)")]);
    assert_eq!(texts(&Style::Go.routed(&stray, false)), [way]);
}

#[test]
fn notes_have_the_wording_of_the_originals() {
    let check = |note: Note, expected: &[&str]| {
        assert!(Style::Http.noted(&note).is_empty());
        for style in [Style::Namespaces, Style::Go] {
            assert_eq!(texts(&style.noted(&note)), expected);
        }
    };
    let (web, create) = (role("web"), name("create user"));
    let instance = InstanceId::parse("web-1").unwrap();
    check(Note::Registered { role: web.clone(), instance: instance.clone() }, &["'web' registered"]);
    check(Note::Disconnected { role: web.clone(), instance }, &["'web' disconnected"]);
    check(
        Note::Forbidden { sender: Some(web.clone()), name: create.clone() },
        &["Warning: Service 'web' is not allowed to broadcast the message 'create user'"],
    );
    check(Note::NoReceivers { name: create.clone() }, &["Warning: No receivers for message 'create user' registered"]);
    check(Note::NoService { role: web.clone() }, &["No connected service for role 'web'"]);
    check(
        Note::Unauthorized { name: create, sender: Some(web), activity: ActivityId::parse("333").unwrap() },
        &["Warning: Unauthorized message 'create user' from 'web' with activityId '333'"],
    );
    check(Note::BadUpgrade { cause: "no".into() }, &["Error upgrading request to websocket: no"]);
    check(
        Note::BadFrame { role: None, instance: None, raw: "{\n\x1b[2J".into(), cause: "not JSON".into() },
        &[
            "Error listening for messages for  : Error unmarshaling message: '{  [2J': not JSON",
            "Warning: Service '' is not allowed to broadcast the message ''",
        ],
    );
}

#[test]
fn only_terminals_get_colours() {
    let lines = [Line::plain("a"), Line::warning("b"), Line::error("c")];
    let shown = lines.each_ref().map(|line| line.text(Colours::Shown));
    assert_eq!(shown, ["a\n", "\x1b[33mWarning: b\x1b[0m\n", "\x1b[31mc\x1b[0m\n"]);
    let left_out = lines.each_ref().map(|line| line.text(Colours::LeftOut));
    assert_eq!(left_out, ["a\n", "Warning: b\n", "c\n"]);
}
