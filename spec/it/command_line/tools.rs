//! Tests of `send`, `request` and `health` against a fake sidecar.

use axum::body::Body;
use axum::http::Response;

use super::program::exorelay;
use super::sidecar::{Call, Sidecar, answer, unused_address};

const SENT: &str = "{\"id\":\"0199\",\"activityId\":\"0199\"}";

/// Runs a tool against a fake sidecar and checks its output. Returns the one call it made.
fn check(arguments: &[&str], answers: fn(&Call) -> Response<Body>, code: i32, stdout: &str, stderr: &str) -> Call {
    let sidecar = Sidecar::start(move |call, _| answers(call));
    let finished = exorelay(arguments).env("EXORELAY__API__ADDRESS", &sidecar.address()).stdin("[1,2]").finish();
    let printed = (finished.code, finished.stdout.as_str(), finished.stderr.replace(&sidecar.url(), "SIDECAR"));
    assert_eq!(printed, (Some(code), stdout, stderr.to_owned()));
    let calls = sidecar.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    calls[0].clone()
}

fn sent(_: &Call) -> Response<Body> {
    answer(202, &[("content-type", "application/json")], SENT)
}

fn replied(_: &Call) -> Response<Body> {
    answer(200, &[("exo-message", "hello.back"), ("exo-message-id", "7")], "{\"to\":\n\"world\"}")
}

fn refused(_: &Call) -> Response<Body> {
    answer(
        503,
        &[("content-type", "application/problem+json")],
        "{\"title\":\"Busy\",\"detail\":\"the outbox is full\"}",
    )
}

#[test]
fn send_posts_the_payload_and_prints_the_id() {
    let call = check(&["send", "users.create", "{\"name\": \"Will\"}"], sent, 0, "0199\n", "");
    assert_eq!((call.line.as_str(), call.body.as_str()), ("POST /send/users.create", "{\"name\": \"Will\"}"));
    assert!(call.headers.contains(&"content-type: application/json".to_owned()), "{call:?}");
}

#[test]
fn send_carries_correlation_in_headers() {
    let arguments = ["send", "a/b c", "--activity", "42", "--response-to", "ö", "--idempotency-key", "k"];
    let call = check(&arguments, sent, 0, "0199\n", "");
    assert_eq!((call.line.as_str(), call.body.as_str()), ("POST /send/a%2Fb%20c", ""));
    for header in ["exo-activity-id: 42", "exo-response-to: ö", "idempotency-key: k"] {
        assert!(call.headers.contains(&header.to_owned()), "{header}: {call:?}");
    }
}

#[test]
fn a_dash_reads_the_payload_from_stdin() {
    assert_eq!(check(&["send", "hello", "-"], sent, 0, "0199\n", "").body, "[1,2]");
}

#[test]
fn json_output_contains_the_ids() {
    check(&["send", "hello", "--output", "json"], sent, 0, &format!("{SENT}\n"), "");
}

#[test]
fn a_refusal_is_printed_with_its_detail() {
    check(&["send", "hello"], refused, 1, "", "exorelay: the outbox is full\n");
    check(&["request", "hello"], refused, 1, "", "exorelay: the outbox is full\n");
}

#[test]
fn an_answer_without_detail_is_printed_with_its_status() {
    check(&["send", "hello"], |_| answer(404, &[], ""), 1, "", "exorelay: SIDECAR answered 404 Not Found\n");
}

#[test]
fn an_answer_of_another_server_is_an_error() {
    let stderr = "exorelay: SIDECAR does not answer like a sidecar: expected value at line 1 column 1\n";
    check(&["send", "hello"], |_| answer(200, &[], "<html>"), 1, "", stderr);
}

#[test]
fn invalid_json_is_refused_before_any_call() {
    for tool in ["send", "request"] {
        let finished = exorelay(&[tool, "hello", "{name: world}", "--api", &unused_address()]).finish();
        finished.check(64, "in a shell, put single quotes around JSON, as in '{\"name\":\"world\"}'");
        exorelay(&[tool, "hello", "-", "--api", &unused_address()])
            .stdin("{")
            .finish()
            .check(64, "the payload on stdin");
    }
}

#[test]
fn request_prints_the_payload_of_the_reply() {
    let call = check(&["request", "hello", "1", "--timeout", "1s 5ms"], replied, 0, "{\"to\":\n\"world\"}\n", "");
    assert_eq!((call.line.as_str(), call.body.as_str()), ("POST /request/hello?timeout=1005ms", "1"));
}

#[test]
fn json_output_is_the_reply_on_one_line() {
    let stdout = "{\"message\":\"hello.back\",\"id\":\"7\",\"payload\":{\"to\": \"world\"}}\n";
    check(&["request", "hello", "--output", "json"], replied, 0, stdout, "");
    let stdout = "{\"message\":null,\"id\":null,\"payload\":null}\n";
    check(&["request", "hello", "--output", "json"], |_| answer(200, &[], ""), 0, stdout, "");
}

#[test]
fn a_missing_reply_is_an_error() {
    let no_reply = |_: &Call| answer(504, &[], "{\"detail\":\"no reply to hello within 30000 ms\"}");
    check(&["request", "hello"], no_reply, 1, "", "exorelay: no reply to hello within 30000 ms\n");
}

#[test]
fn a_call_is_made_again_for_as_long_as_the_user_allows() {
    let sidecar = Sidecar::start(|call, before| if before == 0 { refused(call) } else { sent(call) });
    let finished = exorelay(&["send", "hello", "--api", &sidecar.url(), "--retry-for", "30"]).finish();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "0199\n"), "{finished:?}");
    assert_eq!(finished.stderr, "exorelay: the outbox is full: retrying\n");
    let api = unused_address();
    let finished = exorelay(&["send", "hello", "--api", &api, "--retry-for", "0.3"]).finish();
    let lines: Vec<&str> = finished.stderr.lines().collect();
    assert!(lines.len() == 2 && lines[0] == format!("{}: retrying", lines[1]), "{finished:?}");
}

#[test]
fn a_server_of_another_kind_says_what_it_is() {
    let server = |system: &'static str| {
        Sidecar::start(move |call: &Call, _| match call.line.as_str() {
            "GET /health" => answer(200, &[("exo-system", system)], ""),
            _ => answer(404, &[], "{\"detail\":\"cannot\"}"),
        })
    };
    let broker = server("broker");
    let stderr = format!(
        "exorelay: {} is a broker, not a sidecar: it takes `exorelay tail`, `activity` and `ps` with --broker; --api takes a \
         sidecar, such as http://127.0.0.1:4001\n",
        broker.url()
    );
    for tool in [&["send", "hello"][..], &["request", "hello"], &["tail"]] {
        let finished = exorelay(&[tool, &["--api", &broker.url()]].concat()).finish();
        assert_eq!((finished.code, &finished.stderr), (Some(1), &stderr), "{tool:?}");
    }
    for (system, words) in [
        ("api", "is a sidecar, not a broker: it takes `exorelay send`"),
        ("edge", "is a server of streams, not a broker"),
        ("listen", "is a sidecar's bus-facing listener, not a broker"),
    ] {
        let other = server(system);
        for tool in [&["activity", "a"][..], &["tail"]] {
            exorelay(&[tool, &["--broker", &other.url()]].concat()).finish().check(1, words);
        }
    }
    let stream = exorelay(&["stream", "ls", "--url", &broker.url()]).finish();
    stream.check(1, "is a broker, not a server of streams");
}

#[test]
fn a_message_without_a_receiver_may_be_a_misspelt_one() {
    let broker = Sidecar::start(|_, _| {
        answer(200, &[], "{\"services\":[{\"role\":\"a\",\"receives\":[\"users.create\",\"hello\"]}]}")
    });
    let sidecar = Sidecar::start(|_, _| answer(404, &[], "{\"detail\":\"no service receives 'helo'\"}"));
    for (name, end) in [("helo", "; did you mean hello?\n"), ("zonk", "no service receives 'helo'\n")] {
        for tool in ["send", "request"] {
            let program = exorelay(&[tool, name, "--api", &sidecar.url()]);
            let finished = program.env("EXORELAY__BUS__URL", &broker.url()).finish();
            assert!(finished.code == Some(1) && finished.stderr.ends_with(end), "{finished:?}");
        }
    }
}

#[test]
fn health_prints_ready_or_the_reasons() {
    let call = check(&["health"], |_| answer(200, &[], "{\"ready\":true}"), 0, "ready\n", "");
    assert_eq!(call.line, "GET /ready");
    let reasons =
        |_: &Call| answer(503, &[], "{\"bus\":\"no broker\",\"service\":\"ok\",\"process\":\"shutting down\"}");
    check(&["health"], reasons, 1, "", "exorelay: not ready: bus: no broker; process: shutting down\n");
    check(&["health"], refused, 1, "", "exorelay: not ready: the outbox is full\n");
}

#[test]
fn without_a_sidecar_the_error_says_how_to_start_one() {
    let api = unused_address();
    let expected = format!("exorelay: no sidecar at http://{api}: start one with `exorelay dev` or give --api\n");
    for tool in [&["send", "hello"][..], &["request", "hello"], &["health"], &["tail"]] {
        let finished = exorelay(&[tool, &["--api", &api]].concat()).finish();
        assert_eq!((finished.code, finished.stderr), (Some(1), expected.clone()), "{tool:?}");
    }
}
