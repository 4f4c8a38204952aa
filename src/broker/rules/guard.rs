//! What the security adapter keeps: messages that wait to be judged, and questions that the judge has asked. exo 3.6.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::bytes_of;
use super::publishing::Answer;
use crate::message::{ActivityId, InstanceId, Message, MessageId, Role};

/// The role that judges. exo 3.6.
pub(super) const JUDGE: &str = "security";

/// The memory of the security adapter. Bounded in number and bytes: a further message is not held, a further question pushes out the oldest.
pub(crate) struct Guard {
    held: HashMap<ActivityId, Held>,
    /// Questions by the conversation they were asked in; each belongs to the judgement of a held message.
    questions: HashMap<ActivityId, Question>,
    /// Both kinds, in the order they came; what is gone from the tables is skipped.
    order: VecDeque<(Instant, ActivityId)>,
    held_max: usize,
    held_bytes: usize,
    held_bytes_max: usize,
    judge: Role,
    seed: u128,
    made: u128,
}

/// A message that waits to be judged.
pub(super) struct Held {
    pub(super) message: Message,
    pub(super) answer: Answer,
    pub(super) origin: Option<InstanceId>,
    pub(super) accepted: Instant,
}

/// What the judge has asked, and on the way to which judgement.
pub(super) struct Question {
    pub(super) judged_in: ActivityId,
    /// The judge's own message with the question in it.
    pub(super) request: MessageId,
}

impl Guard {
    pub(crate) fn new(seed: u128, held_max: usize, held_bytes_max: usize) -> Self {
        let (held, questions, order) = (HashMap::new(), HashMap::new(), VecDeque::new());
        let judge = Role::parse(JUDGE).expect("a constant that is a role");
        Self { held, questions, order, held_max, held_bytes: 0, held_bytes_max, judge, seed, made: 0 }
    }

    /// The role that judges.
    pub(super) fn judge(&self) -> &Role {
        &self.judge
    }

    /// A fresh id, of UUID version 4.
    pub(super) fn id(&mut self) -> MessageId {
        self.made += 1;
        // Steps of an odd number visit every value before they repeat one; multiplying spreads them over all bits.
        let mixed = (self.seed ^ self.made).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let bits = (mixed ^ (mixed >> 61)).wrapping_mul(0xbf58_476d_1ce4_e5b9_94d0_49bb_1331_11eb);
        MessageId::from_uuid(uuid::Builder::from_random_bytes(bits.to_le_bytes()).into_uuid())
    }

    /// Whether another message can be held.
    pub(super) fn has_room(&self, message: &Message) -> bool {
        let bytes = self.held_bytes.saturating_add(bytes_of(message));
        self.held.len() < self.held_max && bytes <= self.held_bytes_max
    }

    /// Keeps a message until it is judged in `activity`.
    pub(super) fn hold(&mut self, activity: ActivityId, held: Held) {
        assert!(self.has_room(&held.message), "whoever holds has looked for room");
        self.enter(held.accepted, activity.clone());
        self.held_bytes += bytes_of(&held.message);
        self.held.insert(activity, held);
    }

    /// Takes out the message that is judged in `activity`.
    pub(super) fn release(&mut self, activity: &ActivityId) -> Option<Held> {
        let held = self.held.remove(activity)?;
        self.held_bytes -= bytes_of(&held.message);
        Some(held)
    }

    /// Whether a message is judged in `activity`.
    pub(super) fn holds(&self, activity: &ActivityId) -> bool {
        self.held.contains_key(activity)
    }

    /// Remembers that the judge asks in the conversation `asked_in`.
    pub(super) fn ask(&mut self, now: Instant, asked_in: ActivityId, question: Question) {
        if self.questions.len() >= self.held_max {
            let oldest = self.order.iter().find(|(_, activity)| self.questions.contains_key(activity));
            if let Some((_, oldest)) = oldest.cloned() {
                self.questions.remove(&oldest);
            }
        }
        self.enter(now, asked_in.clone());
        self.questions.insert(asked_in, question);
    }

    /// Whether the judge asked in `conversation`.
    pub(super) fn asked(&self, conversation: &ActivityId) -> bool {
        self.questions.contains_key(conversation)
    }

    /// The question is answered.
    pub(super) fn answer(&mut self, conversation: &ActivityId) -> Option<Question> {
        self.questions.remove(conversation)
    }

    /// Forgets what is older than `window`. Answers the messages that nobody judged.
    pub(super) fn expire(&mut self, now: Instant, window: Duration) -> Vec<Held> {
        let mut late = Vec::new();
        while self.order.front().is_some_and(|(since, _)| now.duration_since(*since) >= window) {
            let Some((_, activity)) = self.order.pop_front() else { break };
            late.extend(self.release(&activity));
            self.questions.remove(&activity);
        }
        if self.held.is_empty() && self.questions.is_empty() {
            self.order.clear();
        }
        late
    }

    /// Clears away now and then what is gone from the tables, so that the order is not longer than they warrant.
    fn enter(&mut self, since: Instant, activity: ActivityId) {
        if self.order.len() > 64 + 2 * (self.held.len() + self.questions.len()) {
            let Self { order, held, questions, .. } = self;
            order.retain(|(_, known)| held.contains_key(known) || questions.contains_key(known));
        }
        self.order.push_back((since, activity));
    }

    /// Everything that still waits.
    pub(super) fn drain(&mut self) -> Vec<Held> {
        self.order.clear();
        self.questions.clear();
        self.held_bytes = 0;
        let mut left: Vec<Held> = self.held.drain().map(|(_, held)| held).collect();
        left.sort_by_key(|held| held.accepted);
        left
    }

    /// How much is kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.held.len() + self.questions.len()
    }
}
