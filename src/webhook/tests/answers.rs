//! Effect of the service's answer on a message.

use std::time::{Duration, Instant};

use super::service::{Answer, Reaction, answer, json};
use super::world::{World, full_message, message, quick};
use crate::message::{Message, Verdict};
use crate::webhook::Config;

/// Delivers one message to a service with this script. Expects `calls` calls, the `sent` messages on the bus, and that
/// the message was handled or became a dead letter whose reason contains the expected text.
async fn check(script: impl IntoIterator<Item = Answer>, calls: usize, sent: &[&str], expected: Result<(), &str>) {
    let world = World::start(quick(), script.into_iter().map(Reaction::from)).await;
    match (world.handle(full_message()).await, expected) {
        (Ok(()), Ok(())) => {}
        (Err(reason), Err(expected)) => assert!(reason.contains(expected), "{reason}"),
        (outcome, expected) => panic!("got {outcome:?}, expected {expected:?}"),
    }
    assert_eq!(world.service.calls().len(), calls);
    assert_eq!(world.sent(), sent);
    assert_eq!(world.metrics.retried.get() as usize, calls - 1);
    assert_eq!(
        (world.metrics.handled.get(), world.metrics.failed.get()),
        if expected.is_ok() { (1, 0) } else { (0, 1) }
    );
}

#[tokio::test]
async fn an_empty_answer_means_handled() {
    check([answer(200, "")], 1, &[], Ok(())).await;
    check([answer(204, "")], 1, &[], Ok(())).await;
}

#[tokio::test]
async fn an_answer_that_is_no_reply_means_handled() {
    check([answer(202, "OK").header("content-type", "text/html; charset=utf-8")], 1, &[], Ok(())).await;
    check([json("OK")], 1, &[], Ok(())).await;
    check([json(r#"{"id":1}"#)], 1, &[], Ok(())).await;
}

#[tokio::test]
async fn a_reply_counts_without_its_content_type() {
    check([answer(200, r#"{"reply":{"name":"a"}}"#)], 1, &["a"], Ok(())).await;
    check([answer(200, "\u{feff}{\"reply\":{\"name\":\"a\"}}").header("content-type", "text/html")], 1, &["a"], Ok(()))
        .await;
}

#[tokio::test]
async fn answers_that_are_no_reply_are_counted() {
    let script = ["OK", "{}", "", r#"{"reply":null}"#].map(|body| answer(200, body).into());
    let world = World::start(quick(), script).await;
    for id in ["1", "2", "3", "4"] {
        assert_eq!(world.handle(message(id)).await, Ok(()));
    }
    assert_eq!(world.metrics.other_answers.get(), 2);
}

#[tokio::test]
async fn replies_in_the_answer_are_sent_in_order_with_their_payloads_as_written() {
    check([json(r#"{"reply":{"name":"created","payload":{ "id": 1.50 }}}"#)], 1, &["created { \"id\": 1.50 }"], Ok(()))
        .await;
    let three = r#"{"replies":[{"name":"a","payload":1},{"name":"b"},{"name":"a","payload":[3]}]}"#;
    check([json(three)], 1, &["a 1", "b", "a [3]"], Ok(())).await;
}

#[tokio::test]
async fn a_reply_belongs_to_the_conversation_and_the_trace_of_its_message() {
    let world = World::start(quick(), [json(r#"{"reply":{"name":"created"}}"#).into()]).await;
    assert_eq!(world.handle(full_message()).await, Ok(()));
    let sent = world.sent_messages();
    let [reply] = sent.as_slice() else { panic!("{sent:?}") };
    let Message { response_to, activity_id, trace, sender, .. } = full_message();
    assert_eq!(reply.response_to, Some(full_message().id));
    assert_ne!(reply.response_to, response_to);
    assert_eq!((&reply.activity_id, &reply.trace), (&activity_id, &trace));
    assert_ne!(reply.sender, sender);
}

#[tokio::test]
async fn an_invalid_reply_makes_a_dead_letter_that_names_the_field() {
    let handled = "the service handled the message, but its reply cannot be sent: ";
    check([json(r#"{"reply":{"payload":1}}"#)], 1, &[], Err(&format!("{handled}\"reply.name\" must be"))).await;
    // No reply is sent at all, so that a redelivered message does not send some of them twice.
    check([json(r#"{"replies":[{"name":"a"},{"name":""}]}"#)], 1, &[], Err("\"replies[1].name\"")).await;
    check([json("{\"reply\"")], 1, &[], Err("is not valid JSON")).await;
}

#[tokio::test]
async fn a_failing_service_is_called_again() {
    check([500, 502, 503, 504].map(|status| answer(status, "down")), 5, &[], Ok(())).await;
    check([408, 425, 429].map(|status| answer(status, "later")), 4, &[], Ok(())).await;
    check([answer(500, ""), json(r#"{"reply":{"name":"a"}}"#)], 2, &["a"], Ok(())).await;
}

#[tokio::test]
async fn other_refusals_are_final_and_report_status_and_body() {
    check([answer(404, "unknown message: 'users.create'")], 1, &[], Err("404: unknown message: 'users.create'")).await;
    check([answer(422, vec![b'x'; 1_000])], 1, &[], Err(&"x".repeat(200))).await;
    check([answer(400, "")], 1, &[], Err("the service refused the message with 400: an empty body")).await;
    check([answer(400, vec![b'x'; 10_000])], 1, &[], Err("the service refused the message with 400: the answer of "))
        .await;
}

/// Delivers one message to a service that first asks to wait. Returns the elapsed time and the outcome.
async fn deliver_with_retry_after(retry_after: &str) -> (Duration, Result<(), String>) {
    let script = [answer(503, "busy").header("retry-after", retry_after).into()];
    let world = World::start(Config { deadline_ms: 3_000, ..quick() }, script).await;
    let start = Instant::now();
    let outcome = world.handle(message("1")).await;
    (start.elapsed(), outcome)
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let (elapsed, outcome) = deliver_with_retry_after("1").await;
    assert_eq!(outcome, Ok(()));
    assert!(elapsed >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_retry_after_beyond_the_deadline_gives_up_at_once() {
    let (elapsed, outcome) = deliver_with_retry_after("3600").await;
    let reason = outcome.unwrap_err();
    assert!(reason.starts_with("gave up after 1 attempts in "), "{reason}");
    assert!(reason.ends_with(": the service answered 503: busy"), "{reason}");
    assert!(elapsed < Duration::from_secs(2));
    assert!(deliver_with_retry_after("Fri, 31 Dec 2100 23:59:59 GMT").await.1.is_err());
}

fn busy() -> Verdict {
    Verdict::Busy { retry_after: Duration::from_millis(1) }
}

#[tokio::test]
async fn a_reply_is_retried_while_the_bus_is_busy_without_another_call() {
    let body = r#"{"replies":[{"name":"a"},{"name":"b"}]}"#;
    let world = World::start(quick(), [json(body).into()]).await;
    world.bus_answers([busy(), busy(), Verdict::Accepted, busy()]);
    assert_eq!(world.handle(message("1")).await, Ok(()));
    assert_eq!(world.sent(), ["a", "b"]);
    assert_eq!(world.service.calls().len(), 1);
}

#[tokio::test]
async fn a_reply_that_the_bus_never_accepts_makes_a_dead_letter() {
    let body = r#"{"reply":{"name":"a"}}"#;
    let world = World::start(Config { deadline_ms: 100, ..quick() }, [json(body).into()]).await;
    world.bus_answers(std::iter::repeat_n(busy(), 1_000));
    let reason = world.handle(message("1")).await.unwrap_err();
    assert!(reason.starts_with("the service handled the message, but its reply a was not sent: "), "{reason}");
    assert_eq!(world.service.calls().len(), 1);
}

#[tokio::test]
async fn a_reply_without_receivers_makes_a_dead_letter() {
    let world = World::start(quick(), [json(r#"{"reply":{"name":"a"}}"#).into()]).await;
    world.bus_answers([Verdict::NoReceivers]);
    let reason = world.handle(message("1")).await.unwrap_err();
    assert!(reason.contains("no service receives 'a'"), "{reason}");
}
