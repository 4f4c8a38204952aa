//! Tests of `tail --broker` and `activity` against a fake broker.

use axum::body::Body;
use axum::http::Response;
use futures_util::{StreamExt, stream};

use super::program::exorelay;
use super::sidecar::{Call, Sidecar as Broker, answer, unused_address};

fn row(id: &str, extra: &str) -> String {
    format!(
        "{{\"at\":\"2026-11-22T13:41:32.294600Z\",\"id\":\"{id}\",\"name\":\"users.create\",\"publicName\":\"users.create\",\
         \"sender\":\"web\",\"activityId\":\"a\",\"receivers\":[{{\"role\":\"users\",\"instance\":\"u1\",\"name\":\"users.create\"}}],\
         \"payloadBytes\":2,\"fate\":\"routed\"{extra}}}"
    )
}

fn message(id: &str, extra: &str) -> String {
    format!("event: message\ndata: {}\n\n", row(id, extra))
}

const UNDELIVERED: &str = r#"{"id":"1","name":"users.create","sender":"web","receiver":"users","reason":"away","at":"2026-11-22T13:41:33.000Z","activityId":"a"}"#;

fn events(body: impl Into<Body>) -> Response<Body> {
    answer(200, &[("content-type", "text/event-stream")], body)
}

fn busy() -> Response<Body> {
    answer(503, &[], "{\"detail\":\"32 clients already follow the traffic\"}")
}

/// Runs `tail --broker BROKER ARGUMENTS` and checks its output and calls.
fn check(body: fn(usize) -> Response<Body>, arguments: &[&str], stdout: &str, calls: &[&str]) {
    let broker = Broker::start(move |_: &Call, before| body(before));
    let finished = exorelay(&[&["tail", "--broker", &broker.url()], arguments].concat()).finish();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), stdout), "{finished:?}");
    let greeting = format!("exorelay: following the traffic of {}", broker.url());
    assert!(finished.stderr.starts_with(&greeting), "{finished:?}");
    let called: Vec<_> =
        broker.lines(calls.len()).into_iter().filter(|line| line.starts_with("GET /traffic")).collect();
    assert_eq!(called, calls);
}

#[test]
fn text_output_has_a_line_for_each_message_failure_and_gap() {
    let all = |_| {
        let failure = format!("event: undelivered\ndata: {UNDELIVERED}\n\n");
        let gap = "event: missed\ndata: {\"missed\":7}\n\n";
        let last = message("2", ",\"responseTimeMs\":7.596,\"payload\":{\"a\":1}");
        events(message("1", "") + ": still here\n\n" + &failure + gap + &last)
    };
    let stdout = "2026-11-22T13:41:32.294600Z web  --[ users.create ]->  users\n\
        2026-11-22T13:41:33.000Z web  --[ users.create ]-x  users: away\n\
        (7 left out)\n\
        2026-11-22T13:41:32.294600Z web  --[ users.create ]->  users  ( 7.6 ms )\n{\"a\":1}\n";
    check(all, &["--count", "2", "--output", "text"], stdout, &["GET /traffic"]);
}

#[test]
fn json_output_has_a_line_for_each_event() {
    let both = |_| events(format!("event: undelivered\ndata: {UNDELIVERED}\n\n") + &message("1", ""));
    let stdout = format!("{{\"undelivered\":{UNDELIVERED}}}\n{}\n", row("1", ""));
    check(both, &["--count", "1"], &stdout, &["GET /traffic"]);
}

#[test]
fn filters_are_sent_to_the_broker() {
    let arguments = ["--name", "a b", "--role", "users", "--activity", "x&y", "--payloads", "--count", "1"];
    let call = "GET /traffic?message=a%20b&role=users&activity=x%26y&payloads=true";
    check(|_| events(message("1", "")), &arguments, &format!("{}\n", row("1", "")), &[call]);
}

#[test]
fn tail_reconnects_to_a_restarted_broker() {
    let restarts = |before| match before {
        0 => events(message("1", "")),
        1 => busy(),
        _ => events(message("2", "")),
    };
    let stdout = format!("{}\n{}\n", row("1", ""), row("2", ""));
    check(restarts, &["--count", "2"], &stdout, &["GET /traffic", "GET /traffic", "GET /traffic"]);
}

#[test]
fn a_refusal_of_the_broker_ends_tail_with_its_detail() {
    for (status, detail, expected) in [
        (403, "payloads are hidden", "exorelay: payloads are hidden\n"),
        (503, "32 follow", "exorelay: cannot follow BROKER: 32 follow\n"),
    ] {
        let broker = Broker::start(move |_, _| answer(status, &[], format!("{{\"detail\":\"{detail}\"}}")));
        let finished = exorelay(&["tail", "--broker", &broker.url()]).finish();
        finished.check(1, &expected.replace("BROKER", &broker.url()));
    }
}

#[test]
fn control_c_ends_tail_cleanly() {
    let first = |_: &Call, _| {
        let one = stream::iter([Ok::<_, std::io::Error>(message("1", ""))]);
        events(Body::from_stream(one.chain(stream::pending())))
    };
    let broker = Broker::start(first);
    let mut tail = exorelay(&["tail", "--broker", &broker.url()]).start();
    assert_eq!(tail.line(), row("1", ""));
    tail.interrupt();
    assert_eq!(tail.finish().code, Some(0));
}

/// Returns an activity of three messages, the last of which was not delivered.
fn activity_json() -> String {
    let with = |row: String, extra: &str| format!("{}{extra}}}", row.strip_suffix('}').unwrap());
    let first = with(row("1", ""), ",\"parent\":null,\"afterMs\":0.0");
    let reply = row("2", ",\"responseTo\":\"1\",\"responseTimeMs\":7.596").replace("users.create", "users.created");
    let reply = with(reply, ",\"parent\":\"1\",\"afterMs\":7.6");
    let lost = ",\"parent\":null,\"afterMs\":12.34,\"undelivered\":[{\"receiver\":\"users\",\"reason\":\"away\",\"afterMs\":1012.3}]";
    format!("{{\"activityId\":\"a\",\"messages\":[{first},{reply},{}]}}", with(row("3", ""), lost))
}

#[test]
fn an_activity_is_printed_as_a_timeline() {
    let broker = Broker::start(|_, _| answer(200, &[], activity_json()));
    let finished = exorelay(&["activity", "a/b", "--broker", &broker.url()]).finish();
    let expected = "\
activity a: 3 messages, from 2026-11-22T13:41:32.294600Z on
+0.00 ms  web  --[ users.create ]->  users
 +7.6 ms    web  --[ users.created ]->  users  answered after 7.6 ms
+12.3 ms  web  --[ users.create ]->  users
 +1.01 s    x  users: away
";
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), expected));
    assert_eq!(broker.lines(1), ["GET /activities/a%2Fb"]);
}

#[test]
fn json_output_of_an_activity_is_one_line() {
    let broker = Broker::start(|_, _| answer(200, &[], activity_json()));
    let finished = exorelay(&["activity", "a", "--broker", &broker.url(), "--output", "json"]).finish();
    assert_eq!((finished.code, finished.stdout), (Some(0), format!("{}\n", activity_json())));
}

#[test]
fn the_configured_broker_is_the_default() {
    for (key, value) in [
        ("EXORELAY__BUS__URL", "http://BROKER/"),
        ("EXORELAY__BUS__URL", "ws://BROKER"),
        ("EXORELAY__BROKER__ADDRESS", "BROKER"),
    ] {
        let broker = Broker::start(|_, _| answer(200, &[], activity_json()));
        let activity = exorelay(&["activity", "a"]).env("EXORELAY__BUS__URL", "embedded");
        activity.env(key, &value.replace("BROKER", &broker.address())).finish().check(0, "activity a: 3 messages");
        assert_eq!(broker.lines(1), ["GET /activities/a"]);
    }
}

#[test]
fn an_unknown_activity_is_an_error() {
    let broker = Broker::start(|_, _| answer(404, &[], "{\"detail\":\"no record of activity \\\"a\\\"\"}"));
    let finished = exorelay(&["activity", "a", "--broker", &broker.url()]).finish();
    let expected = "exorelay: no record of activity \"a\"\n".to_owned();
    assert_eq!((finished.code, finished.stdout, finished.stderr), (Some(1), String::new(), expected));
}

#[test]
fn an_answer_of_another_server_is_an_error() {
    let broker = Broker::start(|_, _| answer(200, &[], "<html>"));
    let finished = exorelay(&["activity", "a", "--broker", &broker.url()]).finish();
    finished.check(1, "does not answer like a broker: expected value at line 1 column 1\n");
    let broker = unused_address();
    let expected =
        format!("exorelay: no broker at http://{broker}: start one with `exorelay broker` or give --broker\n");
    for tool in [&["activity", "a"][..], &["tail"]] {
        let finished = exorelay(&[tool, &["--broker", &broker]].concat()).finish();
        assert_eq!((finished.code, finished.stderr), (Some(1), expected.clone()), "{tool:?}");
    }
}
