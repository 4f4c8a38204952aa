//! What becomes of a message by the service's answer.

use std::time::{Duration, Instant};

use super::service::{Answer, Reaction, answer, json};
use super::world::{World, full_message, message, quick};
use crate::message::{Message, Verdict};
use crate::webhook::Config;

/// Delivers one message to a service with this script. Expects so many calls, these messages on the bus, and that the
/// message was handled, or is a dead letter whose reason has these words.
async fn check(script: impl IntoIterator<Item = Answer>, calls: usize, sent: &[&str], expected: Result<(), &str>) {
    let world = World::start(quick(), script.into_iter().map(Reaction::from)).await;
    match (world.handle(full_message()).await, expected) {
        (Ok(()), Ok(())) => {}
        (Err(reason), Err(words)) => assert!(reason.contains(words), "{reason}"),
        (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
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
async fn an_empty_answer_is_enough() {
    check([answer(200, "")], 1, &[], Ok(())).await;
    check([answer(204, "")], 1, &[], Ok(())).await;
}

#[tokio::test]
async fn an_answer_that_is_not_json_is_enough() {
    check([answer(202, "OK").header("content-type", "text/html; charset=utf-8")], 1, &[], Ok(())).await;
    check([answer(200, r#"{"reply":{"name":"a"}}"#)], 1, &[], Ok(())).await;
}

#[tokio::test]
async fn replies_in_the_answer_are_sent_in_order_with_their_payloads_as_written() {
    check([json(r#"{"reply":{"name":"created","payload":{ "id": 1.50 }}}"#)], 1, &["created { \"id\": 1.50 }"], Ok(()))
        .await;
    let three = r#"{"replies":[{"name":"a","payload":1},{"name":"b"},{"name":"a","payload":[3]}]}"#;
    check([json(three)], 1, &["a 1", "b", "a [3]"], Ok(())).await;
}

#[tokio::test]
async fn a_reply_is_in_the_conversation_and_the_trace_of_its_message() {
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
async fn a_reply_of_the_wrong_shape_is_a_dead_letter_that_names_the_field() {
    let handled = "the service handled it, but its reply cannot be sent: ";
    check([json(r#"{"reply":{"payload":1}}"#)], 1, &[], Err(&format!("{handled}\"reply.name\" must be"))).await;
    // None of them is sent, so that the same message tried again does not repeat some.
    check([json(r#"{"replies":[{"name":"a"},{"name":""}]}"#)], 1, &[], Err("\"replies[1].name\"")).await;
    check([json("{\"reply\"")], 1, &[], Err("is not JSON")).await;
}

#[tokio::test]
async fn a_failing_service_is_called_again() {
    check([500, 502, 503, 504].map(|status| answer(status, "down")), 5, &[], Ok(())).await;
    check([408, 425, 429].map(|status| answer(status, "later")), 4, &[], Ok(())).await;
    check([answer(500, ""), json(r#"{"reply":{"name":"a"}}"#)], 2, &["a"], Ok(())).await;
}

#[tokio::test]
async fn other_refusals_are_final_and_tell_status_and_body() {
    check([answer(404, "unknown message: 'users.create'")], 1, &[], Err("404: unknown message: 'users.create'")).await;
    check([answer(422, vec![b'x'; 1_000])], 1, &[], Err(&"x".repeat(200))).await;
    check([answer(400, "")], 1, &[], Err("the service refused it with 400: an empty body")).await;
    check([answer(400, vec![b'x'; 10_000])], 1, &[], Err("the service refused it with 400: the answer of ")).await;
}

/// Delivers one message to a service that asks for a wait at first. Answers how long it took, and how it ended.
async fn waited(retry_after: &str) -> (Duration, Result<(), String>) {
    let script = [answer(503, "busy").header("retry-after", retry_after).into()];
    let world = World::start(Config { deadline_ms: 3_000, ..quick() }, script).await;
    let start = Instant::now();
    let outcome = world.handle(message("1")).await;
    (start.elapsed(), outcome)
}

#[tokio::test]
async fn a_wait_the_service_asks_for_is_kept() {
    let (elapsed, outcome) = waited("1").await;
    assert_eq!(outcome, Ok(()));
    assert!(elapsed >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    let (elapsed, outcome) = waited("3600").await;
    let reason = outcome.unwrap_err();
    assert!(reason.starts_with("gave up after 1 tries in "), "{reason}");
    assert!(reason.ends_with(": the service answered 503: busy"), "{reason}");
    assert!(elapsed < Duration::from_secs(2));
    assert!(waited("Fri, 31 Dec 2100 23:59:59 GMT").await.1.is_err());
}

fn busy() -> Verdict {
    Verdict::Busy { retry_after: Duration::from_millis(1) }
}

#[tokio::test]
async fn a_reply_that_finds_no_room_is_sent_later_without_another_call() {
    let body = r#"{"replies":[{"name":"a"},{"name":"b"}]}"#;
    let world = World::start(quick(), [json(body).into()]).await;
    world.bus_answers([busy(), busy(), Verdict::Accepted, busy()]);
    assert_eq!(world.handle(message("1")).await, Ok(()));
    assert_eq!(world.sent(), ["a", "b"]);
    assert_eq!(world.service.calls().len(), 1);
}

#[tokio::test]
async fn a_reply_that_never_finds_room_is_a_dead_letter() {
    let body = r#"{"reply":{"name":"a"}}"#;
    let world = World::start(Config { deadline_ms: 100, ..quick() }, [json(body).into()]).await;
    world.bus_answers(std::iter::repeat_n(busy(), 1_000));
    let reason = world.handle(message("1")).await.unwrap_err();
    assert!(reason.starts_with("the service handled it, but its reply a was not sent: "), "{reason}");
    assert_eq!(world.service.calls().len(), 1);
}

#[tokio::test]
async fn a_reply_that_nobody_receives_is_a_dead_letter() {
    let world = World::start(quick(), [json(r#"{"reply":{"name":"a"}}"#).into()]).await;
    world.bus_answers([Verdict::NoReceivers]);
    let reason = world.handle(message("1")).await.unwrap_err();
    assert!(reason.contains("no service receives 'a'"), "{reason}");
}
