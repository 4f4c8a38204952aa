//! The machine against a naive model: who should have got what, exactly once, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::broker::config::Config;
use crate::broker::wire::{Address, Registration, Verdict};
use crate::message::{InstanceId, Message, MessageId, MessageName, Role};

const ROLES: [&str; 3] = ["web", "users", "log"];
const NAMES: [&str; 3] = ["create", "created", "deleted"];

#[derive(Debug, Clone)]
enum Step {
    Publish {
        sender: usize,
        name: usize,
        answers: Option<usize>,
    },
    /// The instance's courier makes a round; so many messages succeed, the others wait again.
    Round {
        instance: usize,
        succeed: usize,
    },
    Leave {
        instance: usize,
    },
    Register {
        instance: usize,
    },
    Wait {
        millis: u64,
    },
}

/// Instances 0 to 5: two of every role; odd ones are of this process. Role `web` receives everything, `users` two
/// messages, `log` one.
struct Bench {
    exchange: Exchange<usize>,
    now: Instant,
    effects: Vec<Effect<usize>>,
    /// By role: what should arrive.
    expected: BTreeMap<&'static str, BTreeSet<String>>,
    /// By instance: what arrived, sender and id.
    arrived: Vec<Vec<(String, String)>>,
    given_up: Vec<(String, String)>,
    keys: [Option<Key>; 6],
    /// By role: until when it is expected back, if its last instance could restart.
    departed: [Option<Instant>; 3],
    published: usize,
    busy: bool,
}

fn role_of(instance: usize) -> &'static str {
    ROLES[instance / 2]
}

impl Bench {
    fn new(config: Config) -> Self {
        let mut bench = Self {
            exchange: Exchange::new(config),
            now: Instant::now(),
            effects: Vec::new(),
            expected: BTreeMap::new(),
            arrived: vec![Vec::new(); 6],
            given_up: Vec::new(),
            keys: [None; 6],
            departed: [None; 3],
            published: 0,
            busy: false,
        };
        (0..6).for_each(|instance| bench.register(instance));
        bench
    }

    fn receives(instance: usize) -> Vec<MessageName> {
        NAMES[instance / 2..].iter().map(|name| MessageName::parse(name).unwrap()).collect()
    }

    fn register(&mut self, instance: usize) {
        let registration = Registration {
            role: Role::parse(role_of(instance)).unwrap(),
            instance: InstanceId::parse(&format!("i{instance}")).unwrap(),
            receives: Self::receives(instance),
            sends: Vec::new(),
            namespace: None,
            batch: true,
        };
        let remote = || Place::Remote(Address::new("localhost", 1).unwrap());
        let place = if instance % 2 == 1 { Place::Local } else { remote() };
        if self.keys[instance].is_none() {
            let key = self.exchange.register(self.now, registration, place, instance, &mut self.effects);
            self.keys[instance] = key.unwrap();
            self.departed[instance / 2] = None;
            self.perform();
        }
    }

    fn leave(&mut self, instance: usize) {
        if self.keys[instance].take().is_some() {
            let id = InstanceId::parse(&format!("i{instance}")).unwrap();
            let role = Role::parse(role_of(instance)).unwrap();
            assert!(self.exchange.leave(self.now, &role, &id, &mut self.effects));
            let last = self.keys[instance ^ 1].is_none() && instance.is_multiple_of(2);
            self.departed[instance / 2] = last.then(|| self.now + Config::default().delivery_window());
            self.perform();
        }
    }

    fn publish(&mut self, sender: usize, name: usize, answers: Option<usize>) {
        let id = self.published;
        self.published += 1;
        let mut message =
            Message::new(MessageId::parse(&id.to_string()).unwrap(), MessageName::parse(NAMES[name]).unwrap());
        message.response_to = answers.map(|past| MessageId::parse(&(past % (id + 1)).to_string()).unwrap());
        message.sender = Some(Role::parse(role_of(sender)).unwrap());
        let here = |role: usize| self.keys[2 * role].is_some() || self.keys[2 * role + 1].is_some();
        let present = |role: usize| here(role) || self.departed[role].is_some_and(|until| self.now < until);
        let receivers: Vec<_> = (0..3).filter(|role| present(*role) && *role <= name).map(|role| ROLES[role]).collect();
        let verdict = self.exchange.publish(self.now, None, message, &mut self.effects);
        let expected = if receivers.is_empty() { Verdict::NoReceivers } else { Verdict::Accepted };
        assert_eq!(verdict, expected);
        for role in receivers {
            self.expected.entry(role).or_default().insert(id.to_string());
        }
        self.perform();
    }

    fn round(&mut self, instance: usize, succeed: usize) {
        let Some(key) = self.keys[instance] else { return };
        let work = self.exchange.take(self.now, key, &mut self.effects);
        self.perform();
        let Work::Batch(batch) = work else { return };
        let outcome = |place: usize| if place < succeed { Outcome::Delivered } else { Outcome::Later("busy".into()) };
        for message in batch.messages.iter().take(succeed) {
            self.arrive(instance, message);
        }
        let attempt = match succeed {
            0 => Attempt::Silent { cause: "away".into() },
            _ => Attempt::Answered((0..batch.messages.len()).map(outcome).collect()),
        };
        self.exchange.settle(self.now, key, attempt, &mut self.effects);
        self.perform();
    }

    fn arrive(&mut self, instance: usize, message: &Message) {
        let sender = message.sender.as_ref().unwrap().to_string();
        self.arrived[instance].push((sender, message.id.to_string()));
    }

    fn perform(&mut self) {
        while !self.effects.is_empty() {
            for effect in std::mem::take(&mut self.effects) {
                match effect {
                    Effect::Deliver { handle, key, parcel } => {
                        self.busy = !self.busy;
                        match self.busy {
                            true => self.exchange.put_back(self.now, key, parcel, &mut self.effects),
                            false => self.arrive(handle, &parcel.message),
                        }
                    }
                    Effect::Undelivered { parcel, .. } => {
                        self.given_up.push((parcel.role.to_string(), parcel.message.id.to_string()));
                    }
                    Effect::Wake { .. } | Effect::Routed(_) => {}
                }
            }
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Publish { sender, name, answers } => self.publish(sender, name, answers),
            Step::Round { instance, succeed } => self.round(instance, succeed),
            Step::Leave { instance } => self.leave(instance),
            Step::Register { instance } => self.register(instance),
            Step::Wait { millis } => {
                self.now += Duration::from_millis(millis);
                self.exchange.sweep(self.now, &mut self.effects);
                self.perform();
            }
        }
    }

    /// Everybody comes back and everything succeeds.
    fn finish(&mut self) {
        (0..6).for_each(|instance| self.register(instance));
        for _ in 0..4 {
            (0..6).for_each(|instance| self.round(instance, usize::MAX));
        }
    }

    /// Every role got each of its messages once, or its loss was reported.
    fn check_exactly_once(&self) {
        for (place, role) in ROLES.iter().enumerate() {
            let mut got: Vec<_> =
                self.arrived[2 * place..2 * place + 2].iter().flatten().map(|(_, id)| id.clone()).collect();
            got.extend(self.given_up.iter().filter(|(other, _)| other == role).map(|(_, id)| id.clone()));
            got.sort();
            let mut expected: Vec<_> = self.expected.get(role).into_iter().flatten().cloned().collect();
            expected.sort();
            assert_eq!(got, expected, "{role}");
        }
        assert_eq!(self.exchange.load(), Default::default());
    }

    /// Every instance got the messages of one sender in the order they were published.
    fn check_order(&self) {
        for arrived in &self.arrived {
            for sender in ROLES {
                let ids = arrived.iter().filter(|(from, _)| from == sender);
                let ids: Vec<usize> = ids.map(|(_, id)| id.parse().unwrap()).collect();
                assert!(ids.is_sorted(), "{sender}: {ids:?}");
            }
        }
    }
}

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

/// Leases that do not end within a test, so that only the steps decide who is there.
fn calm() -> Config {
    Config { settle_ms: 0, lease_ms: 86_400_000, ..Config::default() }
}

proptest! {
    #[test]
    fn each_role_gets_each_message_once_and_in_order(
        steps in proptest::collection::vec(prop_oneof![3 => sending(), 2 => rounds()], 0..80),
    ) {
        let mut bench = Bench::new(calm());
        steps.into_iter().for_each(|step| bench.run(step));
        bench.finish();
        bench.check_exactly_once();
        bench.check_order();
        prop_assert!(bench.given_up.is_empty());
    }

    #[test]
    fn nothing_is_lost_or_doubled_when_instances_come_and_go(
        steps in proptest::collection::vec(prop_oneof![4 => sending(), 2 => rounds(), 2 => moves()], 0..80),
    ) {
        let mut bench = Bench::new(calm());
        steps.into_iter().for_each(|step| bench.run(step));
        bench.finish();
        bench.check_exactly_once();
        prop_assert!(bench.given_up.is_empty());
    }

    #[test]
    fn what_is_late_or_over_the_bound_is_reported_and_the_state_is_bounded(
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
        let mut bench = Bench::new(Config { conversations_max: 8, ..calm() });
        for step in steps {
            bench.run(step);
            prop_assert!(bench.exchange.conversations.len() <= 8 + 2);
        }
        bench.now += Duration::from_secs(120);
        bench.finish();
        bench.check_exactly_once();
    }
}

/// A machine with one remote instance of `users` that receives `create`, and three places in its queue.
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
fn a_full_queue_refuses_and_costs_no_other_receiver_its_message() {
    let mut bench = small(calm());
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

#[test]
fn a_message_for_a_role_that_left_a_moment_ago_waits_for_it() {
    let mut bench = small(calm());
    bench.leave(2);
    assert_eq!(publish(&mut bench, None, message("1", "created")), Verdict::Accepted);
    bench.register(2);
    bench.finish();
    assert_eq!(bench.arrived[2], [("web".to_owned(), "1".to_owned())]);
}

#[test]
fn a_broker_that_has_just_started_keeps_messages_for_roles_that_register_late() {
    let mut bench = Bench::new(Config { settle_ms: 5_000, ..calm() });
    [2, 3].into_iter().for_each(|instance| bench.leave(instance));
    bench.departed = [None; 3];
    bench.exchange.absent.returned(&Role::parse("users").unwrap());
    assert_eq!(publish(&mut bench, None, message("1", "created")), Verdict::Accepted);
    bench.finish();
    let users: Vec<_> = bench.arrived[2..4].iter().flatten().collect();
    assert_eq!(users, [&("web".to_owned(), "1".to_owned())]);
    assert_eq!(bench.arrived[0].len() + bench.arrived[1].len(), 1);
}

#[test]
fn what_nobody_came_for_is_reported_once_the_broker_has_settled() {
    let mut bench = Bench::new(Config { settle_ms: 5_000, ..calm() });
    assert_eq!(publish(&mut bench, None, message("1", "zonk")), Verdict::Accepted);
    bench.run(Step::Wait { millis: 5_000 });
    assert_eq!(bench.given_up, [("nobody".to_owned(), "1".to_owned())]);
    assert_eq!(publish(&mut bench, None, message("2", "zonk")), Verdict::NoReceivers);
}

#[test]
fn a_reply_goes_to_the_instance_that_asked_even_if_its_role_does_not_receive_it() {
    let mut bench = Bench::new(calm());
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
fn by_the_rules_of_the_original_replies_go_to_subscribers_only() {
    let mut bench = Bench::new(Config { compat: true, ..calm() });
    let mut reply = message("2", "created");
    reply.response_to = Some(MessageId::parse("1").unwrap());
    publish(&mut bench, Some("i5"), message("1", "create"));
    publish(&mut bench, None, reply);
    bench.finish();
    assert!(bench.arrived[4].is_empty() && bench.arrived[5].is_empty());
}

#[test]
fn messages_of_one_conversation_stay_with_one_instance() {
    let mut bench = Bench::new(calm());
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
    let mut bench = Bench::new(calm());
    bench.leave(1);
    bench.leave(0);
    bench.register(0);
    (0..10).for_each(|id| drop(publish(&mut bench, None, message(&id.to_string(), "created"))));
    bench.finish();
    assert_eq!(bench.arrived[2].len() + bench.arrived[3].len(), 10);
    assert!(bench.arrived[2].len().abs_diff(bench.arrived[3].len()) <= 4, "{:?}", bench.arrived);
}

#[test]
fn a_message_held_up_by_another_one_still_gets_its_try() {
    let mut bench = small(calm());
    publish(&mut bench, None, message("1", "created"));
    publish(&mut bench, None, message("2", "created"));
    let key = bench.keys[2].unwrap();
    bench.exchange.take(bench.now, key, &mut bench.effects);
    let first_fails = Attempt::Answered(vec![Outcome::Later("500".into())]);
    bench.exchange.settle(bench.now, key, first_fails, &mut bench.effects);
    bench.now += calm().delivery_window();
    bench.round(2, usize::MAX);
    assert_eq!(bench.given_up, [("users".to_owned(), "1".to_owned())]);
    assert_eq!(bench.arrived[2], [("web".to_owned(), "2".to_owned())]);
}

#[test]
fn a_batch_that_is_refused_as_a_whole_is_halved_until_the_culprit_stands_alone() {
    let mut bench = small(calm());
    (0..3).for_each(|id| drop(publish(&mut bench, None, message(&id.to_string(), "created"))));
    let key = bench.keys[2].unwrap();
    bench.exchange.take(bench.now, key, &mut bench.effects);
    bench.exchange.settle(bench.now, key, Attempt::TooMuch { detail: "413".into() }, &mut bench.effects);
    let Work::Batch(batch) = bench.exchange.take(bench.now, key, &mut bench.effects) else { panic!("no work") };
    assert_eq!(batch.messages.len(), 1);
}
