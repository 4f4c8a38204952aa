//! Tests of wakes, leases and retries.

use super::harness::{Harness, SECRET, called, id, key, path};
use crate::streams::subscriptions::rules::{AckEndpoint, Outcome, Refusal};
use crate::streams::subscriptions::wire::Page;

const EVENTS: &str = r#""pattern":"events/*""#;

fn with_webhook() -> Harness {
    let mut harness = Harness::new();
    harness.webhook("s", EVENTS).unwrap();
    harness.append("events/a");
    harness
}

fn with_workers() -> Harness {
    let mut harness = Harness::new();
    harness.create("wake", "application/json");
    harness.pull("s", "wake", EVENTS).unwrap();
    harness.append("events/a");
    harness
}

/// Returns true if a client sees a failure once the time for a call is over.
fn failed(harness: &Harness) -> bool {
    shows_failure_after(harness, 10_250)
}

fn shows_failure_after(harness: &Harness, wait_ms: u64) -> bool {
    harness.set.view((harness.now_ms + wait_ms, &harness.ledger), &id("s"), &Page::default()).unwrap().failed
}

#[test]
fn a_failure_shows_when_a_call_would_have_timed_out_however_soon_it_failed() {
    for failed_after_ms in [0, 1, 9_000] {
        let mut harness = with_webhook();
        let attempt = harness.run_due().remove(0);
        harness.now_ms += failed_after_ms;
        harness.failed(&attempt);
        assert!(!shows_failure_after(&harness, 10_249 - failed_after_ms), "{failed_after_ms} ms");
        assert!(shows_failure_after(&harness, 10_250 - failed_after_ms), "{failed_after_ms} ms");
        // Later attempts do not hide it again.
        harness.now_ms += 11_000;
        let again = harness.run_due().remove(0);
        assert!(shows_failure_after(&harness, 0));
        harness.failed(&again);
        assert!(shows_failure_after(&harness, 0));
    }
}

#[test]
fn at_most_one_wake_is_in_flight() {
    let mut harness = with_webhook();
    let first = harness.run_due();
    assert_eq!((first.len(), first[0].wake.generation), (1, 1));
    harness.append("events/a");
    assert!(harness.run_due().is_empty());
    harness.record_outcome(&first[0], &Outcome::Done);
    let second = harness.run_due();
    assert_eq!(
        (second.len(), second[0].wake.generation),
        (1, 2),
        "data that arrived during the first wake starts another"
    );
    assert_ne!(first[0].wake.wake_id, second[0].wake.wake_id);
    harness.record_outcome(&second[0], &Outcome::Done);
    assert!(harness.run_due().is_empty());
}

#[test]
fn done_acknowledges_only_what_the_wake_announced() {
    let mut harness = with_webhook();
    let attempt = harness.run_due().remove(0);
    harness.append("events/a");
    harness.record_outcome(&attempt, &Outcome::Done);
    assert_eq!(harness.links("s"), [("events/a".into(), false, Some(1))]);
}

#[test]
fn a_failed_call_is_retried_with_growing_waits_and_the_same_generation() {
    let mut harness = with_webhook();
    let mut waits = Vec::new();
    for _ in 0..8 {
        let attempt = harness.run_due().remove(0);
        assert_eq!(attempt.wake.generation, 1);
        harness.failed(&attempt);
        assert!(failed(&harness));
        harness.reopen();
        let due_ms = harness.set.due_ms(1).unwrap();
        waits.push(due_ms - harness.now_ms);
        harness.now_ms = due_ms - 1;
        assert!(harness.run_due().is_empty());
        harness.now_ms = due_ms;
    }
    assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    let attempt = harness.run_due().remove(0);
    harness.record_outcome(&attempt, &Outcome::Done);
    assert!(!failed(&harness));
}

#[test]
fn jitter_moves_a_retry_by_a_fifth_at_most() {
    for (random, wait_ms) in [(0.0, 800), (1.0, 1_200)] {
        let mut harness = with_webhook();
        let attempt = harness.run_due().remove(0);
        let outcome = Outcome::Failed { cause: String::new() };
        harness.decide(|set, ledger, now_ms, changes| {
            set.record_outcome(ledger, &attempt, &outcome, (now_ms, random), changes);
        });
        assert_eq!(harness.set.due_ms(1).unwrap() - harness.now_ms, wait_ms);
    }
}

#[test]
fn a_call_interrupted_by_a_crash_is_repeated() {
    let mut harness = with_webhook();
    let before = harness.run_due().remove(0);
    harness.reopen();
    let after = harness.run_due().remove(0);
    assert_eq!((&before.wake.wake_id, before.wake.generation), (&after.wake.wake_id, after.wake.generation));
}

#[test]
fn deliveries_wait_for_capacity_and_events_do_not() {
    let mut harness = with_workers();
    harness.webhook("w", EVENTS).unwrap();
    harness.append("events/b");
    harness.capacity = 0;
    assert!(harness.run_due().is_empty());
    assert!(harness.tail("wake") > 0);
    assert_eq!(harness.set.due_ms(0), None, "nothing is due without capacity");
    harness.capacity = 1;
    assert_eq!(harness.run_due().len(), 1);
}

#[test]
fn a_receiver_that_accepts_may_call_back_until_its_lease_ends() {
    let mut harness = with_webhook();
    let attempt = harness.run_due().remove(0);
    harness.record_outcome(&attempt, &Outcome::Accepted);
    harness.now_ms += 9_999;
    assert_eq!(harness.acknowledge("s", AckEndpoint::Callback, &called(&attempt), vec![], false), Ok(false));
    harness.now_ms += 9_999;
    harness.append("events/a");
    assert_eq!(
        harness.finish("s", AckEndpoint::Callback, &called(&attempt)),
        Ok(true),
        "the second append is still pending"
    );
    let stale = harness.finish("s", AckEndpoint::Callback, &called(&attempt));
    assert_eq!(stale, Err(Refusal::Fenced { current: 1 }));
    let next = harness.run_due().remove(0);
    harness.record_outcome(&next, &Outcome::Accepted);
    harness.now_ms += 10_000;
    assert_eq!(harness.finish("s", AckEndpoint::Callback, &called(&next)), Err(Refusal::Fenced { current: 2 }));
    assert_eq!(harness.run_due()[0].wake.generation, 3, "the end of the lease starts another wake");
}

#[test]
fn a_callback_may_arrive_before_the_answer() {
    let mut harness = with_webhook();
    let attempt = harness.run_due().remove(0);
    assert_eq!(harness.finish("s", AckEndpoint::Callback, &called(&attempt)), Ok(false));
    harness.append("events/a");
    let next = harness.run_due().remove(0);
    harness.failed(&attempt);
    assert!(!failed(&harness), "the outcome of an ended wake does not affect the next");
    harness.record_outcome(&next, &Outcome::Done);
    assert!(harness.run_due().is_empty());
}

#[test]
fn only_one_worker_can_claim_a_wake() {
    let mut harness = with_workers();
    assert!(harness.run_due().is_empty());
    let first = harness.claim("s", "w1").unwrap();
    assert_eq!(first.generation, 1);
    let refused = harness.claim("s", "w2");
    assert_eq!(refused, Err(Refusal::Claimed { worker: "w1".into(), generation: 1 }));
    harness.reopen();
    assert!(harness.claim("s", "w2").is_err(), "a restart keeps the lease");
    assert_eq!(harness.finish("s", AckEndpoint::Ack, &first), Ok(false));
    assert_eq!(harness.claim("s", "w2"), Err(Refusal::NothingPending));
}

#[test]
fn a_claim_can_come_before_the_wake_event() {
    let mut harness = with_workers();
    assert_eq!(harness.claim("s", "w1").unwrap().generation, 1);
    assert_eq!(harness.tail("wake"), 0);
}

#[test]
fn the_end_of_a_lease_fences_its_holder_and_starts_another_wake() {
    let mut harness = with_workers();
    harness.run_due();
    let events = harness.tail("wake");
    let lost = harness.claim("s", "w1").unwrap();
    harness.now_ms += 5_000;
    assert_eq!(harness.acknowledge("s", AckEndpoint::Ack, &lost, vec![], false), Ok(false));
    harness.now_ms += 9_999;
    harness.run_due();
    assert_eq!(harness.tail("wake"), events, "the heartbeat has extended the lease");
    harness.now_ms += 1;
    assert_eq!(harness.finish("s", AckEndpoint::Ack, &lost), Err(Refusal::Fenced { current: 1 }));
    harness.run_due();
    assert!(harness.tail("wake") > events);
    assert_eq!(harness.claim("s", "w2").unwrap().generation, 2);
    assert_eq!(harness.finish("s", AckEndpoint::Ack, &lost), Err(Refusal::Fenced { current: 2 }));
    assert_eq!(harness.release("s", &lost), Err(Refusal::Fenced { current: 2 }));
}

#[test]
fn a_released_wake_is_announced_again() {
    let mut harness = with_workers();
    harness.run_due();
    let events = harness.tail("wake");
    let claimed = harness.claim("s", "w1").unwrap();
    harness.release("s", &claimed).unwrap();
    harness.run_due();
    assert!(harness.tail("wake") > events);
    let again = harness.claim("s", "w1").unwrap();
    harness.acknowledge("s", AckEndpoint::Ack, &again, vec![(path("events/a"), Some(1))], false).unwrap();
    let events = harness.tail("wake");
    harness.release("s", &again).unwrap();
    harness.run_due();
    assert_eq!(harness.tail("wake"), events, "nothing is pending");
}

#[test]
fn acknowledged_offsets_grow_and_stay_within_the_stream() {
    let mut harness = with_workers();
    harness.append("events/a");
    let claimed = harness.claim("s", "w1").unwrap();
    let mut ack = |acks: &[(&str, Option<u64>)]| {
        let acks = acks.iter().map(|(name, acked)| (path(name), *acked)).collect();
        harness.acknowledge("s", AckEndpoint::Ack, &claimed, acks, false)
    };
    ack(&[("events/a", Some(1))]).unwrap();
    ack(&[("events/a", Some(1))]).unwrap();
    for invalid in [
        &[("events/a", Some(0))][..],
        &[("events/a", None)],
        &[("events/a", Some(3))],
        &[("events/b", Some(0))],
        &[("events/a", Some(2)), ("events/a", Some(1))],
    ] {
        assert!(matches!(ack(invalid), Err(Refusal::Offset { .. })), "{invalid:?}");
    }
    assert_eq!(harness.links("s"), [("events/a".into(), false, Some(1))], "all or none");
}

#[test]
fn an_offset_of_another_life_cannot_be_acknowledged() {
    let mut harness = with_workers();
    harness.append("events/a");
    let before = harness.ledger.stream(&path("events/a")).unwrap().next();
    harness.delete("events/a");
    for _ in 0..3 {
        harness.append("events/a");
    }
    let claimed = harness.claim("s", "w1").unwrap();
    let acks = vec![(path("events/a"), Some(before))];
    let refused = harness.acknowledge_offsets("s", AckEndpoint::Ack, &claimed, acks, false).unwrap_err();
    assert!(refused.to_string().contains("another life"), "{refused}");
    assert_eq!(harness.links("s"), [("events/a".into(), false, None)]);
}

#[test]
fn a_token_is_valid_for_one_subscription_until_it_expires() {
    let mut harness = with_workers();
    harness.pull("t", "wake", EVENTS).unwrap();
    harness.append("events/b");
    let (first, other) = (harness.claim("s", "w1").unwrap(), harness.claim("t", "w1").unwrap());
    let mut forged = first.clone();
    forged.token = other.token;
    assert_eq!(harness.finish("s", AckEndpoint::Ack, &forged), Err(Refusal::TokenInvalid));
    harness.now_ms += 3_600_000;
    assert_eq!(harness.finish("s", AckEndpoint::Ack, &first), Err(Refusal::TokenExpired));
    harness.now_ms -= 3_600_000;
    harness.unsubscribe("s");
    assert!(matches!(harness.finish("s", AckEndpoint::Ack, &first), Err(Refusal::NotFound { .. })));
    harness.pull("s", "wake", EVENTS).unwrap();
    harness.append("events/b");
    harness.claim("s", "w1").unwrap();
    assert_eq!(
        harness.finish("s", AckEndpoint::Ack, &first),
        Err(Refusal::TokenInvalid),
        "a token of the deleted subscription with the same id"
    );
}

#[test]
fn calls_are_limited_to_one_type_of_subscription() {
    let mut harness = with_workers();
    let claimed = harness.claim("s", "w1").unwrap();
    assert!(matches!(harness.finish("s", AckEndpoint::Callback, &claimed), Err(Refusal::OtherType { .. })));
    let mut harness = with_webhook();
    assert!(matches!(harness.claim("s", "w1"), Err(Refusal::OtherType { .. })));
}

#[test]
fn a_missing_wake_stream_is_retried() {
    let mut harness = Harness::new();
    harness.pull("s", "wake", EVENTS).unwrap();
    harness.append("events/a");
    harness.run_due();
    assert!(failed(&harness));
    harness.create("wake", "application/json");
    harness.now_ms += 1_000;
    harness.run_due();
    assert!(!failed(&harness));
    assert!(harness.tail("wake") > 0);
}

#[test]
fn deleting_the_pending_stream_ends_the_wake() {
    let mut harness = with_webhook();
    let attempt = harness.run_due().remove(0);
    harness.failed(&attempt);
    harness.delete("events/a");
    harness.now_ms += 1_000;
    assert!(harness.run_due().is_empty());
    assert!(!failed(&harness));
}

#[test]
fn a_wake_lists_pending_streams_first_and_is_limited() {
    let mut harness = Harness::new();
    harness.webhook("s", EVENTS).unwrap();
    for name in ["a", "b", "c", "d", "e"] {
        harness.append(&format!("events/{name}"));
    }
    let mut pending = Vec::new();
    while let Some(attempt) = harness.run_due().pop() {
        pending.push(attempt.wake.streams.iter().filter(|view| view.pending).count());
        harness.record_outcome(&attempt, &Outcome::Done);
    }
    assert_eq!(pending, [3, 2]);
    assert!(harness.links("s").iter().all(|(.., acked)| *acked == Some(1)));
}

#[test]
fn a_wake_is_limited_in_bytes() {
    let mut harness = Harness::with_links_max(1_000);
    harness.set.limits.wake_streams_max = 1_000;
    harness.webhook("s", EVENTS).unwrap();
    for number in 0..150 {
        harness.append(&format!("events/{number:02}{}", "x".repeat(1000)));
    }
    let mut streams = Vec::new();
    while let Some(attempt) = harness.run_due().pop() {
        let bytes = attempt.wake.to_body("http://streams.example").len();
        assert!(bytes < 140 * 1024, "{bytes}");
        streams.push(attempt.wake.streams.len());
        harness.record_outcome(&attempt, &Outcome::Done);
    }
    assert_eq!((streams.len(), streams.iter().sum::<usize>()), (2, 150), "the second wake has the others");
}

#[test]
fn setting_the_clock_back_does_not_delay_a_retry() {
    let mut harness = with_webhook();
    let attempt = harness.run_due().remove(0);
    harness.failed(&attempt);
    harness.now_ms -= 900_000;
    harness.reopen();
    assert!(harness.set.due_ms(1).unwrap() <= harness.now_ms + 60_000);
}

#[test]
fn a_replaced_key_stays_published_for_the_overlap() {
    let mut harness = Harness::new();
    let rotate = |harness: &mut Harness, kid: &str| {
        let new = (kid.to_owned(), key(harness.now_ms));
        harness.decide(|set, _, now_ms, changes| set.keys.rotate(now_ms, &SECRET, new, changes));
    };
    let published = |harness: &Harness| harness.set.keys.jwks().0.into_iter().map(|(kid, _)| kid).collect::<Vec<_>>();
    rotate(&mut harness, "ds_2");
    assert_eq!(published(&harness), ["ds_1"], "none is due");
    harness.now_ms += 1_000_000;
    rotate(&mut harness, "ds_2");
    assert_eq!(published(&harness), ["ds_1", "ds_2"]);
    assert_eq!(harness.set.keys.signing_key().unwrap().0, "ds_2");
    harness.now_ms += 1_000_000;
    rotate(&mut harness, "ds_3");
    assert_eq!(published(&harness), ["ds_2", "ds_3"]);
}
