//! Property test: random operations with crashes in between.

use std::collections::HashMap;

use proptest::prelude::*;

use super::harness::{Harness, called, id, path};
use crate::streams::subscriptions::rules::subscription::Subscription;
use crate::streams::subscriptions::rules::{AckEndpoint, Attempt, Outcome, Refusal};
use crate::streams::subscriptions::wire::{ClaimedView, WakeState};
use crate::streams::wire::Offset;

const NAMES: [&str; 2] = ["hook", "pull"];
const STREAMS: [&str; 4] = ["events/a", "events/b", "events/c/d", "other"];

#[derive(Debug, Clone)]
enum Step {
    Subscribe(usize),
    Unsubscribe(usize),
    Append(usize),
    Delete(usize),
    Add(usize, usize),
    Remove(usize, usize),
    RunDue,
    Done(usize),
    Accepted(usize),
    Failed(usize),
    Claim,
    Heartbeat(usize),
    Finish(usize),
    Release(usize),
    Wait(u64),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let (name, stream) = (0..NAMES.len(), 0..STREAMS.len());
    prop_oneof![
        2 => name.clone().prop_map(Step::Subscribe),
        1 => name.clone().prop_map(Step::Unsubscribe),
        6 => stream.clone().prop_map(Step::Append),
        1 => stream.clone().prop_map(Step::Delete),
        1 => (name.clone(), stream.clone()).prop_map(|(name, stream)| Step::Add(name, stream)),
        1 => (name, stream).prop_map(|(name, stream)| Step::Remove(name, stream)),
        4 => Just(Step::RunDue),
        1 => (0..4_usize).prop_map(Step::Done),
        1 => (0..4_usize).prop_map(Step::Accepted),
        1 => (0..4_usize).prop_map(Step::Failed),
        3 => Just(Step::Claim),
        1 => (0..8_usize).prop_map(Step::Heartbeat),
        1 => (0..8_usize).prop_map(Step::Finish),
        1 => (0..8_usize).prop_map(Step::Release),
        2 => prop::sample::select(vec![1, 500, 5_000, 10_000, 70_000]).prop_map(Step::Wait),
        2 => Just(Step::Crash),
    ]
}

/// Applies steps and checks invariants after each.
struct Checker {
    harness: Harness,
    attempts: Vec<Attempt>,
    /// Every wake given out so far, with the endpoint to acknowledge it at.
    called: Vec<(&'static str, AckEndpoint, ClaimedView)>,
    /// The generation that a worker holds, and the end of its lease.
    holder: Option<(u64, u64)>,
    generations: HashMap<String, u64>,
}

impl Checker {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Subscribe(0) => drop(self.harness.webhook("hook", r#""pattern":"events/**""#)),
            Step::Subscribe(_) => drop(self.harness.pull("pull", "wake", r#""pattern":"**","streams":["named"]"#)),
            Step::Unsubscribe(name) => self.unsubscribe(NAMES[*name]),
            Step::Append(stream) => self.harness.append(STREAMS[*stream]),
            Step::Delete(stream) => self.harness.delete(STREAMS[*stream]),
            Step::Add(name, stream) => drop(self.harness.add(NAMES[*name], &[STREAMS[*stream]])),
            Step::Remove(name, stream) => drop(self.harness.remove(NAMES[*name], STREAMS[*stream])),
            Step::RunDue => self.run_due(),
            Step::Done(which) => self.report(*which, &Outcome::Done),
            Step::Accepted(which) => self.report(*which, &Outcome::Accepted),
            Step::Failed(which) => self.report(*which, &Outcome::Failed { cause: String::new() }),
            Step::Claim => self.claim(),
            Step::Heartbeat(which) => self.call_back(*which, false),
            Step::Finish(which) => self.call_back(*which, true),
            Step::Release(which) => self.release(*which),
            Step::Wait(ms) => self.harness.now_ms += ms,
            Step::Crash => {
                self.harness.reopen();
                self.attempts.clear();
            }
        }
        self.check();
    }

    fn unsubscribe(&mut self, name: &str) {
        self.harness.unsubscribe(name);
        if name == "pull" {
            self.holder = None;
        }
    }

    fn run_due(&mut self) {
        let attempts = self.harness.run_due();
        self.called.extend(attempts.iter().map(|attempt| ("hook", AckEndpoint::Callback, called(attempt))));
        self.attempts.extend(attempts);
    }

    fn report(&mut self, which: usize, outcome: &Outcome) {
        if which < self.attempts.len() {
            let attempt = self.attempts.remove(which);
            self.harness.record_outcome(&attempt, outcome);
        }
    }

    fn claim(&mut self) {
        let Ok(claimed) = self.harness.claim("pull", "w") else { return };
        let now_ms = self.harness.now_ms;
        assert!(self.holder.is_none_or(|(_, until_ms)| until_ms <= now_ms), "two workers hold leases");
        let before = self.called.iter().any(|(.., before)| before.wake_id == claimed.wake_id);
        assert!(!before, "{} was given out twice", claimed.wake_id);
        self.holder = Some((claimed.generation, now_ms + 10_000));
        self.called.push(("pull", AckEndpoint::Ack, claimed));
    }

    fn call_back(&mut self, which: usize, done: bool) {
        let Some((name, endpoint, claimed)) = self.called.iter().rev().nth(which).cloned() else { return };
        let outcome = match done {
            true => self.harness.finish(name, endpoint, &claimed),
            false => self.harness.acknowledge(name, endpoint, &claimed, Vec::new(), false),
        };
        if endpoint == AckEndpoint::Ack && outcome.is_ok() {
            let (generation, until_ms) = self.holder.expect("only a holder may acknowledge");
            assert_eq!(generation, claimed.generation, "only the last holder may acknowledge");
            assert!(until_ms > self.harness.now_ms, "the lease has not ended");
            self.holder = (!done).then_some((generation, self.harness.now_ms + 10_000));
        }
    }

    fn release(&mut self, which: usize) {
        let Some((name, endpoint, claimed)) = self.called.iter().rev().nth(which).cloned() else { return };
        if self.harness.release(name, &claimed).is_ok() && endpoint == AckEndpoint::Ack {
            assert_eq!(self.holder.take().map(|(generation, _)| generation), Some(claimed.generation));
        }
    }

    fn check(&mut self) {
        for subscription in self.harness.set.subscriptions.values() {
            let (nonce, generation) = (subscription.entry.nonce.to_string(), subscription.entry.generation);
            let before = self.generations.insert(nonce, generation).unwrap_or(0);
            assert!(generation >= before, "the generation went from {before} to {generation}");
            self.check_scheduled(subscription);
        }
    }

    /// Checks that pending data leads to a wake, and that every wake is scheduled or waits for a call.
    fn check_scheduled(&self, subscription: &Subscription) {
        let delivering = subscription.delivering == Some(subscription.entry.generation);
        let scheduled = subscription.scheduled.is_some();
        match &subscription.entry.wake {
            None => assert_eq!(scheduled, subscription.has_pending(), "{subscription:?}"),
            Some(WakeState::Due { .. }) => assert!(scheduled != delivering, "{subscription:?}"),
            Some(WakeState::Held { .. }) => assert!(scheduled, "{subscription:?}"),
            Some(WakeState::Announced) => assert!(!subscription.is_webhook()),
        }
    }

    /// Completes all work, then checks that every matching stream is linked and fully acknowledged.
    fn complete_everything(&mut self) {
        for _ in 0..10 {
            self.harness.now_ms += 100_000;
            self.holder = None;
            self.run_due();
            while !self.attempts.is_empty() {
                self.report(0, &Outcome::Done);
            }
            if let Ok(claimed) = self.harness.claim("pull", "last") {
                self.harness.finish("pull", AckEndpoint::Ack, &claimed).unwrap();
            }
            self.check();
        }
        for name in NAMES {
            let Ok(subscription) = self.harness.set.find(&id(name)) else { continue };
            assert!(!subscription.has_pending(), "{subscription:?}");
            let matching = STREAMS.iter().filter(|stream| {
                let has_data = self.harness.ledger.stream(&path(stream)).is_some_and(|stream| stream.tail > 0);
                has_data && subscription.matches(&path(stream))
            });
            for stream in matching {
                let link = subscription.link_to(&self.harness.ledger, &path(stream));
                let link = link.unwrap_or_else(|| panic!("{name} misses {stream}"));
                assert_eq!(link.acked.map(Offset::position), Some(self.harness.tail(stream)), "{name} of {stream}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn generations_grow_leases_exclude_each_other_and_nothing_stays_pending(steps in prop::collection::vec(step(), 1..80)) {
        let mut harness = Harness::new();
        harness.create("wake", "application/json");
        let (attempts, called, holder, generations) = (Vec::new(), Vec::new(), None, HashMap::new());
        let mut checker = Checker { harness, attempts, called, holder, generations };
        steps.iter().for_each(|step| checker.apply(step));
        checker.complete_everything();
        checker.harness.reopen();
        checker.attempts.clear();
        checker.run_due();
        prop_assert!(checker.attempts.is_empty(), "a restart wakes no subscription that has read everything");
        let refused = checker.harness.claim("pull", "w").map(drop);
        prop_assert!(matches!(refused, Err(Refusal::NothingPending | Refusal::NotFound { .. })), "{refused:?}");
    }
}
