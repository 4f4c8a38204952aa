//! Queues, their load and their limits.

use super::*;
use crate::broker::rules::Outcome;
use crate::message::{Message, MessageId, Payload};

const KEY: InstanceKey = InstanceKey(1);

/// Queues with one open queue; limits of two messages per queue and 100 bytes in all.
fn queues() -> Queues {
    let config = Config { queue_messages_max: 2, queue_bytes_max: 100, ..Config::default() };
    let mut queues = Queues::new(QueueLimits::of(&config));
    queues.open(KEY);
    queues
}

fn envelope(sequence: u64, bytes: usize) -> Envelope {
    let name = MessageName::parse("created").unwrap();
    let payload = Payload::of(&"x".repeat(bytes - 2)).ok();
    let message = Message::new(MessageId::parse(&sequence.to_string()).unwrap(), name.clone());
    Envelope {
        sequence,
        accepted: Instant::now(),
        message: Message { payload, ..message },
        public: name,
        role: Role::parse("users").unwrap(),
        only: None,
        origin: None,
        response_time: None,
        reported: true,
        urgent: false,
        logged: true,
        tries: 0,
    }
}

fn load(messages: usize, bytes: usize) -> Load {
    Load { messages, bytes }
}

#[test]
fn the_load_covers_queues_and_backlogs() {
    let mut queues = queues();
    assert_eq!(queues.insert(KEY, envelope(1, 10)), Occupancy::Idle);
    assert_eq!(queues.insert(KEY, envelope(2, 20)), Occupancy::Waiting);
    assert!(queues.insert_backlog(envelope(3, 30)).is_none());
    assert_eq!(queues.load(), load(3, 60));
    assert_eq!(queues.take_backlog(&Role::parse("users").unwrap()).len(), 1);
    assert_eq!(queues.load(), load(2, 30));
    queues.take(KEY, Lanes::All, Portion::Batch { messages_max: 1, bytes_max: usize::MAX }, Instant::now());
    assert_eq!(queues.load(), load(2, 30));
    let (delivered, rejected) = queues.record_outcome(KEY, Attempt::Answered(vec![Outcome::Delivered]));
    assert_eq!((delivered.len(), rejected.len(), queues.load()), (1, 0, load(1, 20)));
    assert_eq!(queues.close(KEY).len(), 1);
    assert_eq!(queues.load(), Load::default());
}

#[test]
fn a_queue_takes_at_most_as_much_as_it_leaves_to_the_others() {
    let mut queues = queues();
    assert!(queues.has_capacity(KEY, 100) && !queues.has_capacity(KEY, 101));
    queues.insert(KEY, envelope(1, 40));
    assert!(queues.has_capacity(KEY, 20) && !queues.has_capacity(KEY, 21));
    assert!(queues.has_backlog_capacity(&Role::parse("users").unwrap(), 60));
    queues.insert(KEY, envelope(2, 10));
    assert!(!queues.has_capacity(KEY, 0));
}

#[test]
fn staged_envelopes_are_put_in_order_with_the_others() {
    let mut queues = queues();
    queues.insert(KEY, envelope(2, 10));
    [1, 3].into_iter().for_each(|sequence| queues.stage(KEY, envelope(sequence, 10)));
    assert!(!queues.fits(KEY, &envelope(4, 10)));
    queues.merge_staged(KEY);
    let sequences: Vec<_> = queues.drain().iter().map(|envelope| envelope.sequence).collect();
    assert_eq!((sequences, queues.load()), (vec![1, 2, 3], Load::default()));
}

#[test]
fn single_deliveries_begin_in_order_and_end_in_any() {
    let config = Config { queue_bytes_max: 1_000, ..Config::default() };
    let mut queues = Queues::new(QueueLimits::of(&config));
    queues.open(KEY);
    for sequence in 1..=4 {
        queues.insert(KEY, envelope(sequence, 10));
    }
    let portion = Portion::Single { deliveries_max: 3 };
    let begun = |queues: &mut Queues| queues.take(KEY, Lanes::All, portion, Instant::now()).0.single;
    assert_eq!([1, 2, 3].map(|_| begun(&mut queues)), [Some(1), Some(2), Some(3)]);
    assert_eq!((begun(&mut queues), queues.load()), (None, load(4, 40)));
    queues.conclude_single(KEY, 2);
    assert_eq!(queues.record_outcome(KEY, Attempt::Answered(vec![Outcome::Delivered])).0.len(), 1);
    assert_eq!((begun(&mut queues), queues.load()), (Some(4), load(3, 30)));
    assert_eq!(queues.insert(KEY, envelope(5, 10)), Occupancy::Delivering);
    // One that failed is the next again.
    queues.conclude_single(KEY, 3);
    queues.record_outcome(KEY, Attempt::Unreachable { cause: "away".into() });
    assert_eq!((begun(&mut queues), begun(&mut queues)), (Some(3), None));
    // An outcome that comes too late counts for nothing.
    queues.conclude_single(KEY, 2);
    assert_eq!(queues.record_outcome(KEY, Attempt::Answered(vec![Outcome::Delivered])).0.len(), 0);
    assert_eq!((queues.close(KEY).len(), queues.load()), (4, Load::default()));
}

#[test]
fn a_deferred_envelope_counts_until_it_is_answered() {
    let mut queues = queues();
    assert!(queues.defer(KEY, envelope(1, 10)).is_none());
    assert!(queues.is_delivering(KEY) && queues.load() == load(1, 10));
    assert!(queues.complete_deferred(KEY, 2).is_none());
    assert!(queues.complete_deferred(KEY, 1).is_some());
    assert!(queues.is_idle(KEY) && queues.load() == Load::default());
}

#[test]
fn queues_are_part_of_a_budget_whatever_their_messages_carry() {
    let memory = crate::memory::Budget::new(3 * TEXTS_BYTES);
    let config = Config { memory: memory.clone(), ..Config::default() };
    let mut queues = Queues::new(QueueLimits::of(&config));
    queues.open(KEY);
    assert!(queues.has_capacity(KEY, 10));
    queues.insert(KEY, envelope(1, 10));
    assert!(queues.insert_backlog(envelope(2, 10)).is_none());
    assert_eq!(memory.used(), 2 * (TEXTS_BYTES + 10));
    assert!(!queues.has_capacity(KEY, 10) && !queues.has_backlog_capacity(&envelope(3, 10).role, 10));
    assert!(queues.has_urgent_capacity(KEY, 10), "replies that somebody waits for pass");
    assert_eq!((queues.drain().len(), memory.used()), (2, 0));
}
