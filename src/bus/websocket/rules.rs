//! Memory of a connection: batches that are not answered yet, and the last message of each conversation. Pure: time comes
//! in as an argument.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use crate::message::{ActivityId, Message, MessageId, Verdict};

/// Conversations whose last message is remembered for brokers that do not tell what a message answers.
const CONVERSATIONS_MAX: usize = 16_384;

/// What was sent and is not answered yet, in the order of sending. `W` is who waits for it.
pub(super) struct Unanswered<W> {
    batches: VecDeque<Batch<W>>,
}

struct Batch<W> {
    waiter: W,
    verdicts: Vec<Verdict>,
    wanted: usize,
    deadline: Instant,
}

/// There were more answers than messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Surplus;

impl<W> Unanswered<W> {
    pub(super) fn new() -> Self {
        Self { batches: VecDeque::new() }
    }

    /// Notes that `wanted` frames (1 or more) were sent together, to be answered by `deadline`.
    pub(super) fn push(&mut self, waiter: W, wanted: usize, deadline: Instant) {
        assert!(wanted > 0, "nothing was sent that could be answered");
        self.batches.push_back(Batch { waiter, verdicts: Vec::with_capacity(wanted), wanted, deadline });
    }

    /// Gives each verdict to the message whose turn it is. Answers the batches that are complete now. Errors: [`Surplus`].
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

    /// Takes all that was sent for accepted: it has left for a broker that never answers.
    pub(super) fn accept_all(&mut self) -> impl Iterator<Item = (W, Vec<Verdict>)> {
        self.batches.drain(..).map(|batch| (batch.waiter, vec![Verdict::Accepted; batch.wanted]))
    }

    /// By when the next answer has to be there; `None` if none is missing.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.batches.front().map(|batch| batch.deadline)
    }
}

/// The last message that was sent in each conversation: what a message of the same conversation answers when its broker
/// does not say. The conversation that was opened first gives way when there are too many. exo 3.4.
pub(super) struct Conversations {
    last: HashMap<ActivityId, MessageId>,
    order: VecDeque<ActivityId>,
}

impl Conversations {
    pub(super) fn new() -> Self {
        Self { last: HashMap::new(), order: VecDeque::new() }
    }

    pub(super) fn sent(&mut self, activity: ActivityId, id: MessageId) {
        if self.last.insert(activity.clone(), id).is_none() {
            self.order.push_back(activity);
        }
        if self.order.len() > CONVERSATIONS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.last.remove(&oldest);
        }
    }

    /// Fills in what `message` answers, if it does not say and that is known.
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
    fn answers_find_their_batches_in_the_order_of_sending() {
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
    fn a_message_answers_the_last_one_of_its_conversation_unless_it_says_otherwise() {
        let mut known = Conversations::new();
        for (activity, id) in [("a", "1"), ("b", "2"), ("a", "3")] {
            known.sent(ActivityId::parse(activity).unwrap(), MessageId::parse(id).unwrap());
        }
        check_answered(&known, message(Some("a"), None), Some("3"));
        check_answered(&known, message(Some("a"), Some("1")), Some("1"));
        check_answered(&known, message(Some("zonk"), None), None);
        check_answered(&known, message(None, None), None);
    }

    #[test]
    fn the_memory_of_conversations_is_bounded() {
        let mut known = Conversations::new();
        for number in 0..CONVERSATIONS_MAX + 100 {
            let text = number.to_string();
            known.sent(ActivityId::parse(&text).unwrap(), MessageId::parse(&text).unwrap());
        }
        assert_eq!((known.last.len(), known.order.len()), (CONVERSATIONS_MAX, CONVERSATIONS_MAX));
        check_answered(&known, message(Some("99"), None), None);
        check_answered(&known, message(Some("100"), None), Some("100"));
    }
}
