//! Tests of `tail --exec` against a fake sidecar.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Response;
use futures_util::{StreamExt, stream};

use super::program::{Finished, exorelay};
use super::sidecar::{Call, Sidecar, answer, unused_address};

fn event(id: usize, more: &str) -> String {
    let data = format!(
        "{{\"id\":\"{id}\",\"name\":\"hello\",\"payload\":{id},\"sender\":\"web\",\"activityId\":\"a\"{more}}}"
    );
    format!("event: message\nid: {id}\ndata: {data}\n\n")
}

/// A fake sidecar that sends these events over the first connection, and none over later ones.
fn sidecar(events: String) -> Sidecar {
    answering(events, |_| answer(204, &[], ""))
}

fn answering(events: String, other: fn(&Call) -> Response<Body>) -> Sidecar {
    let connections = Arc::new(AtomicUsize::new(0));
    Sidecar::start(move |call, _| {
        if !call.line.starts_with("GET ") {
            return other(call);
        }
        let events = if connections.fetch_add(1, Ordering::Relaxed) == 0 { events.clone() } else { String::new() };
        let first = stream::iter([Ok::<_, std::io::Error>(events)]);
        answer(200, &[("content-type", "text/event-stream")], Body::from_stream(first.chain(stream::pending())))
    })
}

/// Runs `tail ARGUMENTS`, and expects these calls besides that to follow, in any order.
fn check(sidecar: &Sidecar, arguments: &[&str], code: i32, calls: &[&str]) -> Finished {
    let finished =
        exorelay(&[&["tail", "--api", &sidecar.url()], arguments].concat()).env("PATH", "/usr/bin:/bin").finish();
    assert_eq!(finished.code, Some(code), "{finished:?}");
    let mut lines = sidecar.lines(calls.len() + 1);
    assert_eq!(lines.remove(0), "GET /messages?declared=true&unacknowledged=1");
    lines.sort();
    assert_eq!(lines, calls);
    finished
}

#[test]
fn a_message_is_acknowledged_once_its_command_has_succeeded() {
    let sidecar = sidecar(event(1, "") + &event(2, ",\"attempt\":3"));
    let command = "echo $EXO_MESSAGE $EXO_MESSAGE_ID $EXO_ACTIVITY_ID $EXO_SENDER $EXO_ATTEMPT $(cat)";
    let calls = ["POST /messages/1/ack?sender=web", "POST /messages/2/ack?sender=web"];
    let finished = check(&sidecar, &["--count", "2", "--exec", command], 0, &calls);
    let greeting = format!(
        "exorelay: following the messages that the service receives on the sidecar at {}; each is acknowledged when the command \
         has handled it\n",
        sidecar.url()
    );
    assert_eq!((finished.stdout.as_str(), finished.stderr), ("hello 1 a web 1 1\nhello 2 a web 3 2\n", greeting));
}

#[test]
fn the_output_is_the_reply() {
    let json = "printf '\\n{\"user\": %s}\\n' $(cat)";
    let object = "echo '{\"reply\":{\"name\":\"users.created\",\"payload\":{\"user\": 1}}}'";
    for arguments in [&["--exec", json, "--reply", "users.created"][..], &["--exec", object]] {
        let sidecar = sidecar(event(1, ",\"auth\":{\"u\":1}"));
        let calls = ["POST /messages/1/ack?sender=web", "POST /reply/users.created"];
        check(&sidecar, &[&["--count", "1"], arguments].concat(), 0, &calls);
        let calls = sidecar.calls();
        let reply = calls.iter().find(|call| call.line == "POST /reply/users.created").unwrap();
        assert_eq!(reply.body, "{\"user\": 1}");
        for header in ["exo-response-to: 1", "exo-activity-id: a", "exo-auth: {\"u\":1}"] {
            assert!(reply.headers.iter().any(|other| other == header), "{reply:?}");
        }
        assert!(
            calls.iter().position(|call| call == reply)
                < calls.iter().position(|call| call.line.ends_with("sender=web"))
        );
    }
}

#[test]
fn a_failed_message_is_given_back_and_others_are_handled() {
    for (command, timeout, reason) in [
        ("test $(cat) = 2", "9s", "exit status: 1"),
        ("test $(cat) = 2 || kill -9 $$", "9s", "signal: 9"),
        ("test $(cat) = 2 || sleep 60 | sleep 60", "300ms", "it was ended after 300ms"),
        ("test $(cat) = 2 || yes", "9s", "its output is over the limit of 1048576 bytes"),
    ] {
        let sidecar = sidecar(event(1, "") + &event(2, ""));
        let calls = ["POST /messages/1/retry?sender=web", "POST /messages/2/ack?sender=web"];
        let finished = check(&sidecar, &["--count", "1", "--timeout", timeout, "--exec", command], 0, &calls);
        let expected = format!("exorelay: attempt 1 to handle hello 1 failed: {reason}");
        assert!(finished.stderr.contains(&expected), "{finished:?}");
    }
}

#[test]
fn a_message_whose_reply_is_malformed_or_not_sent_is_given_back() {
    let refused = "{\"reply\":{\"name\":\"refused\"}}";
    for (output, reply, reason) in [
        ("{\"user\": ", &["--reply", "users.created"][..], "its output is not the payload of users.created: "),
        ("OK", &["--reply", "users.created"], "its output is not the payload of users.created: "),
        ("{\"reply\": ", &[], "its output is not a reply: the answer is not valid JSON: "),
        ("{\"reply\":{\"payload\":1}}", &[], "its output is not a reply: "),
        (refused, &[], "its reply refused was not sent: not allowed"),
        ("1", &["--reply", "refused"], "its reply refused was not sent: not allowed"),
    ] {
        let sidecar = answering(event(1, "") + &event(2, ""), |call| match call.line.as_str() {
            "POST /reply/refused" => answer(403, &[], "{\"detail\":\"not allowed\"}"),
            _ => answer(204, &[], ""),
        });
        let command = format!("test $(cat) = 2 || echo '{output}'");
        let arguments = [&["--count", "1", "--exec", &command][..], reply].concat();
        let mut calls = vec!["POST /messages/1/retry?sender=web", "POST /messages/2/ack?sender=web"];
        calls.extend(reason.starts_with("its reply").then_some("POST /reply/refused"));
        let finished = check(&sidecar, &arguments, 0, &calls);
        let expected = format!("exorelay: attempt 1 to handle hello 1 failed: {reason}");
        assert!(finished.stderr.contains(&expected), "{finished:?}");
        assert_eq!(finished.stdout, "");
    }
}

#[test]
fn a_command_that_is_not_there_ends_tail_and_gives_its_message_back() {
    for (command, cause) in [("./nope", "does not find a command"), ("/", "cannot execute")] {
        let sidecar = sidecar(event(1, ""));
        let finished = check(&sidecar, &["--exec", command], 1, &["POST /messages/1/retry?sender=web"]);
        finished.check(1, cause);
        finished.check(1, "was not acknowledged and will be delivered again");
    }
}

#[test]
fn exec_without_a_sidecar_ends_with_its_error() {
    let address = unused_address();
    let finished = exorelay(&["tail", "--api", &address, "--exec", "true"]).finish();
    let expected = format!("exorelay: no sidecar at http://{address}: start one with `exorelay dev` or give --api\n");
    assert_eq!((finished.code, finished.stderr), (Some(1), expected));
}

#[test]
fn a_refusal_ends_exec_once_running_commands_have_finished() {
    let sidecar = Sidecar::start(|call, before| match (call.line.starts_with("GET "), before) {
        (true, 0) => answer(200, &[("content-type", "text/event-stream")], event(1, "")),
        (true, _) => answer(403, &[], "{\"detail\":\"you may not follow\"}"),
        (false, _) => answer(204, &[], ""),
    });
    let finished =
        exorelay(&["tail", "--api", &sidecar.url(), "--exec", "sleep 2"]).env("PATH", "/usr/bin:/bin").finish();
    finished.check(1, "exorelay: you may not follow\n");
    let path = "GET /messages?declared=true&unacknowledged=1";
    assert_eq!(sidecar.lines(3), [path, path, "POST /messages/1/ack?sender=web"]);
}

#[test]
fn commands_run_side_by_side() {
    let sidecar = sidecar((1..=4).map(|id| event(id, "")).collect());
    let begun = Instant::now();
    let arguments = ["tail", "--api", &sidecar.url(), "--count", "4", "--concurrent", "4", "--exec", "sleep 1"];
    let finished = exorelay(&arguments).env("PATH", "/usr/bin:/bin").finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(begun.elapsed() < Duration::from_millis(3_500), "{:?}", begun.elapsed());
    assert_eq!(sidecar.lines(5)[0], "GET /messages?declared=true&unacknowledged=4");
}

#[test]
fn control_c_lets_running_commands_finish() {
    let sidecar = sidecar(event(1, "") + &event(2, ""));
    let arguments = ["tail", "--api", &sidecar.url(), "--exec", "touch begun; sleep 1; echo done"];
    let tail = exorelay(&arguments).env("PATH", "/usr/bin:/bin").start();
    tail.wait_for_file("begun");
    tail.interrupt();
    let finished = tail.finish();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "done\n"), "{finished:?}");
    assert_eq!(sidecar.lines(2), ["GET /messages?declared=true&unacknowledged=1", "POST /messages/1/ack?sender=web"]);
}

#[test]
fn a_second_control_c_ends_running_commands() {
    let sidecar = sidecar(event(1, ""));
    let arguments = ["tail", "--api", &sidecar.url(), "--exec", "touch begun; sleep 60"];
    let tail = exorelay(&arguments).env("PATH", "/usr/bin:/bin").start();
    tail.wait_for_file("begun");
    let begun = Instant::now();
    assert_eq!(tail.interrupt_until_it_ends().code, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_message_that_comes_again_while_it_is_handled_is_handled_once() {
    let sidecar = sidecar(event(1, "") + &event(1, ",\"attempt\":2") + &event(2, ""));
    let calls =
        ["POST /messages/1/ack?sender=web", "POST /messages/1/ack?sender=web", "POST /messages/2/ack?sender=web"];
    let finished = check(&sidecar, &["--count", "2", "--exec", "sleep 0.3; cat; echo"], 0, &calls);
    assert_eq!(finished.stdout, "1\n2\n");
}

#[test]
fn an_acknowledgement_is_repeated_while_the_sidecar_is_busy() {
    static BUSY: AtomicUsize = AtomicUsize::new(0);
    let sidecar = answering(event(1, ""), |_| match BUSY.fetch_add(1, Ordering::Relaxed) {
        0..=1 => answer(503, &[], ""),
        _ => answer(204, &[], ""),
    });
    let calls = ["POST /messages/1/ack?sender=web"; 3];
    check(&sidecar, &["--count", "1", "--exec", "true"], 0, &calls);
}

#[test]
fn exec_needs_no_other_way_to_acknowledge() {
    for more in [&["--no-ack"][..], &["--broker", "localhost:1"], &["--output", "json"]] {
        let finished = exorelay(&[&["tail", "--exec", "true"], more].concat()).finish();
        finished.check(64, "cannot be used with");
    }
    exorelay(&["tail", "--reply", "a"]).finish().check(64, "--exec");
}
