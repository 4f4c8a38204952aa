//! The rules against a naive model: which messages each role receives, exactly once, and in which order.

mod landscapes;
mod model;
mod traces;
mod ways_back;

use std::time::Duration;

use proptest::prelude::*;

use self::model::{Bench, Step};
use super::{Attempt, Lanes, Outcome, Work};
use crate::broker::config::Config;
use crate::message::{InstanceId, Message, MessageId, MessageName, Payload, Role, Verdict};

fn sending() -> impl Strategy<Value = Step> {
    let answers = proptest::option::of(0_usize..50);
    (0_usize..6, 0_usize..3, answers).prop_map(|(sender, name, answers)| Step::Publish { sender, name, answers })
}

fn rounds() -> impl Strategy<Value = Step> {
    (0_usize..6, 0_usize..4).prop_map(|(instance, succeed)| Step::Round { instance, succeed })
}

fn moves() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_usize..6).prop_map(|instance| Step::Leave { instance }),
        (0_usize..6).prop_map(|instance| Step::Register { instance }),
    ]
}

/// Leases outlast every test, so only its steps decide which instances are present.
fn stable() -> Config {
    Config { settle_ms: 0, lease_ms: 86_400_000, ..Config::default() }
}

proptest! {
    #[test]
    fn each_role_gets_each_message_once_and_in_order(
        steps in proptest::collection::vec(prop_oneof![3 => sending(), 2 => rounds()], 0..80),
    ) {
        let mut bench = Bench::new(stable());
        steps.into_iter().for_each(|step| bench.run(step));
        bench.finish();
        bench.check_exactly_once();
        bench.check_order();
        prop_assert!(bench.given_up.is_empty());
    }

    #[test]
    fn nothing_is_lost_or_duplicated_when_instances_come_and_go(
        steps in proptest::collection::vec(prop_oneof![4 => sending(), 2 => rounds(), 2 => moves()], 0..80),
    ) {
        let mut bench = Bench::new(stable());
        steps.into_iter().for_each(|step| bench.run(step));
        bench.finish();
        bench.check_exactly_once();
        prop_assert!(bench.given_up.is_empty());
    }

    #[test]
    fn late_and_excess_messages_are_reported_and_the_state_is_bounded(
        steps in proptest::collection::vec(
            prop_oneof![
                6 => sending(),
                1 => rounds(),
                1 => moves(),
                1 => (0_u64..40_000).prop_map(|millis| Step::Wait { millis }),
            ],
            0..120,
        ),
    ) {
        let mut bench = Bench::new(Config { conversations_max: 8, ..stable() });
        for step in steps {
            bench.run(step);
            prop_assert!(bench.exchange.conversations_len() <= 8 + 2);
        }
        bench.now += Duration::from_secs(120);
        bench.finish();
        bench.check_exactly_once();
    }
}

/// One remote instance of `users`, with a queue of three messages.
fn small(config: Config) -> Bench {
    let mut bench = Bench::new(Config { queue_messages_max: 3, ..config });
    [0, 1, 3, 4, 5].into_iter().for_each(|instance| bench.leave(instance));
    bench
}

fn message(id: &str, name: &str) -> Message {
    let message = Message::new(MessageId::parse(id).unwrap(), MessageName::parse(name).unwrap());
    Message { sender: Some(Role::parse("web").unwrap()), ..message }
}

fn publish(bench: &mut Bench, origin: Option<&str>, message: Message) -> Verdict {
    let origin = origin.map(|id| InstanceId::parse(id).unwrap());
    let verdict = bench.exchange.publish(bench.now, origin.as_ref(), message, &mut bench.effects);
    bench.perform();
    verdict
}

#[test]
fn a_full_queue_refuses_messages_without_affecting_other_receivers() {
    let mut bench = small(stable());
    for id in ["1", "2", "3"] {
        assert_eq!(publish(&mut bench, None, message(id, "created")), Verdict::Accepted);
    }
    assert!(matches!(publish(&mut bench, None, message("4", "created")), Verdict::Busy { .. }));
    bench.register(1);
    bench.busy = true;
    assert_eq!(publish(&mut bench, None, message("5", "created")), Verdict::Accepted);
    assert_eq!(bench.arrived[1], [("web".to_owned(), "5".to_owned())]);
    assert_eq!(bench.given_up, [("users".to_owned(), "5".to_owned())]);
}

/// A message with a payload and an auth value of these sizes in bytes.
fn large(id: &str, name: &str, payload: usize, auth: usize) -> Message {
    let value = |bytes: usize| (bytes > 0).then(|| Payload::of(&"x".repeat(bytes - 2)).unwrap());
    Message { payload: value(payload), auth: value(auth), ..message(id, name) }
}

/// A limit of 1000 queued bytes.
fn limited() -> Config {
    Config { queue_bytes_max: 1_000, ..stable() }
}

#[test]
fn a_receiver_that_takes_nothing_leaves_capacity_to_others() {
    let mut bench = Bench::new(limited());
    [1, 3, 4, 5].into_iter().for_each(|instance| bench.leave(instance));
    let mut accepted = 0;
    while publish(&mut bench, None, large(&format!("a{accepted}"), "created", 60, 40)) == Verdict::Accepted {
        accepted += 1;
    }
    // Four messages for web and three for users fit, until web takes its own.
    assert_eq!(accepted, 4);
    bench.round(0, usize::MAX);
    assert_eq!(publish(&mut bench, None, large("b", "create", 100, 0)), Verdict::Accepted);
    bench.round(0, usize::MAX);
    assert_eq!(bench.arrived[0].last().unwrap().1, "b");
    assert_eq!(bench.given_up, [("users".to_owned(), "a3".to_owned())]);
}

#[test]
fn backlogs_are_bounded_in_bytes_and_the_rest_is_reported() {
    let mut bench = small(limited());
    bench.leave(2);
    for id in ["1", "2", "3", "4", "5", "6", "7"] {
        assert_eq!(publish(&mut bench, None, large(id, "created", 100, 100)), Verdict::Accepted);
    }
    assert_eq!(bench.exchange.load().bytes, 600);
    assert_eq!(bench.given_up.len(), 4);
    bench.register(2);
    bench.finish();
    assert_eq!(bench.arrived[2].len(), 3);
    assert_eq!(bench.exchange.load(), Default::default());
}

#[test]
fn messages_held_during_startup_are_bounded_in_bytes() {
    let mut bench = Bench::new(Config { settle_ms: 5_000, ..limited() });
    let verdicts = ["1", "2", "3"].map(|id| publish(&mut bench, None, large(id, "zonk", 400, 0)));
    assert_eq!(verdicts, [Verdict::Accepted, Verdict::Accepted, Verdict::NoReceivers]);
}

#[test]
fn a_message_for_a_role_that_left_recently_waits_for_it() {
    let mut bench = small(stable());
    bench.leave(2);
    assert_eq!(publish(&mut bench, None, message("1", "created")), Verdict::Accepted);
    bench.register(2);
    bench.finish();
    assert_eq!(bench.arrived[2], [("web".to_owned(), "1".to_owned())]);
}

#[test]
fn during_startup_messages_are_held_for_roles_that_register_late() {
    let mut bench = Bench::with(Config { settle_ms: 5_000, ..stable() }, &[0, 1, 4, 5]);
    assert_eq!(publish(&mut bench, None, message("1", "created")), Verdict::Accepted);
    bench.finish();
    let users: Vec<_> = bench.arrived[2..4].iter().flatten().collect();
    assert_eq!(users, [&("web".to_owned(), "1".to_owned())]);
    assert_eq!(bench.arrived[0].len() + bench.arrived[1].len(), 1);
}

#[test]
fn a_message_without_receivers_is_reported_at_the_end_of_startup() {
    let mut bench = Bench::new(Config { settle_ms: 5_000, ..stable() });
    assert_eq!(publish(&mut bench, None, message("1", "zonk")), Verdict::Accepted);
    bench.run(Step::Wait { millis: 5_000 });
    assert_eq!(bench.given_up, [("nobody".to_owned(), "1".to_owned())]);
    assert_eq!(publish(&mut bench, None, message("2", "zonk")), Verdict::NoReceivers);
}

#[test]
fn a_reply_goes_to_the_requesting_instance_even_if_its_role_does_not_subscribe() {
    let mut bench = Bench::new(stable());
    bench.busy = true;
    let mut reply = message("2", "created");
    reply.response_to = Some(MessageId::parse("1").unwrap());
    publish(&mut bench, Some("i5"), message("1", "create"));
    publish(&mut bench, None, reply);
    bench.finish();
    assert!(bench.arrived[5].iter().any(|(_, id)| id == "2"), "{:?}", bench.arrived);
    assert!(bench.arrived[4].is_empty());
}

#[test]
fn by_the_originals_rules_replies_go_to_subscribers_only() {
    let mut bench = Bench::new(Config { compat: true, ..stable() });
    let mut reply = message("2", "created");
    reply.response_to = Some(MessageId::parse("1").unwrap());
    publish(&mut bench, Some("i5"), message("1", "create"));
    publish(&mut bench, None, reply);
    bench.finish();
    assert!(bench.arrived[4].is_empty() && bench.arrived[5].is_empty());
}

#[test]
fn messages_of_one_conversation_stay_with_one_instance() {
    let mut bench = Bench::new(stable());
    for id in ["1", "2", "3", "4"] {
        let activity_id = Some(MessageId::parse("1").unwrap().into());
        publish(&mut bench, None, Message { activity_id, ..message(id, "create") });
    }
    bench.finish();
    let counts = [bench.arrived[0].len(), bench.arrived[1].len()];
    assert!(counts == [4, 0] || counts == [0, 4], "{counts:?}");
}

#[test]
fn messages_without_a_conversation_are_shared_fairly() {
    let mut bench = Bench::new(stable());
    bench.leave(1);
    bench.leave(0);
    bench.register(0);
    (0..10).for_each(|id| drop(publish(&mut bench, None, message(&id.to_string(), "created"))));
    bench.finish();
    assert_eq!(bench.arrived[2].len() + bench.arrived[3].len(), 10);
    assert!(bench.arrived[2].len().abs_diff(bench.arrived[3].len()) <= 4, "{:?}", bench.arrived);
}

#[test]
fn a_message_held_up_by_another_one_still_gets_one_attempt() {
    let mut bench = small(stable());
    publish(&mut bench, None, message("1", "created"));
    publish(&mut bench, None, message("2", "created"));
    let key = bench.keys[2].unwrap();
    bench.exchange.take(bench.now, key, Lanes::All, &mut bench.effects);
    let first_fails = Attempt::Answered(vec![Outcome::Retry("500".into())]);
    bench.exchange.record_outcome(bench.now, key, first_fails, &mut bench.effects);
    bench.now += stable().delivery_window();
    bench.round(2, usize::MAX);
    assert_eq!(bench.given_up, [("users".to_owned(), "1".to_owned())]);
    assert_eq!(bench.arrived[2], [("web".to_owned(), "2".to_owned())]);
}

#[test]
fn a_batch_that_is_refused_as_a_whole_is_halved_until_one_message_is_left() {
    let mut bench = small(stable());
    (0..3).for_each(|id| drop(publish(&mut bench, None, message(&id.to_string(), "created"))));
    let key = bench.keys[2].unwrap();
    bench.exchange.take(bench.now, key, Lanes::All, &mut bench.effects);
    bench.exchange.record_outcome(bench.now, key, Attempt::TooLarge { detail: "413".into() }, &mut bench.effects);
    let Work::Batch(batch) = bench.exchange.take(bench.now, key, Lanes::All, &mut bench.effects) else {
        panic!("no work")
    };
    assert_eq!(batch.messages.len(), 1);
}

#[test]
fn a_message_that_waits_for_a_role_is_logged_once_when_an_instance_gets_it() {
    let mut bench = small(Config { log_messages: true, ..stable() });
    bench.leave(2);
    publish(&mut bench, None, message("1", "created"));
    assert!(bench.logged.is_empty());
    bench.register(2);
    publish(&mut bench, None, message("2", "created"));
    // Both move to another instance before they are delivered.
    bench.register(3);
    bench.leave(2);
    bench.finish();
    let users = |id: &str| (id.to_owned(), vec!["users".to_owned()]);
    assert_eq!(bench.logged, [users("1"), users("2")]);
}
