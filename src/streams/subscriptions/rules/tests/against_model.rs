//! Links that exist only while something is unread agree with a naive model, in which each subscription has a link to each stream
//! that it follows, and patterns are compared with every stream.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::harness::{Harness, id, path};
use crate::streams::wire::Offset;

const PATTERNS: [&str; 6] = ["**", "a/*", "a/**", "**/x", "*/x", "b"];
const STREAMS: [&str; 6] = ["a/x", "a/y", "a/y/x", "b", "b/x", "c"];

#[derive(Debug, Clone)]
enum Step {
    Subscribe(usize, usize),
    Unsubscribe(usize),
    Create(usize),
    Append(usize),
    Delete(usize),
    Name(usize, usize),
    Unname(usize, usize),
    /// Acknowledges all but this number of bytes.
    Acknowledge(usize, usize, u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let (subscription, stream) = (0..4_usize, 0..STREAMS.len());
    prop_oneof![
        2 => (subscription.clone(), 0..PATTERNS.len()).prop_map(|(one, pattern)| Step::Subscribe(one, pattern)),
        1 => subscription.clone().prop_map(Step::Unsubscribe),
        2 => stream.clone().prop_map(Step::Create),
        8 => stream.clone().prop_map(Step::Append),
        2 => stream.clone().prop_map(Step::Delete),
        1 => (subscription.clone(), stream.clone()).prop_map(|(one, stream)| Step::Name(one, stream)),
        1 => (subscription.clone(), stream.clone()).prop_map(|(one, stream)| Step::Unname(one, stream)),
        5 => (subscription, stream, 0..3_u64).prop_map(|(one, stream, left)| Step::Acknowledge(one, stream, left)),
        1 => Just(Step::Restart),
    ]
}

/// Compares segment by segment, in every way that `**` allows.
fn matches(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => (0..=path.len()).any(|skipped| matches(rest, &path[skipped..])),
        (Some((first, rest)), Some((segment, others))) => (*first == "*" || first == segment) && matches(rest, others),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// A subscription: its pattern, and for each stream that it follows how far it has read, and if that is linked by name.
#[derive(Default)]
struct Naive {
    pattern: &'static str,
    follows: BTreeMap<&'static str, (u64, bool)>,
}

impl Naive {
    fn matches(&self, stream: &str) -> bool {
        let split = |text: &'static str| text.split('/').collect::<Vec<_>>();
        matches(&split(self.pattern), &stream.split('/').collect::<Vec<_>>())
    }
}

#[derive(Default)]
struct Model {
    streams: BTreeMap<&'static str, u64>,
    subscriptions: BTreeMap<usize, Naive>,
}

impl Model {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Subscribe(one, pattern) => {
                let mut new = Naive { pattern: PATTERNS[*pattern], follows: BTreeMap::new() };
                let read = self.streams.iter().filter(|(stream, _)| new.matches(stream));
                new.follows = read.map(|(stream, tail)| (*stream, (*tail, false))).collect();
                self.subscriptions.entry(*one).or_insert(new);
            }
            Step::Unsubscribe(one) => drop(self.subscriptions.remove(one)),
            Step::Create(stream) => self.create(STREAMS[*stream]),
            Step::Append(stream) => {
                self.create(STREAMS[*stream]);
                *self.streams.get_mut(STREAMS[*stream]).unwrap() += 1;
            }
            Step::Delete(stream) => {
                self.streams.remove(STREAMS[*stream]);
                for subscription in self.subscriptions.values_mut() {
                    subscription.follows.retain(|followed, (_, named)| *followed != STREAMS[*stream] || *named);
                    subscription.follows.entry(STREAMS[*stream]).and_modify(|(acked, _)| *acked = 0);
                }
            }
            Step::Name(one, stream) => {
                let tail = self.streams.get(STREAMS[*stream]).copied().unwrap_or(0);
                if let Some(subscription) = self.subscriptions.get_mut(one) {
                    subscription.follows.entry(STREAMS[*stream]).or_insert((tail, true)).1 = true;
                }
            }
            Step::Unname(one, stream) => {
                let exists = self.streams.contains_key(STREAMS[*stream]);
                let Some(subscription) = self.subscriptions.get_mut(one) else { return };
                let stays = exists && subscription.matches(STREAMS[*stream]);
                subscription.follows.retain(|followed, (_, named)| *followed != STREAMS[*stream] || !*named || stays);
                subscription.follows.entry(STREAMS[*stream]).and_modify(|(_, named)| *named = false);
            }
            Step::Acknowledge(one, stream, left) => {
                let Some(tail) = self.streams.get(STREAMS[*stream]).copied() else { return };
                let Some(subscription) = self.subscriptions.get_mut(one) else { return };
                let acked = tail.saturating_sub(*left);
                subscription.follows.entry(STREAMS[*stream]).and_modify(|(read, _)| *read = (*read).max(acked));
            }
            Step::Restart => {}
        }
    }

    fn create(&mut self, stream: &'static str) {
        if self.streams.contains_key(stream) {
            return;
        }
        self.streams.insert(stream, 0);
        for subscription in self.subscriptions.values_mut().filter(|subscription| subscription.matches(stream)) {
            subscription.follows.entry(stream).or_insert((0, false));
        }
    }
}

fn apply(harness: &mut Harness, step: &Step) {
    let name = |one: &usize| format!("s{one}");
    match step {
        Step::Subscribe(one, pattern) => {
            drop(harness.webhook(&name(one), &format!(r#""pattern":"{}""#, PATTERNS[*pattern])));
        }
        Step::Unsubscribe(one) => harness.unsubscribe(&name(one)),
        Step::Create(stream) => harness.create(STREAMS[*stream], "text/plain"),
        Step::Append(stream) => harness.append(STREAMS[*stream]),
        Step::Delete(stream) => harness.delete(STREAMS[*stream]),
        Step::Name(one, stream) => drop(harness.add(&name(one), &[STREAMS[*stream]])),
        Step::Unname(one, stream) => drop(harness.remove(&name(one), STREAMS[*stream])),
        Step::Acknowledge(one, stream, left) => {
            let (id, path) = (id(&name(one)), path(STREAMS[*stream]));
            harness.decide(|set, ledger, _, changes| {
                let Some(stream) = ledger.stream(&path) else { return };
                let at = stream.layout().offset_at(stream.tail.saturating_sub(*left));
                let read = set.find(&id).ok().and_then(|it| it.link_to(ledger, &path)).and_then(|link| link.acked);
                set.acknowledge_stream(ledger, (&id, &path), read.max(Some(at)), changes);
            });
        }
        Step::Restart => harness.reopen(),
    }
}

fn agree(harness: &Harness, model: &Model) {
    assert_eq!(harness.set.subscriptions.len(), model.subscriptions.len());
    for (one, naive) in &model.subscriptions {
        let subscription = harness.set.find(&id(&format!("s{one}"))).unwrap();
        let pending = naive.follows.iter().filter(|(stream, (acked, _))| model.streams.get(*stream) > Some(acked));
        let pending: Vec<&str> = pending.map(|(stream, _)| *stream).collect();
        assert_eq!(subscription.pending.iter().map(|path| path.as_str()).collect::<Vec<_>>(), pending, "s{one}");
        for stream in STREAMS {
            let link = subscription.link_to(&harness.ledger, &path(stream));
            let found = link.map(|link| (link.acked.map_or(0, Offset::position), link.explicit));
            assert_eq!(found, naive.follows.get(stream).copied(), "s{one} and {stream}");
        }
        let unread = subscription.links.values().filter(|link| !link.explicit).count();
        assert!(unread <= pending.len(), "a link of the pattern exists only while something is unread");
    }
    let links: usize = harness.set.subscriptions.values().map(|subscription| subscription.links.len()).sum();
    assert_eq!((harness.stored_links(), harness.set.budget.used().links), (links, links));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn lazy_links_agree_with_links_to_everything(steps in prop::collection::vec(step(), 1..60)) {
        let (mut harness, mut model) = (Harness::with_links_max(1_000), Model::default());
        for step in &steps {
            apply(&mut harness, step);
            model.apply(step);
            agree(&harness, &model);
        }
    }
}
