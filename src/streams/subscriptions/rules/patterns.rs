//! All patterns at once: which of them a path fits, without asking each.

use std::collections::{BTreeSet, HashMap};

use crate::streams::subscriptions::wire::{Pattern, Step, SubscriptionId};
use crate::streams::wire::StreamPath;

/// A tree of steps. A path goes down all branches that fit at once, so a look takes as many turns as the path has
/// segments, each over the branches that still fit.
#[derive(Debug)]
pub(super) struct Patterns {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    literal: HashMap<Box<str>, usize>,
    one: Option<usize>,
    any: Option<usize>,
    /// Whether it stands behind `**`, and so takes every further segment.
    takes_any: bool,
    ends: Vec<SubscriptionId>,
}

impl Patterns {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()] }
    }

    pub(super) fn insert(&mut self, pattern: &Pattern, id: &SubscriptionId) {
        let mut at = 0;
        for step in pattern.steps() {
            at = self.child(at, step);
        }
        self.nodes[at].ends.push(id.clone());
    }

    /// The tree of what is left is built anew: that is rare, and leaves no dead branches.
    pub(super) fn rebuilt<'a>(patterns: impl Iterator<Item = (&'a SubscriptionId, &'a Pattern)>) -> Self {
        let mut tree = Self::new();
        patterns.for_each(|(id, pattern)| tree.insert(pattern, id));
        tree
    }

    /// Whose pattern the path fits.
    pub(super) fn matching(&self, path: &StreamPath) -> BTreeSet<SubscriptionId> {
        let mut reached = BTreeSet::new();
        self.reach(0, &mut reached);
        for segment in path.as_str().split('/') {
            let mut next = BTreeSet::new();
            for at in reached {
                let node = &self.nodes[at];
                let below = node.literal.get(segment).copied().into_iter().chain(node.one);
                below.chain(node.takes_any.then_some(at)).for_each(|at| self.reach(at, &mut next));
            }
            reached = next;
        }
        reached.into_iter().flat_map(|at| self.nodes[at].ends.iter().cloned()).collect()
    }

    /// A place, and the one behind a `**` that stands for nothing.
    fn reach(&self, at: usize, reached: &mut BTreeSet<usize>) {
        reached.insert(at);
        reached.extend(self.nodes[at].any);
    }

    fn child(&mut self, at: usize, step: Step) -> usize {
        let fresh = self.nodes.len();
        let node = &mut self.nodes[at];
        let (child, takes_any) = match step {
            Step::Literal(text) => (*node.literal.entry(text).or_insert(fresh), false),
            Step::One => (*node.one.get_or_insert(fresh), false),
            Step::Any => (*node.any.get_or_insert(fresh), true),
        };
        if child == fresh {
            self.nodes.push(Node { takes_any, ..Node::default() });
        }
        child
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn step() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "*", "**"])
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_each_pattern_says_for_itself(
            patterns in prop::collection::vec(prop::collection::vec(step(), 1..5), 1..8),
            path in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..6),
        ) {
            let path = StreamPath::parse(&path.join("/")).unwrap();
            let named: Vec<_> = patterns.iter().enumerate().map(|(index, steps)| {
                let id = SubscriptionId::parse(&index.to_string()).unwrap();
                (id, Pattern::parse(&steps.join("/")).unwrap())
            }).collect();
            let tree = Patterns::rebuilt(named.iter().map(|(id, pattern)| (id, pattern)));
            let fitting = named.iter().filter(|(_, pattern)| pattern.matches(&path)).map(|(id, _)| id.clone());
            prop_assert_eq!(tree.matching(&path), fitting.collect());
        }
    }
}
