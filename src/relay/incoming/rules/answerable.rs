//! Hops of recent messages: an answer over HTTP names only the id of the message that it answers.

use std::collections::{HashMap, VecDeque};

use crate::message::{Message, MessageId};

/// Hops by message id. Messages that nothing led to are not kept; at the limit the oldest is dropped.
pub(crate) struct Hops {
    hops: HashMap<MessageId, u32>,
    order: VecDeque<MessageId>,
    messages_max: usize,
}

impl Hops {
    pub(crate) fn new(messages_max: usize) -> Self {
        Self { hops: HashMap::new(), order: VecDeque::new(), messages_max: messages_max.max(1) }
    }

    /// Remembers the hops of a message. Of two messages with this id the larger number counts.
    pub(crate) fn insert(&mut self, message: &Message) {
        if let Some(hops) = self.hops.get_mut(&message.id) {
            *hops = message.properties.hops.max(*hops);
            return;
        }
        if self.order.len() >= self.messages_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.hops.remove(&oldest);
        }
        self.hops.insert(message.id.clone(), message.properties.hops);
        self.order.push_back(message.id.clone());
    }

    /// Returns the hops of the message with this id; 0 if it is unknown.
    pub(crate) fn get(&self, id: &MessageId) -> u32 {
        self.hops.get(id).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageName;

    fn message(id: &str, hops: u32) -> Message {
        let mut message = Message::new(MessageId::parse(id).unwrap(), MessageName::parse("hello").unwrap());
        message.properties.hops = hops;
        message
    }

    #[test]
    fn the_latest_hops_are_known_and_the_larger_number_counts() {
        let mut hops = Hops::new(2);
        for (id, count) in [("a", 1), ("b", 5), ("b", 3), ("c", 2)] {
            hops.insert(&message(id, count));
        }
        let known = ["a", "b", "c"].map(|id| hops.get(&MessageId::parse(id).unwrap()));
        assert_eq!((known, hops.order.len()), ([0, 5, 2], 2));
    }
}
