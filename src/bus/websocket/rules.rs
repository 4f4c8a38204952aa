//! What a connection has to remember: who waits for which answers, what was said last in which conversation, and when
//! the other end was last heard of. Pure: time comes in.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::message::{ActivityId, Message, MessageId, Verdict};

/// Conversations whose last message is remembered for brokers that do not tell what a message answers.
const CONVERSATIONS_MAX: usize = 16_384;

/// Signs of life that may stay away before the other end is taken for dead.
const UNHEARD_MAX: u32 = 2;

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

/// Whether the other end lives.
pub(super) struct Heartbeat {
    every: Duration,
    /// When it was heard of or asked last.
    since: Instant,
    asked: u32,
}

/// What to do about the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing yet.
    Wait,
    /// Ask it for a sign of life.
    Ask,
    /// Take it for dead.
    GiveUp,
}

impl Heartbeat {
    pub(super) fn new(every: Duration, now: Instant) -> Self {
        Self { every, since: now, asked: 0 }
    }

    /// There was a frame, of whatever kind.
    pub(super) fn heard(&mut self, now: Instant) {
        self.since = now;
        self.asked = 0;
    }

    /// When to look again.
    pub(super) fn due(&self) -> Instant {
        self.since + self.every
    }

    /// Looks. Asks once per silent interval; gives up when [`UNHEARD_MAX`] questions brought nothing.
    pub(super) fn look(&mut self, now: Instant) -> Beat {
        if now < self.due() {
            return Beat::Wait;
        }
        if self.asked == UNHEARD_MAX {
            return Beat::GiveUp;
        }
        self.since = now;
        self.asked += 1;
        Beat::Ask
    }

    /// How long the silence is when it is taken for death.
    pub(super) fn patience(&self) -> Duration {
        self.every * (UNHEARD_MAX + 1)
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn who_is_silent_is_asked_twice_and_then_taken_for_dead() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(SECOND, start);
        assert_eq!(heartbeat.look(start + SECOND / 2), Beat::Wait);
        assert_eq!(heartbeat.look(start + SECOND), Beat::Ask);
        assert_eq!(heartbeat.look(start + SECOND), Beat::Wait);
        assert_eq!(heartbeat.look(start + 2 * SECOND), Beat::Ask);
        assert_eq!(heartbeat.due(), start + heartbeat.patience());
        assert_eq!(heartbeat.look(start + 3 * SECOND), Beat::GiveUp);
    }

    #[test]
    fn a_pause_of_this_process_is_not_taken_for_silence_of_the_other_end() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(SECOND, start);
        assert_eq!(heartbeat.look(start + 100 * SECOND), Beat::Ask);
        assert_eq!(heartbeat.look(start + 100 * SECOND), Beat::Wait);
    }

    #[test]
    fn any_frame_is_a_sign_of_life() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(SECOND, start);
        assert_eq!(heartbeat.look(start + 2 * SECOND), Beat::Ask);
        heartbeat.heard(start + 2 * SECOND);
        assert_eq!(heartbeat.due(), start + 3 * SECOND);
        assert_eq!(heartbeat.look(start + 3 * SECOND), Beat::Ask);
    }
}
