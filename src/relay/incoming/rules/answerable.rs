//! Recent messages that may be answered: an answer over HTTP names only the id of its message.

use std::collections::{HashMap, VecDeque};

use crate::message::{InstanceId, Message, MessageId, Properties};

/// Properties that an answer takes over from its message.
struct Inherited {
    hops: u32,
    /// Instance that made the request.
    asker: Option<InstanceId>,
}

/// Recent messages by id. Messages that nothing led to and that nobody waits for are not kept; at the limit the oldest is
/// dropped.
pub(crate) struct Answerable {
    messages: HashMap<MessageId, Inherited>,
    order: VecDeque<MessageId>,
    messages_max: usize,
}

impl Answerable {
    pub(crate) fn new(messages_max: usize) -> Self {
        Self { messages: HashMap::new(), order: VecDeque::new(), messages_max: messages_max.max(1) }
    }

    /// Remembers a message. Of two messages with this id the larger number of hops counts, and neither's asker.
    pub(crate) fn insert(&mut self, message: &Message) {
        let Properties { hops, reply_to, .. } = &message.properties;
        if *hops == 0 && reply_to.is_none() {
            return;
        }
        let asker = reply_to.as_ref().map(|reply_to| &reply_to.instance);
        if let Some(known) = self.messages.get_mut(&message.id) {
            known.hops = known.hops.max(*hops);
            known.asker = known.asker.take().filter(|known| Some(known) == asker);
            return;
        }
        if self.order.len() >= self.messages_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.messages.remove(&oldest);
        }
        self.messages.insert(message.id.clone(), Inherited { hops: *hops, asker: asker.cloned() });
        self.order.push_back(message.id.clone());
    }

    /// Completes the properties of an answer to the message with this id.
    pub(crate) fn complete(&self, id: &MessageId, answer: &mut Properties) {
        let known = self.messages.get(id);
        answer.hops = answer.hops.max(known.map_or(0, |known| known.hops).saturating_add(1));
        if answer.to.is_none() {
            answer.to = known.and_then(|known| known.asker.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::message::{MessageName, ReplyTo};

    fn message(id: &str, hops: u32, asker: Option<&str>) -> Message {
        let mut message = Message::new(MessageId::parse(id).unwrap(), MessageName::parse("hello").unwrap());
        let asker = asker.map(|asker| InstanceId::parse(asker).unwrap());
        message.properties.hops = hops;
        message.properties.reply_to = asker.map(|asker| ReplyTo::new(asker, Duration::ZERO, false));
        message
    }

    fn answer(table: &Answerable, id: &str) -> (u32, Option<String>) {
        let mut properties = Properties::default();
        table.complete(&MessageId::parse(id).unwrap(), &mut properties);
        (properties.hops, properties.to.map(|to| to.as_str().to_owned()))
    }

    #[test]
    fn answers_to_the_latest_messages_have_their_hops_and_asker() {
        let mut table = Answerable::new(2);
        let messages = [("a", 1, None), ("b", 5, Some("web-1")), ("b", 3, Some("web-1")), ("c", 0, Some("web-2"))];
        messages.iter().for_each(|(id, hops, asker)| table.insert(&message(id, *hops, *asker)));
        let known = ["a", "b", "c"].map(|id| answer(&table, id));
        assert_eq!(known, [(1, None), (6, Some("web-1".into())), (1, Some("web-2".into()))]);
        assert_eq!(table.order.len(), 2);
    }

    #[test]
    fn an_answer_to_one_of_two_messages_of_an_id_goes_to_neither_asker() {
        let mut table = Answerable::new(2);
        table.insert(&message("a", 0, Some("web-1")));
        table.insert(&message("a", 0, Some("web-2")));
        assert_eq!(answer(&table, "a"), (1, None));
    }
}
