//! Index of all patterns, which finds those that match a path without trying each.

use std::collections::{BTreeSet, HashMap};

use crate::streams::subscriptions::wire::{Pattern, Segment, SubscriptionId};
use crate::streams::wire::StreamPath;

/// A tree of pattern segments. A lookup follows all matching branches at once, so it takes one step per segment of the
/// path, each over the branches that still match.
#[derive(Debug)]
pub(super) struct PatternTree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    literal: HashMap<Box<str>, usize>,
    one: Option<usize>,
    any: Option<usize>,
    /// True after `**`: the node also consumes every further segment.
    takes_any: bool,
    /// Subscriptions whose pattern ends here.
    ends: Vec<SubscriptionId>,
}

impl PatternTree {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()] }
    }

    pub(super) fn insert(&mut self, pattern: &Pattern, id: &SubscriptionId) {
        let mut at = 0;
        for segment in pattern.segments() {
            at = self.child(at, segment);
        }
        self.nodes[at].ends.push(id.clone());
    }

    /// Builds the tree of all `patterns`. Deleting a subscription rebuilds the tree: that is rare, and leaves no dead
    /// branches.
    pub(super) fn build<'a>(patterns: impl Iterator<Item = (&'a SubscriptionId, &'a Pattern)>) -> Self {
        let mut tree = Self::new();
        patterns.for_each(|(id, pattern)| tree.insert(pattern, id));
        tree
    }

    /// Returns the number of nodes.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the subscriptions whose pattern matches the path.
    pub(super) fn matching(&self, path: &StreamPath) -> BTreeSet<SubscriptionId> {
        let (mut reached, mut next) = (Vec::new(), Vec::new());
        self.reach(0, &mut reached);
        for segment in path.as_str().split('/') {
            for at in reached.drain(..) {
                let node = &self.nodes[at];
                let below = node.literal.get(segment).copied().into_iter().chain(node.one);
                below.chain(node.takes_any.then_some(at)).for_each(|at| self.reach(at, &mut next));
            }
            next.sort_unstable();
            next.dedup();
            std::mem::swap(&mut reached, &mut next);
        }
        reached.into_iter().flat_map(|at| self.nodes[at].ends.iter().cloned()).collect()
    }

    /// Adds a node, and the one after a `**` that matches zero segments.
    fn reach(&self, at: usize, reached: &mut Vec<usize>) {
        reached.push(at);
        reached.extend(self.nodes[at].any);
    }

    fn child(&mut self, at: usize, segment: Segment) -> usize {
        let new = self.nodes.len();
        let node = &mut self.nodes[at];
        let (child, takes_any) = match segment {
            Segment::Literal(text) => (*node.literal.entry(text).or_insert(new), false),
            Segment::One => (*node.one.get_or_insert(new), false),
            Segment::Any => (*node.any.get_or_insert(new), true),
        };
        if child == new {
            self.nodes.push(Node { takes_any, ..Node::default() });
        }
        child
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "*", "**"])
    }

    proptest! {
        #[test]
        fn the_tree_finds_exactly_the_patterns_that_match(
            patterns in prop::collection::vec(prop::collection::vec(segment(), 1..5), 1..8),
            path in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..6),
        ) {
            let path = StreamPath::parse(&path.join("/")).unwrap();
            let named: Vec<_> = patterns.iter().enumerate().map(|(index, segments)| {
                let id = SubscriptionId::parse(&index.to_string()).unwrap();
                (id, Pattern::parse(&segments.join("/")).unwrap())
            }).collect();
            let tree = PatternTree::build(named.iter().map(|(id, pattern)| (id, pattern)));
            let matching = named.iter().filter(|(_, pattern)| pattern.matches(&path)).map(|(id, _)| id.clone());
            prop_assert_eq!(tree.matching(&path), matching.collect());
        }
    }
}
