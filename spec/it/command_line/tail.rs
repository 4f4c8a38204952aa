//! Tests of `tail` against a fake sidecar.

use axum::body::Body;
use axum::http::Response;
use futures_util::{StreamExt, stream};

use super::super::eventually::pause;
use super::program::exorelay;
use super::sidecar::{Call, Sidecar, answer};

/// Returns the line on stderr of a `tail` that acknowledges.
fn greeting(sidecar: &Sidecar) -> String {
    format!(
        "exorelay: following all messages on the sidecar at {}; each is acknowledged when it is printed (--no-ack: never; \
         --exec CMD: when CMD has handled it)\n",
        sidecar.url()
    )
}

fn event(id: usize) -> String {
    format!("event: message\nid: {id}\ndata: {{\"id\":\"{id}\",\"name\":\"hello\",\ndata: \"payload\":{id}}}\n\n")
}

fn events(body: impl Into<Body>) -> Response<Body> {
    answer(200, &[("content-type", "text/event-stream")], body)
}

/// Returns one event, and keeps the connection open.
fn one_and_silence() -> Response<Body> {
    let first = stream::iter([Ok::<_, std::io::Error>(event(1))]);
    events(Body::from_stream(first.chain(stream::pending())))
}

/// Returns an endless sequence of events, one every few milliseconds.
fn endless_events() -> Response<Body> {
    events(Body::from_stream(stream::unfold(1, |id| async move {
        pause(5).await;
        Some((Ok::<_, std::io::Error>(event(id)), id + 1))
    })))
}

/// Starts a fake sidecar that answers `GET /messages` with `body`, and acknowledgements with success.
fn sidecar(body: fn(usize) -> Response<Body>) -> Sidecar {
    Sidecar::start(
        move |call: &Call, before| {
            if call.line.starts_with("GET /messages") { body(before) } else { answer(204, &[], "") }
        },
    )
}

/// Runs `tail ARGUMENTS` and checks its lines, without timestamps, and its calls.
fn check(sidecar: &Sidecar, arguments: &[&str], lines: &[&str], calls: &[&str]) {
    let finished = exorelay(&[&["tail", "--api", &sidecar.url()], arguments].concat()).finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let printed = finished.stdout.lines().map(|line| line.split_once("Z ").map_or(line, |(_, rest)| rest));
    assert_eq!(printed.collect::<Vec<_>>(), lines);
    assert_eq!(sidecar.lines(calls.len()), calls);
}

#[test]
fn messages_are_printed_and_acknowledged() {
    let sidecar = sidecar(|_| events(event(1) + ": ping\n\n" + &event(2)));
    let calls = ["GET /messages", "POST /messages/1/ack", "POST /messages/2/ack"];
    check(&sidecar, &["--count", "2"], &["hello - 1", "hello - 2"], &calls);
}

#[test]
fn no_ack_does_not_acknowledge() {
    check(&sidecar(|_| events(event(1))), &["--count", "1", "--no-ack"], &["hello - 1"], &["GET /messages"]);
}

#[test]
fn json_output_is_one_envelope_per_line() {
    let json = ["{\"id\":\"1\",\"name\":\"hello\",\"payload\":1}"];
    check(&sidecar(|_| events(event(1))), &["--count", "1", "--no-ack", "--output", "json"], &json, &["GET /messages"]);
}

#[test]
fn messages_of_other_names_are_not_acknowledged() {
    let sidecar = sidecar(|_| events(event(1) + &event(2).replace("hello", "users.created")));
    let calls = ["GET /messages?name=users.created,b%20c", "POST /messages/2/ack"];
    check(&sidecar, &["--count", "1", "--name", "users.created,b c"], &["users.created - 2"], &calls);
}

#[test]
fn tail_reconnects() {
    let sidecar = sidecar(|before| match before {
        0 => events(event(1)),
        1 => answer(503, &[], ""),
        _ => events(event(2)),
    });
    let calls = ["GET /messages", "GET /messages", "GET /messages"];
    check(&sidecar, &["--count", "2", "--no-ack"], &["hello - 1", "hello - 2"], &calls);
}

#[test]
fn a_refusal_ends_tail() {
    let sidecar = sidecar(|_| answer(404, &[], "{\"detail\":\"cannot GET /messages\"}"));
    let finished = exorelay(&["tail", "--api", &sidecar.url()]).finish();
    finished.check(1, "exorelay: cannot GET /messages\n");
}

#[test]
fn control_c_ends_tail_cleanly() {
    let sidecar = sidecar(|_| one_and_silence());
    let mut tail = exorelay(&["tail", "--api", &sidecar.url()]).start();
    assert!(tail.line().ends_with("Z hello - 1"));
    tail.interrupt();
    let finished = tail.finish();
    assert_eq!((finished.code, finished.stderr), (Some(0), greeting(&sidecar)));
}

#[test]
fn a_closed_stdout_ends_tail_cleanly() {
    let sidecar = sidecar(|_| endless_events());
    let mut tail = exorelay(&["tail", "--no-ack", "--api", &sidecar.url()]).start();
    assert!(tail.line().ends_with("Z hello - 1"));
    drop(tail.stdout());
    let finished = tail.finish();
    let greeting =
        format!("exorelay: following all messages on the sidecar at {}; none is acknowledged\n", sidecar.url());
    assert_eq!((finished.code, finished.stderr), (Some(0), greeting));
}

#[test]
fn tail_says_whose_messages_it_follows_who_shares_them_and_which_names_are_misspelt() {
    let sidecar = Sidecar::start(|call: &Call, _| match call.line.starts_with("GET /messages") {
        false => answer(204, &[], ""),
        true => {
            let headers = [
                ("content-type", "text/event-stream"),
                ("exo-role", "us%20ers"),
                ("exo-followers", "3"),
                ("exo-not-received", "helo=hello,wor%2Cld"),
            ];
            answer(200, &headers, event(1).replace("hello", "helo"))
        }
    });
    let finished = exorelay(&["tail", "--api", &sidecar.url(), "--name", "helo", "--count", "1"]).finish();
    let lines: Vec<&str> = finished.stderr.lines().collect();
    assert!(lines[0].starts_with(&format!("exorelay: following helo on the sidecar of us ers at {};", sidecar.url())));
    assert_eq!(
        lines[1..],
        [
            "exorelay: shared with 2 more: each message goes to one of the followers",
            "exorelay: no such message is received here: helo; did you mean hello? (it can still come as a reply)",
            "exorelay: no such message is received here: wor,ld (it can still come as a reply)",
        ]
    );
}

#[test]
fn tail_waits_for_a_sidecar_that_is_not_up_yet() {
    let address = super::super::stage::reserve_address();
    let tail = exorelay(&["tail", "--api", &address, "--count", "1", "--retry-for", "30"]).start();
    let sidecar = Sidecar::start_at(&address, |call: &Call, _| match call.line.starts_with("GET /messages") {
        true => events(event(1)),
        false => answer(204, &[], ""),
    });
    let finished = tail.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(sidecar.lines(2), ["GET /messages", "POST /messages/1/ack"]);
}
