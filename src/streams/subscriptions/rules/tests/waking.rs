//! Who is woken when, and what becomes of it.

use super::stage::{SECRET, Stage, called, id, key, path};
use crate::streams::subscriptions::rules::{Outcome, Refusal, Way};

const EVENTS: &str = r#""pattern":"events/*""#;

fn with_webhook() -> Stage {
    let mut stage = Stage::new();
    stage.webhook("s", EVENTS).unwrap();
    stage.append("events/a");
    stage
}

fn with_workers() -> Stage {
    let mut stage = Stage::new();
    stage.create("wake", "application/json");
    stage.pull("s", "wake", EVENTS).unwrap();
    stage.append("events/a");
    stage
}

fn failed(stage: &Stage) -> bool {
    stage.board.view(&id("s")).unwrap().failed
}

#[test]
fn one_wake_is_in_flight() {
    let mut stage = with_webhook();
    let first = stage.turn();
    assert_eq!((first.len(), first[0].wake.generation), (1, 1));
    stage.append("events/a");
    assert!(stage.turn().is_empty());
    stage.delivered(&first[0], &Outcome::Done);
    let second = stage.turn();
    assert_eq!((second.len(), second[0].wake.generation), (1, 2), "what came during the first makes another");
    assert_ne!(first[0].wake.wake_id, second[0].wake.wake_id);
    stage.delivered(&second[0], &Outcome::Done);
    assert!(stage.turn().is_empty());
}

#[test]
fn done_acknowledges_what_was_told_and_no_more() {
    let mut stage = with_webhook();
    let attempt = stage.turn().remove(0);
    stage.append("events/a");
    stage.tell();
    stage.delivered(&attempt, &Outcome::Done);
    assert_eq!(stage.links("s"), [("events/a".into(), false, Some(1))]);
}

#[test]
fn a_failed_call_is_tried_again_ever_later_with_the_same_generation() {
    let mut stage = with_webhook();
    let mut waits = Vec::new();
    for _ in 0..8 {
        let attempt = stage.turn().remove(0);
        assert_eq!(attempt.wake.generation, 1);
        stage.failed(&attempt);
        assert!(failed(&stage));
        stage.reopen();
        let due_ms = stage.board.due_ms(1).unwrap();
        waits.push(due_ms - stage.now_ms);
        stage.now_ms = due_ms - 1;
        assert!(stage.turn().is_empty());
        stage.now_ms = due_ms;
    }
    assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    let attempt = stage.turn().remove(0);
    stage.delivered(&attempt, &Outcome::Done);
    assert!(!failed(&stage));
}

#[test]
fn the_dice_move_a_retry_by_a_fifth_at_most() {
    for (dice, wait_ms) in [(0.0, 800), (1.0, 1_200)] {
        let mut stage = with_webhook();
        let attempt = stage.turn().remove(0);
        let outcome = Outcome::Failed { cause: String::new() };
        stage.decide(|board, _, now_ms, changes| board.delivered(&attempt, &outcome, (now_ms, dice), changes));
        assert_eq!(stage.board.due_ms(1).unwrap() - stage.now_ms, wait_ms);
    }
}

#[test]
fn a_call_that_a_crash_has_cut_off_is_made_again() {
    let mut stage = with_webhook();
    let before = stage.turn().remove(0);
    stage.reopen();
    let after = stage.turn().remove(0);
    assert_eq!((&before.wake.wake_id, before.wake.generation), (&after.wake.wake_id, after.wake.generation));
}

#[test]
fn deliveries_wait_for_room_and_events_do_not() {
    let mut stage = with_workers();
    stage.webhook("w", EVENTS).unwrap();
    stage.append("events/b");
    stage.room = 0;
    assert!(stage.turn().is_empty());
    assert!(stage.tail("wake") > 0);
    assert_eq!(stage.board.due_ms(0), None, "there is nothing to do until there is room");
    stage.room = 1;
    assert_eq!(stage.turn().len(), 1);
}

#[test]
fn a_receiver_that_accepts_has_its_lease_to_call_back() {
    let mut stage = with_webhook();
    let attempt = stage.turn().remove(0);
    stage.delivered(&attempt, &Outcome::Accepted);
    stage.now_ms += 9_999;
    assert_eq!(stage.acknowledge("s", Way::Callback, &called(&attempt), vec![], false), Ok(false));
    stage.now_ms += 9_999;
    stage.append("events/a");
    assert_eq!(stage.finish("s", Way::Callback, &called(&attempt)), Ok(true), "the second one is still to come");
    let stale = stage.finish("s", Way::Callback, &called(&attempt));
    assert_eq!(stale, Err(Refusal::Fenced { current: 1 }));
    let next = stage.turn().remove(0);
    stage.delivered(&next, &Outcome::Accepted);
    stage.now_ms += 10_000;
    assert_eq!(stage.finish("s", Way::Callback, &called(&next)), Err(Refusal::Fenced { current: 2 }));
    assert_eq!(stage.turn()[0].wake.generation, 3, "a lease that ends makes another wake");
}

#[test]
fn a_callback_may_come_before_the_answer() {
    let mut stage = with_webhook();
    let attempt = stage.turn().remove(0);
    assert_eq!(stage.finish("s", Way::Callback, &called(&attempt)), Ok(false));
    stage.append("events/a");
    let next = stage.turn().remove(0);
    stage.failed(&attempt);
    assert!(!failed(&stage), "the answer to a wake that is over says nothing about the next");
    stage.delivered(&next, &Outcome::Done);
    assert!(stage.turn().is_empty());
}

#[test]
fn a_wake_is_claimed_by_one() {
    let mut stage = with_workers();
    assert!(stage.turn().is_empty());
    let first = stage.claim("s", "w1").unwrap();
    assert_eq!(first.generation, 1);
    let refused = stage.claim("s", "w2");
    assert_eq!(refused, Err(Refusal::Claimed { worker: "w1".into(), generation: 1 }));
    stage.reopen();
    assert!(stage.claim("s", "w2").is_err(), "a restart takes nothing from the holder");
    assert_eq!(stage.finish("s", Way::Ack, &first), Ok(false));
    assert_eq!(stage.claim("s", "w2"), Err(Refusal::NothingPending));
}

#[test]
fn a_claim_need_not_wait_for_its_event() {
    let mut stage = with_workers();
    assert_eq!(stage.claim("s", "w1").unwrap().generation, 1);
    assert_eq!(stage.tail("wake"), 0);
}

#[test]
fn a_lease_that_ends_fences_its_holder_and_wakes_again() {
    let mut stage = with_workers();
    stage.turn();
    let events = stage.tail("wake");
    let lost = stage.claim("s", "w1").unwrap();
    stage.now_ms += 5_000;
    assert_eq!(stage.acknowledge("s", Way::Ack, &lost, vec![], false), Ok(false));
    stage.now_ms += 9_999;
    stage.turn();
    assert_eq!(stage.tail("wake"), events, "a heartbeat has extended it");
    stage.now_ms += 1;
    assert_eq!(stage.finish("s", Way::Ack, &lost), Err(Refusal::Fenced { current: 1 }));
    stage.turn();
    assert!(stage.tail("wake") > events);
    assert_eq!(stage.claim("s", "w2").unwrap().generation, 2);
    assert_eq!(stage.finish("s", Way::Ack, &lost), Err(Refusal::Fenced { current: 2 }));
    assert_eq!(stage.release("s", &lost), Err(Refusal::Fenced { current: 2 }));
}

#[test]
fn work_that_is_released_is_announced_again() {
    let mut stage = with_workers();
    stage.turn();
    let events = stage.tail("wake");
    let claimed = stage.claim("s", "w1").unwrap();
    stage.release("s", &claimed).unwrap();
    stage.turn();
    assert!(stage.tail("wake") > events);
    let again = stage.claim("s", "w1").unwrap();
    stage.acknowledge("s", Way::Ack, &again, vec![(path("events/a"), Some(1))], false).unwrap();
    let events = stage.tail("wake");
    stage.release("s", &again).unwrap();
    stage.turn();
    assert_eq!(stage.tail("wake"), events, "nothing is left");
}

#[test]
fn acknowledged_places_grow_and_stay_inside_of_the_stream() {
    let mut stage = with_workers();
    stage.append("events/a");
    let claimed = stage.claim("s", "w1").unwrap();
    let mut ack = |acks: &[(&str, Option<u64>)]| {
        let acks = acks.iter().map(|(name, acked)| (path(name), *acked)).collect();
        stage.acknowledge("s", Way::Ack, &claimed, acks, false)
    };
    ack(&[("events/a", Some(1))]).unwrap();
    ack(&[("events/a", Some(1))]).unwrap();
    for wrong in [
        &[("events/a", Some(0))][..],
        &[("events/a", None)],
        &[("events/a", Some(3))],
        &[("events/b", Some(0))],
        &[("events/a", Some(2)), ("events/a", Some(1))],
    ] {
        assert!(matches!(ack(wrong), Err(Refusal::Offset { .. })), "{wrong:?}");
    }
    assert_eq!(stage.links("s"), [("events/a".into(), false, Some(1))], "all of them or none");
}

#[test]
fn tokens_prove_one_generation_of_one_subscription() {
    let mut stage = with_workers();
    stage.pull("t", "wake", EVENTS).unwrap();
    stage.append("events/b");
    let (first, other) = (stage.claim("s", "w1").unwrap(), stage.claim("t", "w1").unwrap());
    let mut forged = first.clone();
    forged.token = other.token;
    assert_eq!(stage.finish("s", Way::Ack, &forged), Err(Refusal::TokenInvalid));
    stage.now_ms += 3_600_000;
    assert_eq!(stage.finish("s", Way::Ack, &first), Err(Refusal::TokenExpired));
    stage.now_ms -= 3_600_000;
    stage.unsubscribe("s");
    assert!(matches!(stage.finish("s", Way::Ack, &first), Err(Refusal::NotFound { .. })));
    stage.pull("s", "wake", EVENTS).unwrap();
    stage.append("events/b");
    stage.claim("s", "w1").unwrap();
    assert_eq!(stage.finish("s", Way::Ack, &first), Err(Refusal::TokenInvalid), "another life of the same id");
}

#[test]
fn calls_are_for_their_type() {
    let mut stage = with_workers();
    let claimed = stage.claim("s", "w1").unwrap();
    assert!(matches!(stage.finish("s", Way::Callback, &claimed), Err(Refusal::OtherType { .. })));
    let mut stage = with_webhook();
    assert!(matches!(stage.claim("s", "w1"), Err(Refusal::OtherType { .. })));
}

#[test]
fn a_wake_stream_that_is_missing_is_tried_again() {
    let mut stage = Stage::new();
    stage.pull("s", "wake", EVENTS).unwrap();
    stage.append("events/a");
    stage.turn();
    assert!(failed(&stage));
    stage.create("wake", "application/json");
    stage.now_ms += 1_000;
    stage.turn();
    assert!(!failed(&stage));
    assert!(stage.tail("wake") > 0);
}

#[test]
fn what_is_gone_needs_no_wake() {
    let mut stage = with_webhook();
    let attempt = stage.turn().remove(0);
    stage.failed(&attempt);
    stage.delete("events/a");
    stage.now_ms += 1_000;
    assert!(stage.turn().is_empty());
    assert!(!failed(&stage));
}

#[test]
fn a_wake_tells_what_is_pending_first_and_no_more_than_its_bound() {
    let mut stage = Stage::new();
    stage.webhook("s", EVENTS).unwrap();
    for name in ["a", "b", "c", "d", "e"] {
        stage.append(&format!("events/{name}"));
    }
    let mut told = Vec::new();
    while let Some(attempt) = stage.turn().pop() {
        told.push(attempt.wake.streams.iter().filter(|view| view.pending).count());
        stage.delivered(&attempt, &Outcome::Done);
    }
    assert_eq!(told, [3, 2]);
    assert!(stage.links("s").iter().all(|(.., acked)| *acked == Some(1)));
}

#[test]
fn a_clock_that_was_set_back_does_not_hold_a_retry_up() {
    let mut stage = with_webhook();
    let attempt = stage.turn().remove(0);
    stage.failed(&attempt);
    stage.now_ms -= 900_000;
    stage.reopen();
    assert!(stage.board.due_ms(1).unwrap() <= stage.now_ms + 60_000);
}

#[test]
fn an_old_key_stays_published_for_a_while() {
    let mut stage = Stage::new();
    let renew = |stage: &mut Stage, kid: &str| {
        let fresh = (kid.to_owned(), key(stage.now_ms));
        stage.decide(|board, _, now_ms, changes| board.renew_keys(now_ms, &SECRET, fresh, changes));
    };
    let published = |stage: &Stage| stage.board.jwks().0.into_iter().map(|(kid, _)| kid).collect::<Vec<_>>();
    renew(&mut stage, "ds_2");
    assert_eq!(published(&stage), ["ds_1"], "none is due");
    stage.now_ms += 1_000_000;
    renew(&mut stage, "ds_2");
    assert_eq!(published(&stage), ["ds_1", "ds_2"]);
    assert_eq!(stage.board.signing_key().unwrap().0, "ds_2");
    stage.now_ms += 1_000_000;
    renew(&mut stage, "ds_3");
    assert_eq!(published(&stage), ["ds_2", "ds_3"]);
}
