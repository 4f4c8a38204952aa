//! The queue of one instance: first in, first out, across retries; replies that a requester waits for overtake the rest.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::lane::Lane;
use super::{Attempt, Envelope, Outcome, Portion, Reason, Taken, Timing};

/// The envelopes that a delivery may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lanes {
    /// Urgent ones first, then all others.
    All,
    /// Urgent ones only: the receiver has no capacity for others.
    Urgent,
}

/// The undelivered envelopes of one instance.
pub(crate) struct Queue {
    /// Replies to open requests, which are delivered before everything else.
    urgent: Lane,
    waiting: Lane,
    /// Envelopes moved here from another queue, until [`Queue::merge_staged`] puts them in order.
    staged: VecDeque<Envelope>,
    in_delivery: VecDeque<Envelope>,
    /// Envelopes that the receiver answers each on its own: those that an instance in this process has and will answer
    /// later, and the single deliveries in progress.
    deferred: VecDeque<Envelope>,
    /// Total size of all of these.
    bytes: usize,
    /// Limit of the next delivery; halved when the receiver refuses a delivery as a whole.
    batch_messages: usize,
    last_failure: Option<String>,
    /// True if the receiver answered the last attempt.
    answers: bool,
    /// True if the service behind the receiver does not answer.
    is_away: bool,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            urgent: Lane::default(),
            waiting: Lane::default(),
            staged: VecDeque::new(),
            in_delivery: VecDeque::new(),
            deferred: VecDeque::new(),
            bytes: 0,
            batch_messages: usize::MAX,
            last_failure: None,
            answers: true,
            is_away: false,
        }
    }

    /// Records that the service behind the receiver answers, or does not.
    pub(crate) fn set_away(&mut self, is_away: bool) {
        self.is_away = is_away;
    }

    pub(crate) fn is_away(&self) -> bool {
        self.is_away
    }

    /// Returns the number of urgent envelopes that wait.
    pub(crate) fn urgent_len(&self) -> usize {
        self.urgent.len()
    }

    /// Returns the time at which the oldest envelope was accepted that is not in delivery.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        [&self.urgent, &self.waiting].into_iter().filter_map(|lane| Some(lane.first()?.accepted)).min()
    }

    /// Returns the time at which the oldest envelope was accepted, those in delivery included.
    pub(crate) fn oldest_of_all(&self) -> Option<Instant> {
        let delivered = [&self.staged, &self.in_delivery, &self.deferred].into_iter().flatten();
        delivered.map(|envelope| envelope.accepted).chain(self.oldest()).min()
    }

    /// Returns the number of envelopes, those in delivery included.
    pub(crate) fn len(&self) -> usize {
        self.urgent.len() + self.waiting.len() + self.staged.len() + self.in_delivery.len() + self.deferred.len()
    }

    /// Returns the number of envelopes staged for a merge.
    pub(crate) fn staged_len(&self) -> usize {
        self.staged.len()
    }

    /// Returns the size of all envelopes, those in delivery included.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns true if nothing waits for a delivery to begin.
    pub(crate) fn is_taken(&self) -> bool {
        self.urgent.len() + self.waiting.len() == 0
    }

    /// Returns true if there is nothing to deliver and nothing in delivery.
    pub(crate) fn is_idle(&self) -> bool {
        self.len() == 0
    }

    /// Returns true while a delivery is in progress or has to be answered.
    pub(crate) fn is_delivering(&self) -> bool {
        !self.in_delivery.is_empty() || !self.deferred.is_empty()
    }

    /// Inserts the envelope at its position in the order.
    pub(crate) fn insert(&mut self, envelope: Envelope) {
        self.bytes += envelope.bytes();
        match envelope.urgent {
            true => self.urgent.insert(envelope),
            false => self.waiting.insert(envelope),
        }
    }

    /// Adds an envelope of another queue, to be put in order by [`Queue::merge_staged`].
    pub(crate) fn stage(&mut self, envelope: Envelope) {
        self.bytes += envelope.bytes();
        self.staged.push_back(envelope);
    }

    /// Puts the staged envelopes at their positions in the order.
    pub(crate) fn merge_staged(&mut self) {
        let staged = std::mem::take(&mut self.staged);
        self.put_back(staged);
    }

    fn put_back(&mut self, envelopes: VecDeque<Envelope>) {
        let (urgent, waiting): (Vec<_>, Vec<_>) = envelopes.into_iter().partition(|envelope| envelope.urgent);
        self.waiting.merge(waiting);
        if !urgent.is_empty() {
            self.urgent.merge(urgent);
        }
    }

    /// Starts a delivery and returns its messages; none while a batch is in progress. Expired envelopes go to `late`.
    pub(crate) fn take(
        &mut self,
        lanes: Lanes,
        portion: Portion,
        (now, window): (Instant, Duration),
        late: &mut Vec<Envelope>,
    ) -> Taken {
        match portion {
            Portion::Single { deliveries_max }
                if self.in_delivery.is_empty() && self.deferred.len() < deliveries_max =>
            {
                self.expire(now, window, late);
                self.take_single()
            }
            Portion::Batch { messages_max, bytes_max } if !self.is_delivering() => {
                self.expire(now, window, late);
                self.take_batch(lanes, messages_max, bytes_max)
            }
            Portion::Single { .. } | Portion::Batch { .. } => Taken::default(),
        }
    }

    fn take_single(&mut self) -> Taken {
        let Some(envelope) = self.urgent.pop().or_else(|| self.waiting.pop()) else { return Taken::default() };
        let (messages, timings) = (vec![envelope.message.clone()], vec![Timing::of(&envelope)]);
        let single = Some(envelope.sequence);
        self.deferred.push_back(envelope);
        Taken { messages, timings, single }
    }

    fn take_batch(&mut self, lanes: Lanes, messages_max: usize, bytes_max: usize) -> Taken {
        let (messages_max, mut bytes) = (messages_max.min(self.batch_messages).max(1), 0_usize);
        let waiting = (lanes == Lanes::All).then_some(&mut self.waiting);
        for lane in std::iter::once(&mut self.urgent).chain(waiting) {
            while let Some(envelope) = lane.first() {
                bytes = bytes.saturating_add(envelope.bytes());
                if self.in_delivery.len() >= messages_max || (bytes > bytes_max && !self.in_delivery.is_empty()) {
                    break;
                }
                self.in_delivery.extend(lane.pop());
            }
        }
        let (messages, timings) =
            self.in_delivery.iter().map(|envelope| (envelope.message.clone(), Timing::of(envelope))).unzip();
        Taken { messages, timings, single: None }
    }

    /// Makes a single delivery the one whose outcome is recorded next.
    pub(crate) fn conclude_single(&mut self, sequence: u64) {
        let position = self.deferred.iter().position(|envelope| envelope.sequence == sequence);
        self.in_delivery.extend(position.and_then(|position| self.deferred.remove(position)));
    }

    /// Adds an envelope that its receiver has, but has not answered. Nothing else is delivered until it has.
    pub(crate) fn defer(&mut self, envelope: Envelope) {
        self.bytes += envelope.bytes();
        self.deferred.push_back(envelope);
    }

    /// Returns true if the receiver has envelopes that it has not answered yet.
    pub(crate) fn has_deferred(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// Removes and returns a deferred envelope, now that it is answered.
    pub(crate) fn complete_deferred(&mut self, sequence: u64) -> Option<Envelope> {
        let position = self.deferred.iter().position(|envelope| envelope.sequence == sequence)?;
        let envelope = self.deferred.remove(position)?;
        self.bytes -= envelope.bytes();
        Some(envelope)
    }

    /// Ends the delivery in progress. Returns the delivered and the rejected envelopes; the others wait for another
    /// attempt, in order.
    pub(crate) fn record_outcome(&mut self, attempt: Attempt) -> (Vec<Envelope>, Vec<(Envelope, Reason)>) {
        let (mut delivered, mut rejected) = (Vec::new(), Vec::new());
        let (outcomes, failure) = match attempt {
            Attempt::Answered(outcomes) => (outcomes, None),
            Attempt::TooLarge { detail } => {
                self.batch_messages = (self.in_delivery.len() / 2).max(1);
                (Vec::new(), Some((detail, true)))
            }
            Attempt::Unreachable { cause } => (Vec::new(), Some((cause, false))),
        };
        self.answers = failure.as_ref().is_none_or(|(_, answers)| *answers);
        if failure.is_none() {
            self.batch_messages = self.batch_messages.saturating_mul(2);
        }
        self.last_failure = failure.map(|(cause, _)| cause);
        let mut outcomes = outcomes.into_iter();
        let mut retried = VecDeque::new();
        for mut envelope in std::mem::take(&mut self.in_delivery) {
            match outcomes.next() {
                Some(Outcome::Delivered) => delivered.push(envelope),
                Some(Outcome::Rejected(reason)) => rejected.push((envelope, reason)),
                Some(Outcome::Retry(cause)) => {
                    self.last_failure = Some(cause);
                    envelope.tries += 1;
                    retried.push_back(envelope);
                }
                None => retried.push_back(envelope),
            }
        }
        if !retried.is_empty() {
            self.put_back(retried);
        }
        let finished = delivered.iter().chain(rejected.iter().map(|(envelope, _)| envelope));
        self.bytes -= finished.map(Envelope::bytes).sum::<usize>();
        (delivered, rejected)
    }

    /// Moves expired envelopes to `late`. An envelope that was never tried although its receiver answers gets a second
    /// window: those before it held it up, and it is due one attempt.
    pub(crate) fn expire(&mut self, now: Instant, window: Duration, late: &mut Vec<Envelope>) {
        let answers = self.answers;
        let window = |envelope: &Envelope| if envelope.tries == 0 && answers { window * 2 } else { window };
        for lane in [&mut self.urgent, &mut self.waiting] {
            self.bytes -= lane.expire(now, window, late);
        }
    }

    /// Removes and returns the envelopes that may go to another instance and are not in delivery, in order.
    pub(crate) fn take_movable(&mut self) -> VecDeque<Envelope> {
        let movable = self.waiting.take_movable();
        self.bytes -= movable.iter().map(Envelope::bytes).sum::<usize>();
        movable
    }

    /// Returns the cause of the last failed attempt, if the last attempt failed.
    pub(crate) fn last_failure(&self) -> Option<String> {
        self.last_failure.clone()
    }

    /// Removes and returns all envelopes in order, those in delivery included.
    pub(crate) fn drain(&mut self) -> VecDeque<Envelope> {
        let mut others = std::mem::take(&mut self.in_delivery);
        others.append(&mut self.deferred);
        others.append(&mut self.staged);
        others.append(&mut self.urgent.take_all());
        self.waiting.merge(others);
        self.bytes = 0;
        self.waiting.take_all()
    }

    /// Returns the envelopes that are not in delivery, for a change of their names.
    pub(crate) fn waiting_mut(&mut self) -> impl Iterator<Item = &mut Envelope> {
        self.urgent.iter_mut().chain(self.waiting.iter_mut())
    }
}
