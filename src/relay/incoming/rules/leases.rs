//! Queue of messages that subscribers lease and acknowledge. A lease that ends without acknowledgement returns the
//! message to the queue.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::message::{Message, MessageId, MessageName};

/// A message with its number of deliveries so far, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) message: Message,
    pub(crate) delivery: u32,
}

/// Identifier of a subscriber's connection, which holds leases.
pub(crate) type Holder = u64;

struct Leased {
    offered: Offered,
    holder: Holder,
    until: Instant,
}

/// The queue. Waiting and leased messages together are bounded by `messages_max`.
pub(crate) struct Leases {
    waiting: VecDeque<Offered>,
    leased: HashMap<MessageId, Leased>,
    messages_max: usize,
    lease: Duration,
    deliveries_max: u32,
}

impl Leases {
    pub(crate) fn new(messages_max: usize, lease: Duration, deliveries_max: u32) -> Self {
        Self { waiting: VecDeque::new(), leased: HashMap::new(), messages_max, lease, deliveries_max }
    }

    /// Queues a message. Returns false if the queue is full.
    pub(crate) fn offer(&mut self, message: Message) -> bool {
        if self.len() >= self.messages_max {
            return false;
        }
        self.waiting.push_back(Offered { message, delivery: 1 });
        true
    }

    /// Leases the oldest waiting message among `names` (all, if empty) to `holder`.
    pub(crate) fn take(&mut self, holder: Holder, names: &[MessageName], now: Instant) -> Option<Offered> {
        let wanted = |offered: &Offered| names.is_empty() || names.contains(&offered.message.name);
        let index = self.waiting.iter().position(wanted)?;
        let offered = self.waiting.remove(index)?;
        let leased = Leased { offered: offered.clone(), holder, until: now + self.lease };
        self.leased.insert(offered.message.id.clone(), leased);
        Some(offered)
    }

    /// Ends the lease of a handled message. Returns false if there is no such lease; it may have ended.
    pub(crate) fn acknowledge(&mut self, id: &MessageId) -> bool {
        self.leased.remove(id).is_some()
    }

    /// Returns the messages of a lost subscriber to the queue. These deliveries do not count as failed.
    pub(crate) fn release(&mut self, holder: Holder) {
        let mut held: Vec<_> = self.leased.extract_if(|_, leased| leased.holder == holder).collect();
        held.sort_by_key(|(_, leased)| std::cmp::Reverse(leased.until));
        for (_, leased) in held {
            self.waiting.push_front(leased.offered);
        }
    }

    /// Ends leases whose time is over. Returns messages that were delivered as often as allowed, with that number.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Offered> {
        let mut over: Vec<_> = self.leased.extract_if(|_, leased| leased.until <= now).collect();
        over.sort_by_key(|(_, leased)| std::cmp::Reverse(leased.until));
        let mut given_up = Vec::new();
        for (_, mut leased) in over {
            if leased.offered.delivery >= self.deliveries_max {
                given_up.push(leased.offered);
            } else {
                leased.offered.delivery += 1;
                self.waiting.push_front(leased.offered);
            }
        }
        given_up
    }

    /// Number of messages that wait or are leased.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.leased.len()
    }

    /// Number of messages whose name is `wanted`, waiting or leased.
    pub(crate) fn count(&self, wanted: impl Fn(&MessageName) -> bool) -> usize {
        let leased = self.leased.values().map(|leased| &leased.offered);
        self.waiting.iter().chain(leased).filter(|offered| wanted(&offered.message.name)).count()
    }

    /// Number of messages that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    fn message(id: &str) -> Message {
        Message::new(MessageId::parse(id).unwrap(), MessageName::parse("hello").unwrap())
    }

    fn queue(ids: &[&str]) -> Leases {
        let mut leases = Leases::new(10, LEASE, 2);
        assert!(ids.iter().all(|id| leases.offer(message(id))));
        leases
    }

    fn take(leases: &mut Leases, now: Instant) -> Option<(String, u32)> {
        leases.take(1, &[], now).map(|offered| (offered.message.id.to_string(), offered.delivery))
    }

    #[test]
    fn an_unacknowledged_message_is_delivered_again_and_then_given_up() {
        let (mut leases, now) = (queue(&["a"]), Instant::now());
        assert_eq!(take(&mut leases, now), Some(("a".into(), 1)));
        assert_eq!(take(&mut leases, now), None);
        assert!(leases.expire(now + LEASE).is_empty());
        assert_eq!(take(&mut leases, now + LEASE), Some(("a".into(), 2)));
        assert_eq!(leases.expire(now + LEASE * 2), [Offered { message: message("a"), delivery: 2 }]);
        assert_eq!(leases.len(), 0);
    }

    #[test]
    fn an_acknowledged_message_is_removed() {
        let (mut leases, now) = (queue(&["a"]), Instant::now());
        take(&mut leases, now);
        assert!(leases.acknowledge(&message("a").id));
        assert!(!leases.acknowledge(&message("a").id));
        assert_eq!(leases.len(), 0);
    }

    #[test]
    fn messages_of_a_lost_subscriber_wait_again_in_order() {
        let (mut leases, now) = (queue(&["a", "b", "c"]), Instant::now());
        take(&mut leases, now);
        take(&mut leases, now + Duration::from_millis(1));
        leases.release(1);
        let again: Vec<_> = std::iter::from_fn(|| take(&mut leases, now)).collect();
        assert_eq!(again, [("a".into(), 1), ("b".into(), 1), ("c".into(), 1)]);
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut leases = Leases::new(1, LEASE, 2);
        assert!(leases.offer(message("a")));
        take(&mut leases, Instant::now());
        assert!(!leases.offer(message("b")));
    }
}
