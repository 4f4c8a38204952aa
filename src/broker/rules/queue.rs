//! What waits for one instance: first in, first out, across retries.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Attempt, Outcome, Parcel, Reason, Taken};
use crate::message::Message;

/// The parcels of one instance, always in the order they were published.
pub(crate) struct Queue {
    waiting: VecDeque<Parcel>,
    /// What the courier has in hand.
    taken: VecDeque<Parcel>,
    /// Given to an instance of this process, which has not answered yet.
    unanswered: VecDeque<Parcel>,
    /// What all of these hold.
    bytes: usize,
    /// How many the next delivery may carry: halves when the receiver refuses a delivery as a whole.
    batch_messages: usize,
    last_failure: Option<String>,
    /// Whether the last try was answered at all.
    answers: bool,
}

impl Queue {
    pub(crate) fn new() -> Self {
        let (waiting, taken, unanswered) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { waiting, taken, unanswered, bytes: 0, batch_messages: usize::MAX, last_failure: None, answers: true }
    }

    /// Everything that is not settled.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.taken.len() + self.unanswered.len()
    }

    /// What everything that is not settled counts for the bound on bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits and nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_out()
    }

    /// Whether a delivery is on its way.
    pub(crate) fn is_out(&self) -> bool {
        !self.taken.is_empty() || !self.unanswered.is_empty()
    }

    /// Adds the parcel at its place in the order.
    pub(crate) fn insert(&mut self, parcel: Parcel) {
        self.bytes += parcel.bytes();
        match self.waiting.back() {
            Some(last) if last.sequence > parcel.sequence => {
                let place = self.waiting.partition_point(|other| other.sequence < parcel.sequence);
                self.waiting.insert(place, parcel);
            }
            Some(_) | None => self.waiting.push_back(parcel),
        }
    }

    /// Adds parcels that are in order, each at its place.
    pub(crate) fn merge(&mut self, parcels: VecDeque<Parcel>) {
        self.bytes += parcels.iter().map(Parcel::bytes).sum::<usize>();
        self.put_back(parcels);
    }

    fn put_back(&mut self, parcels: VecDeque<Parcel>) {
        self.waiting.extend(parcels);
        // Two runs in order: what a stable sort is quickest at.
        self.waiting.make_contiguous().sort_by_key(|parcel| parcel.sequence);
    }

    /// Takes the next delivery in hand: at most `messages_max` messages and, beyond the first, `bytes_max` payload bytes.
    /// Answers what is in hand; nothing while another delivery is out. What is late goes to `late`.
    pub(crate) fn take(
        &mut self,
        (messages_max, bytes_max): (usize, usize),
        (now, window): (Instant, Duration),
        late: &mut Vec<Parcel>,
    ) -> (Vec<Message>, Vec<Taken>) {
        if self.is_out() {
            return (Vec::new(), Vec::new());
        }
        self.expire(now, window, late);
        let (messages_max, mut bytes) = (messages_max.min(self.batch_messages).max(1), 0_usize);
        while let Some(parcel) = self.waiting.front() {
            bytes = bytes.saturating_add(parcel.bytes());
            if self.taken.len() >= messages_max || (bytes > bytes_max && !self.taken.is_empty()) {
                break;
            }
            self.taken.extend(self.waiting.pop_front());
        }
        let stamp = |parcel: &Parcel| Taken { accepted: parcel.accepted, response_time: parcel.response_time };
        self.taken.iter().map(|parcel| (parcel.message.clone(), stamp(parcel))).unzip()
    }

    /// Adds a parcel that its receiver has got and not answered yet. Until it has, nothing else is given out.
    pub(crate) fn defer(&mut self, parcel: Parcel) {
        self.bytes += parcel.bytes();
        self.unanswered.push_back(parcel);
    }

    /// Removes and returns a deferred parcel, now that it is answered.
    pub(crate) fn answered(&mut self, sequence: u64) -> Option<Parcel> {
        let place = self.unanswered.iter().position(|parcel| parcel.sequence == sequence)?;
        let parcel = self.unanswered.remove(place)?;
        self.bytes -= parcel.bytes();
        Some(parcel)
    }

    /// Settles what is in hand. Answers the delivered and the given up ones; the others wait again, in order.
    pub(crate) fn settle(&mut self, attempt: Attempt) -> (Vec<Parcel>, Vec<(Parcel, Reason)>) {
        let (mut delivered, mut rejected) = (Vec::new(), Vec::new());
        let (outcomes, failure) = match attempt {
            Attempt::Answered(outcomes) => (outcomes, None),
            Attempt::TooMuch { detail } => {
                self.batch_messages = (self.taken.len() / 2).max(1);
                (Vec::new(), Some((detail, true)))
            }
            Attempt::Silent { cause } => (Vec::new(), Some((cause, false))),
        };
        self.answers = failure.as_ref().is_none_or(|(_, answers)| *answers);
        if failure.is_none() {
            self.batch_messages = self.batch_messages.saturating_mul(2);
        }
        self.last_failure = failure.map(|(cause, _)| cause);
        let mut outcomes = outcomes.into_iter();
        let mut later = VecDeque::new();
        for mut parcel in std::mem::take(&mut self.taken) {
            match outcomes.next() {
                Some(Outcome::Delivered) => delivered.push(parcel),
                Some(Outcome::Rejected(reason)) => rejected.push((parcel, reason)),
                Some(Outcome::Later(cause)) => {
                    self.last_failure = Some(cause);
                    parcel.tries += 1;
                    later.push_back(parcel);
                }
                None => later.push_back(parcel),
            }
        }
        if !later.is_empty() {
            self.put_back(later);
        }
        let settled = delivered.iter().chain(rejected.iter().map(|(parcel, _)| parcel));
        self.bytes -= settled.map(Parcel::bytes).sum::<usize>();
        (delivered, rejected)
    }

    /// Moves what is late to `late`. A parcel that was never tried although its receiver answers is spared for another
    /// window: it was held up by those before it, and should get its one try.
    pub(crate) fn expire(&mut self, now: Instant, window: Duration, late: &mut Vec<Parcel>) {
        while let Some(parcel) = self.waiting.front() {
            let window = if parcel.tries == 0 && self.answers { window * 2 } else { window };
            if !parcel.is_late(now, window) {
                return;
            }
            let Some(parcel) = self.waiting.pop_front() else { return };
            self.bytes -= parcel.bytes();
            late.push(parcel);
        }
    }

    /// Why the last try failed, if it did.
    pub(crate) fn last_failure(&self) -> Option<String> {
        self.last_failure.clone()
    }

    /// Takes everything out, in order: what was in hand first.
    pub(crate) fn drain(&mut self) -> VecDeque<Parcel> {
        let mut out = std::mem::take(&mut self.taken);
        out.append(&mut self.unanswered);
        self.put_back(out);
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    /// Every parcel that waits, for a change of its text.
    pub(crate) fn waiting_mut(&mut self) -> impl Iterator<Item = &mut Parcel> {
        self.waiting.iter_mut()
    }
}
