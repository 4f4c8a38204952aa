//! The bound on what all subscriptions keep: links and bytes, shared so that one subscription cannot take all of it.

use crate::streams::subscriptions::wire::{Delivery, SubscriptionEntry, SubscriptionId};
use crate::streams::wire::StreamPath;

/// Approximate bytes of a subscription, in memory and in the store, besides its texts.
const SUBSCRIPTION_BYTES: usize = 1024;

/// Approximate bytes of a link besides its texts.
const LINK_BYTES: usize = 256;

/// Copies of each text of a subscription: those in memory and in the store.
const TEXT_COPIES: usize = 3;

/// An amount of links and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) links: usize,
    pub(super) bytes: usize,
}

impl Size {
    /// Returns the size of a subscription without its links.
    pub(super) fn of_subscription(id: &SubscriptionId, entry: &SubscriptionEntry) -> Self {
        let terms = &entry.terms;
        let target = match &terms.delivery {
            Delivery::Webhook { url } => url.len(),
            Delivery::PullWake { stream } => stream.as_str().len(),
        };
        let pattern = terms.pattern.as_ref().map_or(0, |pattern| pattern.as_str().len());
        let named: usize = terms.streams.iter().map(|path| path.as_str().len() + 8).sum();
        let description = terms.description.as_ref().map_or(0, String::len);
        let texts = id.as_str().len() + entry.mount.len() + target + pattern + named + description;
        Self { links: 0, bytes: SUBSCRIPTION_BYTES + TEXT_COPIES * texts }
    }

    /// Returns the size of a link.
    pub(super) fn of_link(id: &SubscriptionId, path: &StreamPath) -> Self {
        Self { links: 1, bytes: LINK_BYTES + id.as_str().len() + 2 * path.as_str().len() }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.links += other.links;
        self.bytes += other.bytes;
    }

    pub(super) fn remove(&mut self, other: Self) {
        self.links = self.links.saturating_sub(other.links);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// The sum of the sizes of all subscriptions, and its maximum.
#[derive(Debug)]
pub(super) struct Budget {
    max: Size,
    used: Size,
}

impl Budget {
    pub(super) fn new(max: Size) -> Self {
        Self { max, used: Size::default() }
    }

    pub(super) fn max(&self) -> Size {
        self.max
    }

    /// Returns true if one of `count` subscriptions, which uses `own`, may use `more`. The first half is for all alike; of the
    /// second half each may use an equal share only.
    pub(super) fn admits(&self, own: Size, more: Size, count: usize) -> bool {
        let fits = |own: usize, used: usize, more: usize, max: usize| {
            let share = max / 2 / count.max(1);
            used + more <= max && (used + more <= max / 2 || own + more <= share)
        };
        fits(own.links, self.used.links, more.links, self.max.links)
            && fits(own.bytes, self.used.bytes, more.bytes, self.max.bytes)
    }

    pub(super) fn add(&mut self, size: Size) {
        self.used.add(size);
    }

    pub(super) fn remove(&mut self, size: Size) {
        self.used.remove(size);
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> Size {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(links: usize) -> Size {
        Size { links, bytes: 0 }
    }

    #[test]
    fn one_subscription_leaves_a_share_to_each_other() {
        let mut budget = Budget::new(Size { links: 100, bytes: 100 });
        budget.add(links(50));
        assert!(!budget.admits(links(50), links(1), 5), "half is taken, and it has more than its share");
        assert!(budget.admits(links(9), links(1), 5));
        assert!(!budget.admits(links(10), links(1), 5), "a share is a fifth of the other half");
        budget.add(links(50));
        assert!(!budget.admits(links(0), links(1), 5), "nothing is left");
    }

    #[test]
    fn links_and_bytes_must_both_fit() {
        let budget = Budget::new(Size { links: 100, bytes: 100 });
        assert!(budget.admits(Size::default(), Size { links: 50, bytes: 50 }, 9));
        assert!(!budget.admits(Size::default(), Size { links: 1, bytes: 51 }, 9));
        assert!(!budget.admits(Size::default(), Size { links: 51, bytes: 1 }, 9));
    }
}
