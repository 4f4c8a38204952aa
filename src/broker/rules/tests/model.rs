//! The naive model: six instances of three roles, and the messages that each role should receive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::broker::config::Config;
use crate::broker::rules::*;
use crate::broker::wire::Address;
use crate::message::{InstanceId, Message, MessageId, MessageName, Registration, Role, Verdict};

pub(super) const ROLES: [&str; 3] = ["web", "users", "log"];
pub(super) const NAMES: [&str; 3] = ["create", "created", "deleted"];

#[derive(Debug, Clone)]
pub(super) enum Step {
    Publish {
        sender: usize,
        name: usize,
        answers: Option<usize>,
    },
    /// The instance's courier makes one delivery, of which the first `succeed` messages succeed.
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

/// Instances 0 to 5, two of each role; odd ones are local. Role `web` receives three messages, `users` two, `log` one.
pub(super) struct Bench {
    pub(super) exchange: Exchange<usize>,
    pub(super) now: Instant,
    pub(super) effects: Vec<Effect<usize>>,
    /// Messages that should arrive, by role.
    pub(super) expected: BTreeMap<&'static str, BTreeSet<String>>,
    /// Messages that arrived, by instance: sender and id.
    pub(super) arrived: Vec<Vec<(String, String)>>,
    pub(super) given_up: Vec<(String, String)>,
    pub(super) keys: [Option<InstanceKey>; 6],
    /// End of the time in which a role is expected back, if its last instance was remote.
    pub(super) departed: [Option<Instant>; 3],
    pub(super) published: usize,
    pub(super) busy: bool,
    /// Entries of the message log: id and receivers.
    pub(super) logged: Vec<(String, Vec<String>)>,
}

pub(super) fn role_of(instance: usize) -> &'static str {
    ROLES[instance / 2]
}

impl Bench {
    pub(super) fn new(config: Config) -> Self {
        Self::with(config, &[0, 1, 2, 3, 4, 5])
    }

    /// Starts with these instances registered.
    pub(super) fn with(config: Config, instances: &[usize]) -> Self {
        let mut bench = Self {
            exchange: Exchange::new(config, Default::default(), 7),
            now: Instant::now(),
            effects: Vec::new(),
            expected: BTreeMap::new(),
            arrived: vec![Vec::new(); 6],
            given_up: Vec::new(),
            keys: [None; 6],
            departed: [None; 3],
            published: 0,
            busy: false,
            logged: Vec::new(),
        };
        instances.iter().for_each(|instance| bench.register(*instance));
        bench
    }

    pub(super) fn receives(instance: usize) -> Vec<MessageName> {
        NAMES[instance / 2..].iter().map(|name| MessageName::parse(name).unwrap()).collect()
    }

    pub(super) fn register(&mut self, instance: usize) {
        if self.keys[instance].is_none() {
            self.keys[instance] = self.announce(instance, false);
            self.departed[instance / 2] = None;
            self.perform();
        }
    }

    /// Renews the registration of a remote instance, whose service answers or is away.
    pub(super) fn renew(&mut self, instance: usize, away: bool) {
        assert_eq!(self.announce(instance, away), None, "{instance} was not registered");
        self.perform();
    }

    fn announce(&mut self, instance: usize, away: bool) -> Option<InstanceKey> {
        let registration = Registration {
            role: Role::parse(role_of(instance)).unwrap(),
            instance: InstanceId::parse(&format!("i{instance}")).unwrap(),
            receives: Self::receives(instance),
            sends: Vec::new(),
            namespace: None,
            batch: true,
            token: None,
            away,
        };
        let remote = || Endpoint::Remote(Address::new("localhost", 1).unwrap());
        let place = if instance % 2 == 1 { Endpoint::Local } else { remote() };
        self.exchange.register(self.now, registration, place, instance, &mut self.effects).unwrap()
    }

    pub(super) fn leave(&mut self, instance: usize) {
        if self.keys[instance].take().is_some() {
            let id = InstanceId::parse(&format!("i{instance}")).unwrap();
            let role = Role::parse(role_of(instance)).unwrap();
            assert!(self.exchange.leave(self.now, &role, &id, &mut self.effects));
            let last = self.keys[instance ^ 1].is_none() && instance.is_multiple_of(2);
            self.departed[instance / 2] = last.then(|| self.now + Config::default().delivery_window());
            self.perform();
        }
    }

    pub(super) fn publish(&mut self, sender: usize, name: usize, answers: Option<usize>) {
        let id = self.published;
        self.published += 1;
        let mut message =
            Message::new(MessageId::parse(&id.to_string()).unwrap(), MessageName::parse(NAMES[name]).unwrap());
        message.response_to = answers.map(|past| MessageId::parse(&(past % (id + 1)).to_string()).unwrap());
        message.sender = Some(Role::parse(role_of(sender)).unwrap());
        let is_registered = |role: usize| self.keys[2 * role].is_some() || self.keys[2 * role + 1].is_some();
        let is_present = |role: usize| is_registered(role) || self.departed[role].is_some_and(|until| self.now < until);
        let receivers: Vec<_> =
            (0..3).filter(|role| is_present(*role) && *role <= name).map(|role| ROLES[role]).collect();
        let verdict = self.exchange.publish(self.now, None, message, &mut self.effects);
        let expected = if receivers.is_empty() { Verdict::NoReceivers } else { Verdict::Accepted };
        assert_eq!(verdict, expected);
        for role in receivers {
            self.expected.entry(role).or_default().insert(id.to_string());
        }
        self.perform();
    }

    pub(super) fn round(&mut self, instance: usize, succeed: usize) {
        let Some(key) = self.keys[instance] else { return };
        let work = self.exchange.take(self.now, key, Lanes::All, &mut self.effects);
        self.perform();
        let Work::Batch(batch) = work else { return };
        let outcome =
            |position: usize| if position < succeed { Outcome::Delivered } else { Outcome::Retry("busy".into()) };
        for message in batch.messages.iter().take(succeed) {
            self.arrive(instance, message);
        }
        let attempt = match succeed {
            0 => Attempt::Unreachable { cause: "away".into() },
            _ => Attempt::Answered((0..batch.messages.len()).map(outcome).collect()),
        };
        self.exchange.record_outcome(self.now, key, attempt, &mut self.effects);
        self.perform();
    }

    pub(super) fn arrive(&mut self, instance: usize, message: &Message) {
        let sender = message.sender.as_ref().unwrap().to_string();
        self.arrived[instance].push((sender, message.id.to_string()));
    }

    pub(super) fn perform(&mut self) {
        while !self.effects.is_empty() {
            for effect in std::mem::take(&mut self.effects) {
                match effect {
                    Effect::Deliver { handle, key, envelope } => {
                        self.busy = !self.busy;
                        match self.busy {
                            true => self.exchange.put_back(self.now, key, envelope, &mut self.effects),
                            false => self.arrive(handle, &envelope.message),
                        }
                    }
                    Effect::Undelivered { envelope, .. } => {
                        self.given_up.push((envelope.role.to_string(), envelope.message.id.to_string()));
                    }
                    Effect::Routed(routed) => {
                        let receivers = routed.receivers.iter().map(|(role, _)| role.to_string());
                        self.logged.push((routed.message.id.to_string(), receivers.collect()));
                    }
                    Effect::Wake { .. } | Effect::Note(_) | Effect::Traced(_) => {}
                }
            }
        }
    }

    pub(super) fn run(&mut self, step: Step) {
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

    /// All instances come back and every delivery succeeds.
    pub(super) fn finish(&mut self) {
        (0..6).for_each(|instance| self.register(instance));
        for _ in 0..4 {
            (0..6).for_each(|instance| self.round(instance, usize::MAX));
        }
    }

    /// Each role received each of its messages once, or the failure was reported.
    pub(super) fn check_exactly_once(&self) {
        for (index, role) in ROLES.iter().enumerate() {
            let mut received: Vec<_> =
                self.arrived[2 * index..2 * index + 2].iter().flatten().map(|(_, id)| id.clone()).collect();
            received.extend(self.given_up.iter().filter(|(other, _)| other == role).map(|(_, id)| id.clone()));
            received.sort();
            let mut expected: Vec<_> = self.expected.get(role).into_iter().flatten().cloned().collect();
            expected.sort();
            assert_eq!(received, expected, "{role}");
        }
        assert_eq!(self.exchange.load(), Default::default());
    }

    /// Each instance received the messages of one sender in the order of publication.
    pub(super) fn check_order(&self) {
        for arrived in &self.arrived {
            for sender in ROLES {
                let ids = arrived.iter().filter(|(from, _)| from == sender);
                let ids: Vec<usize> = ids.map(|(_, id)| id.parse().unwrap()).collect();
                assert!(ids.is_sorted(), "{sender}: {ids:?}");
            }
        }
    }
}
