//! State of a connection: outstanding acknowledgements and the last message of each conversation. Pure: time is an
//! argument.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use crate::message::{ActivityId, Message, MessageId, Verdict};

/// Number of conversations, besides those of open requests, that are remembered for brokers that do not send
/// `responseTo`.
const CONVERSATIONS_MAX: usize = 16_384;

/// Sent messages without an acknowledgement, in sending order. `W` is the waiting caller.
pub(super) struct Unanswered<W> {
    batches: VecDeque<Batch<W>>,
}

struct Batch<W> {
    waiter: W,
    verdicts: Vec<Verdict>,
    wanted: usize,
    deadline: Instant,
}

/// Error: more acknowledgements than messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Surplus;

impl<W> Unanswered<W> {
    pub(super) fn new() -> Self {
        Self { batches: VecDeque::new() }
    }

    /// Records that `wanted` frames (1 or more) were sent together and must be acknowledged by `deadline`.
    pub(super) fn push(&mut self, waiter: W, wanted: usize, deadline: Instant) {
        assert!(wanted > 0, "a batch has at least one frame");
        self.batches.push_back(Batch { waiter, verdicts: Vec::with_capacity(wanted), wanted, deadline });
    }

    /// Assigns verdicts to the outstanding messages in order. Returns the batches that are now complete. Errors: [`Surplus`].
    pub(super) fn answer(&mut self, verdicts: Vec<Verdict>) -> Result<Vec<(W, Vec<Verdict>)>, Surplus> {
        let mut complete = Vec::new();
        for verdict in verdicts {
            let batch = self.batches.front_mut().ok_or(Surplus)?;
            batch.verdicts.push(verdict);
            if batch.verdicts.len() == batch.wanted {
                complete.extend(self.batches.pop_front().map(|batch| (batch.waiter, batch.verdicts)));
            }
        }
        Ok(complete)
    }

    /// Marks everything sent as accepted, for a broker that never acknowledges.
    pub(super) fn accept_all(&mut self) -> impl Iterator<Item = (W, Vec<Verdict>)> {
        self.batches.drain(..).map(|batch| (batch.waiter, vec![Verdict::Accepted; batch.wanted]))
    }

    /// Returns the deadline of the next acknowledgement, or `None` if none is outstanding.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.batches.front().map(|batch| batch.deadline)
    }
}

/// Last message sent in each conversation, which a received message of that conversation is taken to answer if the broker
/// does not say. Those of open requests are kept; of the others the oldest are evicted. exo 3.4.
pub(super) struct Conversations {
    last: HashMap<ActivityId, MessageId>,
    order: VecDeque<ActivityId>,
    /// Number of conversations at which the next eviction is due.
    evict_at: usize,
}

impl Conversations {
    pub(super) fn new() -> Self {
        Self { last: HashMap::new(), order: VecDeque::new(), evict_at: 2 * CONVERSATIONS_MAX }
    }

    /// Records that the message `id` was sent. `is_open` returns true for a request that waits for its reply.
    pub(super) fn sent(&mut self, activity: ActivityId, id: MessageId, is_open: impl Fn(&MessageId) -> bool) {
        if self.last.insert(activity.clone(), id).is_none() {
            self.order.push_back(activity);
        }
        if self.order.len() >= self.evict_at {
            self.evict(is_open);
        }
    }

    /// Evicts all conversations but the latest and those of open requests, seldom enough to look at each of them.
    fn evict(&mut self, is_open: impl Fn(&MessageId) -> bool) {
        let mut evictable = self.order.len() - CONVERSATIONS_MAX;
        let last = &mut self.last;
        self.order.retain(|activity| {
            let is_recent = evictable == 0;
            evictable = evictable.saturating_sub(1);
            let keep = is_recent || last.get(activity).is_some_and(&is_open);
            if !keep {
                last.remove(activity);
            }
            keep
        });
        self.evict_at = self.order.len() + CONVERSATIONS_MAX;
    }

    /// Sets `response_to` if it is missing and known.
    pub(super) fn complete(&self, message: &mut Message) {
        if message.response_to.is_none()
            && let Some(activity) = &message.activity_id
        {
            message.response_to = self.last.get(activity).cloned();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::message::MessageName;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn acknowledgements_are_assigned_in_sending_order() {
        let now = Instant::now();
        let mut unanswered = Unanswered::new();
        unanswered.push("registration", 1, now + SECOND);
        unanswered.push("messages", 3, now + 2 * SECOND);
        assert_eq!(unanswered.deadline(), Some(now + SECOND));
        let complete = unanswered.answer(vec![Verdict::Accepted, Verdict::NoReceivers]).unwrap();
        assert_eq!(complete, [("registration", vec![Verdict::Accepted])]);
        assert_eq!(unanswered.deadline(), Some(now + 2 * SECOND));
        let complete = unanswered.answer(vec![Verdict::Accepted, Verdict::Accepted]).unwrap();
        let verdicts = vec![Verdict::NoReceivers, Verdict::Accepted, Verdict::Accepted];
        assert_eq!(complete, [("messages", verdicts)]);
        assert_eq!(unanswered.deadline(), None);
        assert_eq!(unanswered.answer(vec![Verdict::Accepted]), Err(Surplus));
    }

    fn message(activity: Option<&str>, response_to: Option<&str>) -> Message {
        let message = Message::new(MessageId::parse("in").unwrap(), MessageName::parse("pong").unwrap());
        Message {
            activity_id: activity.map(|id| ActivityId::parse(id).unwrap()),
            response_to: response_to.map(|id| MessageId::parse(id).unwrap()),
            ..message
        }
    }

    fn check_answered(known: &Conversations, mut message: Message, expected: Option<&str>) {
        known.complete(&mut message);
        assert_eq!(message.response_to.as_ref().map(MessageId::as_str), expected);
    }

    #[test]
    fn a_message_answers_the_last_one_of_its_conversation_unless_it_has_response_to() {
        let mut known = Conversations::new();
        for (activity, id) in [("a", "1"), ("b", "2"), ("a", "3")] {
            known.sent(ActivityId::parse(activity).unwrap(), MessageId::parse(id).unwrap(), |_| false);
        }
        check_answered(&known, message(Some("a"), None), Some("3"));
        check_answered(&known, message(Some("a"), Some("1")), Some("1"));
        check_answered(&known, message(Some("zonk"), None), None);
        check_answered(&known, message(None, None), None);
    }

    #[test]
    fn the_number_of_remembered_conversations_is_limited_and_open_requests_are_kept() {
        let mut known = Conversations::new();
        let numbers = 0..10 * CONVERSATIONS_MAX;
        for number in numbers.clone() {
            let text = number.to_string();
            let is_open = |id: &MessageId| id.as_str() == "7";
            known.sent(ActivityId::parse(&text).unwrap(), MessageId::parse(&text).unwrap(), is_open);
            assert!(known.order.len() <= 2 * CONVERSATIONS_MAX + 1, "{}", known.order.len());
        }
        assert_eq!(known.last.len(), known.order.len());
        check_answered(&known, message(Some("6"), None), None);
        check_answered(&known, message(Some("7"), None), Some("7"));
        let recent = (numbers.end - CONVERSATIONS_MAX).to_string();
        check_answered(&known, message(Some(&recent), None), Some(&recent));
    }
}
