//! Random lives of a board, with crashes in between.

use std::collections::HashMap;

use proptest::prelude::*;

use super::stage::{Stage, called, id, path};
use crate::streams::subscriptions::rules::subscription::Subscription;
use crate::streams::subscriptions::rules::{Attempt, Outcome, Refusal, Way};
use crate::streams::subscriptions::wire::{ClaimedView, Stage as WakeStage};

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
    Tell,
    Turn,
    Done(usize),
    Accepted(usize),
    Failed(usize),
    Claim,
    Heartbeat(usize),
    Finish(usize),
    Release(usize),
    Pass(u64),
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
        2 => Just(Step::Tell),
        4 => Just(Step::Turn),
        1 => (0..4_usize).prop_map(Step::Done),
        1 => (0..4_usize).prop_map(Step::Accepted),
        1 => (0..4_usize).prop_map(Step::Failed),
        3 => Just(Step::Claim),
        1 => (0..8_usize).prop_map(Step::Heartbeat),
        1 => (0..8_usize).prop_map(Step::Finish),
        1 => (0..8_usize).prop_map(Step::Release),
        2 => prop::sample::select(vec![1, 500, 5_000, 10_000, 70_000]).prop_map(Step::Pass),
        2 => Just(Step::Crash),
    ]
}

/// What a checker knows.
struct Checker {
    stage: Stage,
    attempts: Vec<Attempt>,
    /// Everybody who was ever given something to do, with the way to call back.
    called: Vec<(&'static str, Way, ClaimedView)>,
    /// The worker that has the work, and until when at least.
    holder: Option<(u64, u64)>,
    generations: HashMap<String, u64>,
}

impl Checker {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Subscribe(0) => drop(self.stage.webhook("hook", r#""pattern":"events/**""#)),
            Step::Subscribe(_) => drop(self.stage.pull("pull", "wake", r#""pattern":"**","streams":["named"]"#)),
            Step::Unsubscribe(name) => self.unsubscribe(NAMES[*name]),
            Step::Append(stream) => self.stage.append(STREAMS[*stream]),
            Step::Delete(stream) => self.stage.delete(STREAMS[*stream]),
            Step::Add(name, stream) => drop(self.stage.add(NAMES[*name], &[STREAMS[*stream]])),
            Step::Remove(name, stream) => drop(self.stage.remove(NAMES[*name], STREAMS[*stream])),
            Step::Tell => drop(self.stage.tell()),
            Step::Turn => self.turn(),
            Step::Done(which) => self.report(*which, &Outcome::Done),
            Step::Accepted(which) => self.report(*which, &Outcome::Accepted),
            Step::Failed(which) => self.report(*which, &Outcome::Failed { cause: String::new() }),
            Step::Claim => self.claim(),
            Step::Heartbeat(which) => self.call_back(*which, false),
            Step::Finish(which) => self.call_back(*which, true),
            Step::Release(which) => self.release(*which),
            Step::Pass(ms) => self.stage.now_ms += ms,
            Step::Crash => {
                self.stage.reopen();
                self.attempts.clear();
            }
        }
        self.check();
    }

    fn unsubscribe(&mut self, name: &str) {
        self.stage.unsubscribe(name);
        if name == "pull" {
            self.holder = None;
        }
    }

    fn turn(&mut self) {
        let attempts = self.stage.turn();
        self.called.extend(attempts.iter().map(|attempt| ("hook", Way::Callback, called(attempt))));
        self.attempts.extend(attempts);
    }

    fn report(&mut self, which: usize, outcome: &Outcome) {
        if which < self.attempts.len() {
            let attempt = self.attempts.remove(which);
            self.stage.delivered(&attempt, outcome);
        }
    }

    fn claim(&mut self) {
        let Ok(claimed) = self.stage.claim("pull", "w") else { return };
        let now_ms = self.stage.now_ms;
        assert!(self.holder.is_none_or(|(_, until_ms)| until_ms <= now_ms), "there are two holders");
        let before = self.called.iter().any(|(.., before)| before.wake_id == claimed.wake_id);
        assert!(!before, "{} was given out before", claimed.wake_id);
        self.holder = Some((claimed.generation, now_ms + 10_000));
        self.called.push(("pull", Way::Ack, claimed));
    }

    fn call_back(&mut self, which: usize, done: bool) {
        let Some((name, way, claimed)) = self.called.iter().rev().nth(which).cloned() else { return };
        let outcome = match done {
            true => self.stage.finish(name, way, &claimed),
            false => self.stage.acknowledge(name, way, &claimed, Vec::new(), false),
        };
        if way == Way::Ack && outcome.is_ok() {
            let (generation, until_ms) = self.holder.expect("only a holder is let in");
            assert_eq!(generation, claimed.generation, "only the last holder is let in");
            assert!(until_ms > self.stage.now_ms, "a lease that has ended lets nobody in");
            self.holder = (!done).then_some((generation, self.stage.now_ms + 10_000));
        }
    }

    fn release(&mut self, which: usize) {
        let Some((name, way, claimed)) = self.called.iter().rev().nth(which).cloned() else { return };
        if self.stage.release(name, &claimed).is_ok() && way == Way::Ack {
            assert_eq!(self.holder.take().map(|(generation, _)| generation), Some(claimed.generation));
        }
    }

    fn check(&mut self) {
        for subscription in self.stage.board.subscriptions.values() {
            let (nonce, generation) = (subscription.entry.nonce.to_string(), subscription.entry.generation);
            let before = self.generations.insert(nonce, generation).unwrap_or(0);
            assert!(generation >= before, "the generation has gone from {before} to {generation}");
            self.check_planned(subscription);
        }
    }

    /// Whatever is pending has a wake, and every wake somebody who sees to it.
    fn check_planned(&self, subscription: &Subscription) {
        let delivering = subscription.attempt == Some(subscription.entry.generation);
        let looked_at = subscription.planned.is_some();
        match &subscription.entry.wake {
            None => assert_eq!(looked_at, self.stage.board.has_pending(subscription), "{subscription:?}"),
            Some(WakeStage::Due { .. }) => assert!(looked_at != delivering, "{subscription:?}"),
            Some(WakeStage::Held { .. }) => assert!(looked_at, "{subscription:?}"),
            Some(WakeStage::Announced) => assert!(!subscription.is_webhook()),
        }
    }

    /// Everybody does all there is to do: then everything was read that is linked, and all is linked that fits.
    fn settle(&mut self) {
        for _ in 0..10 {
            self.stage.now_ms += 100_000;
            self.holder = None;
            self.turn();
            while !self.attempts.is_empty() {
                self.report(0, &Outcome::Done);
            }
            if let Ok(claimed) = self.stage.claim("pull", "last") {
                self.stage.finish("pull", Way::Ack, &claimed).unwrap();
            }
            self.check();
        }
        for name in NAMES {
            let Ok(subscription) = self.stage.board.find(&id(name)) else { continue };
            assert!(!self.stage.board.has_pending(subscription), "{subscription:?}");
            let fitting = STREAMS.iter().filter(|stream| {
                let there = self.stage.ledger.stream(&path(stream)).is_some_and(|stream| stream.tail > 0);
                there && subscription.matches(&path(stream))
            });
            for stream in fitting {
                let link = subscription.links.get(&path(stream)).unwrap_or_else(|| panic!("{name} misses {stream}"));
                assert_eq!(link.acked, Some(self.stage.tail(stream)), "{name} of {stream}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn generations_grow_one_holds_the_work_and_nothing_pending_is_left(steps in prop::collection::vec(step(), 1..80)) {
        let mut stage = Stage::new();
        stage.create("wake", "application/json");
        let (attempts, called, holder, generations) = (Vec::new(), Vec::new(), None, HashMap::new());
        let mut checker = Checker { stage, attempts, called, holder, generations };
        steps.iter().for_each(|step| checker.take(step));
        checker.stage.tell();
        checker.settle();
        checker.stage.reopen();
        checker.attempts.clear();
        checker.turn();
        prop_assert!(checker.attempts.is_empty(), "a restart wakes nobody who has read everything");
        let refused = checker.stage.claim("pull", "w").map(drop);
        prop_assert!(matches!(refused, Err(Refusal::NothingPending | Refusal::NotFound { .. })), "{refused:?}");
    }
}
