//! Declared roles over WebSockets, with and without a security service, against a naive model: a permitted message
//! reaches one instance of each subscribed role, and a held message nobody before it is authorized.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use proptest::prelude::*;

use super::stable;
use crate::broker::config::Config;
use crate::broker::rules::{Attempt, Effect, Endpoint, Exchange, InstanceKey, Outcome, Work};
use crate::broker::wire::{Form, Landscape, RoleRoutes, Translation};
use crate::message::{ActivityId, InstanceId, Message, MessageId, MessageName, Registration, Role, Verdict};

/// Two instances of each; odd ones acknowledge deliveries.
const ROLES: [&str; 4] = ["web", "users", "log", "security"];
const NAMES: [&str; 3] = ["create", "created", "odd"];
const CONVERSATIONS_MAX: usize = 32;

#[derive(Debug, Clone)]
enum Step {
    Publish {
        instance: usize,
        name: usize,
    },
    /// The instance takes a delivery and acknowledges it, or its connection breaks.
    Round {
        instance: usize,
        breaks: bool,
    },
    Join(usize),
    Leave(usize),
    /// The security service decides about one of the held messages.
    Decide {
        which: usize,
        authorized: bool,
    },
}

fn steps(moves: u32) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_usize..8, 0_usize..3).prop_map(|(instance, name)| Step::Publish { instance, name }),
        4 => (0_usize..8).prop_map(|instance| Step::Round { instance, breaks: false }),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, authorized)| Step::Decide { which, authorized }),
        moves => (0_usize..8, any::<bool>()).prop_map(|(instance, breaks)| Step::Round { instance, breaks }),
        moves => (0_usize..8).prop_map(Step::Join),
        moves => (0_usize..8).prop_map(Step::Leave),
    ];
    proptest::collection::vec(step, 0..90)
}

fn names(list: &[&str]) -> Vec<MessageName> {
    list.iter().map(|name| MessageName::parse(name).unwrap()).collect()
}

fn role(text: &str, sends: &[&str], receives: &[&str]) -> RoleRoutes {
    let (sends, receives) = (names(sends), names(receives));
    RoleRoutes { role: Role::parse(text).unwrap(), sends, receives, translation: Translation::None, address: None }
}

/// Returns the receivers of a message, if the role may send it.
fn receivers(sender: &str, name: &str) -> Option<&'static [&'static str]> {
    match (sender, name) {
        ("web", "create") => Some(&["users", "log"]),
        ("users", "created") => Some(&["web", "log"]),
        _ => None,
    }
}

struct Bench {
    exchange: Exchange<usize>,
    now: Instant,
    effects: Vec<Effect<usize>>,
    keys: [Option<InstanceKey>; 8],
    has_security: bool,
    published: usize,
    /// Sending instance and name of each message, by id.
    sent: BTreeMap<usize, (usize, &'static str)>,
    expected: BTreeSet<(&'static str, usize)>,
    refused: BTreeSet<usize>,
    /// Messages that arrived, by instance.
    arrived: Vec<Vec<usize>>,
    /// Open questions to the security service: instance, activity and message.
    questions: Vec<(usize, ActivityId, usize)>,
    given_up: Vec<usize>,
}

impl Bench {
    fn new(has_security: bool) -> Self {
        let config = Config { conversations_max: CONVERSATIONS_MAX, ..stable() };
        let mut exchange = Exchange::new(config, Default::default(), 7);
        let mut roles = vec![
            role("web", &["create"], &["created"]),
            role("users", &["created"], &["create"]),
            role("log", &[], &["create", "created"]),
        ];
        if has_security {
            let sends = ["message authorized", "message unauthorized", "security request"];
            roles.push(role("security", &sends, &["authorize message", "security response"]));
        }
        let landscape = Landscape { form: Form::Translations, roles };
        exchange.configure(Instant::now(), &landscape, || 0, &mut Vec::new()).unwrap();
        let mut bench = Self {
            exchange,
            now: Instant::now(),
            effects: Vec::new(),
            keys: [None; 8],
            has_security,
            published: 0,
            sent: BTreeMap::new(),
            expected: BTreeSet::new(),
            refused: BTreeSet::new(),
            arrived: vec![Vec::new(); 8],
            questions: Vec::new(),
            given_up: Vec::new(),
        };
        (0..8).for_each(|instance| bench.join(instance));
        bench
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Publish { instance, name } => self.publish(instance, name),
            Step::Round { instance, breaks } => self.round(instance, breaks),
            Step::Join(instance) => self.join(instance),
            Step::Leave(instance) => self.leave(instance),
            Step::Decide { which, authorized } => self.decide(which, authorized),
        }
        self.perform();
        assert!(self.exchange.conversations_len() <= CONVERSATIONS_MAX + 2);
        assert!(self.exchange.security_len() <= self.published);
    }

    fn id_of(instance: usize) -> InstanceId {
        InstanceId::parse(&format!("i{instance}")).unwrap()
    }

    fn join(&mut self, instance: usize) {
        if self.keys[instance].is_some() {
            return;
        }
        let registration = Registration {
            role: Role::parse(ROLES[instance / 2]).unwrap(),
            instance: Self::id_of(instance),
            receives: Vec::new(),
            sends: Vec::new(),
            namespace: None,
            batch: !instance.is_multiple_of(2),
            token: None,
            away: false,
        };
        let joined = self.exchange.register(self.now, registration, Endpoint::Socket, instance, &mut self.effects);
        self.keys[instance] = joined.unwrap();
    }

    fn leave(&mut self, instance: usize) {
        if let Some(key) = self.keys[instance].take() {
            self.exchange.disconnect(self.now, key, &mut self.effects);
        }
    }

    fn publish(&mut self, instance: usize, name: usize) {
        if self.keys[instance].is_none() {
            return;
        }
        let (id, sender, name) = (self.published, ROLES[instance / 2], NAMES[name]);
        self.published += 1;
        let mut message = Message::new(MessageId::parse(&id.to_string()).unwrap(), names(&[name]).remove(0));
        message.sender = Role::parse(sender).ok();
        let verdict = self.exchange.publish(self.now, Some(&Self::id_of(instance)), message, &mut self.effects);
        match receivers(sender, name) {
            None => assert!(matches!(verdict, Verdict::Forbidden { .. }), "{sender} {name}: {verdict:?}"),
            Some(roles) => {
                assert_eq!(verdict, Verdict::Accepted);
                self.sent.insert(id, (instance, name));
                if !self.has_security {
                    self.expected.extend(roles.iter().map(|role| (*role, id)));
                }
            }
        }
    }

    fn round(&mut self, instance: usize, breaks: bool) {
        let Some(key) = self.keys[instance] else { return };
        let Work::Batch(batch) = self.exchange.take(self.now, key, super::Lanes::All, &mut self.effects) else {
            return;
        };
        if breaks {
            self.leave(instance);
            let attempt = Attempt::Unreachable { cause: "the connection ended".into() };
            self.exchange.record_outcome(self.now, key, attempt, &mut self.effects);
            return;
        }
        for message in &batch.messages {
            match message.name.as_str() {
                "authorize message" => {
                    let payload: serde_json::Value = message.payload().unwrap();
                    let id = payload["id"].as_str().unwrap().parse().unwrap();
                    self.questions.push((instance, message.conversation(), id));
                }
                _ => self.arrived[instance].push(message.id.as_str().parse().unwrap()),
            }
        }
        let outcomes = vec![Outcome::Delivered; batch.messages.len()];
        self.exchange.record_outcome(self.now, key, Attempt::Answered(outcomes), &mut self.effects);
    }

    fn decide(&mut self, which: usize, authorized: bool) {
        if self.questions.is_empty() {
            return;
        }
        let (security, activity, id) = self.questions.swap_remove(which % self.questions.len());
        self.join(security);
        let name = if authorized { "message authorized" } else { "message unauthorized" };
        let verdict_id = MessageId::parse(&format!("verdict-{id}-{}", self.published)).unwrap();
        let mut message = Message::new(verdict_id, names(&[name]).remove(0));
        message.sender = Role::parse("security").ok();
        message.activity_id = Some(activity);
        let verdict = self.exchange.publish(self.now, Some(&Self::id_of(security)), message, &mut self.effects);
        assert_eq!(verdict, Verdict::Accepted);
        let (sender, name) = self.sent[&id];
        let roles = receivers(ROLES[sender / 2], name).unwrap();
        match authorized {
            true => self.expected.extend(roles.iter().map(|role| (*role, id))),
            false => drop(self.refused.insert(id)),
        }
    }

    fn perform(&mut self) {
        for effect in std::mem::take(&mut self.effects) {
            if let Effect::Undelivered { envelope, .. } = effect {
                self.given_up.push(envelope.message.id.as_str().parse().unwrap());
            }
        }
    }

    /// All instances come back, and all held messages are authorized.
    fn finish(&mut self) {
        for _ in 0..4 {
            (0..8).for_each(|instance| self.join(instance));
            (0..8).for_each(|instance| self.round(instance, false));
            while !self.questions.is_empty() {
                self.decide(0, true);
            }
            self.perform();
        }
    }

    fn check(&self) {
        let mut arrived = BTreeSet::new();
        for (instance, ids) in self.arrived.iter().enumerate() {
            for id in ids {
                assert!(arrived.insert((ROLES[instance / 2], *id)), "{id} arrived twice at {}", ROLES[instance / 2]);
            }
        }
        assert_eq!(arrived, self.expected);
        let given_up: BTreeSet<usize> = self.given_up.iter().copied().collect();
        assert_eq!((given_up.len(), given_up), (self.given_up.len(), self.refused.clone()));
        assert_eq!((self.exchange.security_len(), self.exchange.load()), (0, Default::default()));
    }

    /// Each instance received the messages of one sender in order; without a security service and departures.
    fn check_order(&self) {
        for ids in &self.arrived {
            for sender in 0..8 {
                let of_sender: Vec<_> = ids.iter().filter(|id| self.sent[id].0 == sender).collect();
                assert!(of_sender.is_sorted(), "{ids:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn permitted_messages_reach_each_role_once_and_in_order(steps in steps(0)) {
        let mut bench = Bench::new(false);
        steps.into_iter().for_each(|step| bench.run(step));
        bench.finish();
        bench.check();
        bench.check_order();
    }

    #[test]
    fn permitted_messages_reach_each_role_once_while_sockets_come_and_go(steps in steps(2)) {
        let mut bench = Bench::new(false);
        steps.into_iter().for_each(|step| bench.run(step));
        bench.finish();
        bench.check();
    }

    #[test]
    fn held_messages_arrive_after_they_are_authorized_and_not_before(steps in steps(2)) {
        let mut bench = Bench::new(true);
        for step in steps {
            bench.run(step);
            let arrived = bench.arrived.iter().flatten();
            let authorized: BTreeSet<_> = bench.expected.iter().map(|(_, id)| id).collect();
            prop_assert!(arrived.clone().all(|id| authorized.contains(id)));
        }
        bench.finish();
        bench.check();
    }
}
