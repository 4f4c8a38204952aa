//! Wakes: when a subscription is woken, how the wake is delivered, and what its outcome changes.

use std::sync::Arc;

use super::changes::put_subscription;
use super::schedule::Due;
use super::set::SubscriptionSet;
use super::subscription::{Link, Subscription};
use crate::streams::rules::{Change, Content, Ledger};
use crate::streams::subscriptions::wire::{
    Delivery, KeyEntry, StreamView, SubscriptionId, WakeEvent, WakeState, WakeView,
};
use crate::streams::wire::{AppendRequest, ContentType, Offset, StreamPath};

/// Steps that one [`SubscriptionSet::run_due`] takes at most, so that other writers are not held up.
const STEPS_PER_RUN: usize = 256;

/// Approximate bytes of the streams in one wake; the next wake has the others.
const WAKE_BYTES_MAX: usize = 128 * 1024;

/// Approximate bytes of a stream in a wake besides its path.
const STREAM_VIEW_BYTES: usize = 160;

const RETRY_WAIT_MIN_MS: u64 = 1_000;

/// Random deviation of retry waits, as a fraction, so that receivers that failed together are not called together.
const JITTER: f64 = 0.2;

/// A webhook call to make once its wake is committed.
#[derive(Clone)]
pub(crate) struct Attempt {
    pub(crate) url: String,
    pub(crate) wake: WakeView,
    pub(crate) kid: String,
    pub(crate) key: KeyEntry,
    /// Distinguishes the subscription from others with the same id.
    pub(crate) nonce: Arc<str>,
}

/// The outcome of a webhook call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The receiver has processed everything the call announced.
    Done,
    /// The receiver is working on it and will call back.
    Accepted,
    /// The receiver may not have received the call.
    Failed {
        /// The reason, for the log.
        cause: String,
    },
}

impl SubscriptionSet {
    /// Returns the time at which [`SubscriptionSet::run_due`] is due, in milliseconds since 1970; 0 is at once.
    /// `capacity` is the number of deliveries that may start.
    pub(crate) fn due_ms(&self, capacity: usize) -> Option<u64> {
        match self.unwritten.is_empty() {
            true => self.schedule.next_ms(capacity),
            false => Some(0),
        }
    }

    /// Runs everything that is due: starts wakes, appends wake events, ends leases. Returns at most `capacity` webhook
    /// calls to make once the changes are committed. `random` is in 0..=1.
    pub(crate) fn run_due(
        &mut self,
        ledger: &mut Ledger,
        (now_ms, random, capacity): (u64, f64, usize),
        changes: &mut Vec<Change>,
    ) -> Vec<Attempt> {
        self.flush(changes);
        let mut attempts = Vec::new();
        for _ in 0..STEPS_PER_RUN {
            let Some(id) = self.schedule.next(now_ms, capacity.saturating_sub(attempts.len())) else { break };
            attempts.extend(self.advance(ledger, &id, (now_ms, random), changes));
            self.reschedule(&id);
        }
        attempts
    }

    /// Records the outcome of a call that [`SubscriptionSet::run_due`] returned. `random` is in 0..=1.
    pub(crate) fn record_outcome(
        &mut self,
        ledger: &Ledger,
        attempt: &Attempt,
        outcome: &Outcome,
        (now_ms, random): (u64, f64),
        changes: &mut Vec<Change>,
    ) {
        let WakeView { id, generation, streams, .. } = &attempt.wake;
        let retry_ms = self.retry_wait_ms(random, self.failed_attempts(id) + 1);
        let same = |subscription: &&mut Subscription| subscription.entry.nonce == attempt.nonce;
        let Some(subscription) = self.subscriptions.get_mut(id).filter(same) else { return };
        if subscription.delivering == Some(*generation) {
            subscription.delivering = None;
        }
        let until_ms = now_ms.saturating_add(subscription.entry.terms.lease_ttl_ms);
        match (&subscription.entry.wake, outcome) {
            _ if subscription.entry.generation != *generation => {}
            // A callback has ended the wake, or its lease has ended.
            (None, _) => {}
            (Some(_), Outcome::Done) => {
                subscription.entry.wake = None;
                changes.push(put_subscription(subscription));
                self.acknowledge_all(ledger, id, streams, changes);
            }
            (Some(_), Outcome::Accepted) => {
                subscription.entry.wake = Some(WakeState::Held { worker: None, until_ms });
                changes.push(put_subscription(subscription));
            }
            (Some(WakeState::Due { attempts, .. }), Outcome::Failed { .. }) => {
                let (attempts, next_ms) = (attempts.saturating_add(1), now_ms.saturating_add(retry_ms));
                subscription.entry.wake = Some(WakeState::Due { attempts, next_ms });
                changes.push(put_subscription(subscription));
            }
            // The receiver has called back, so it did receive the call.
            (Some(WakeState::Held { .. } | WakeState::Announced), Outcome::Failed { .. }) => {}
        }
        self.reschedule(id);
    }

    /// Acknowledges everything that a call announced, where the stream is still the same one.
    fn acknowledge_all(
        &mut self,
        ledger: &Ledger,
        id: &SubscriptionId,
        streams: &[StreamView],
        changes: &mut Vec<Change>,
    ) {
        for view in streams {
            let link = self.link_mut(id, &view.path).copied();
            let unread = |link: &Link| link.log == view.log && link.acked.unwrap_or(Offset::START) < view.tail;
            if link.is_some_and(|link| unread(&link)) {
                self.acknowledge_stream(ledger, (id, &view.path), Some(view.tail), changes);
            }
        }
    }

    /// Moves changes that no commit has written yet into `changes`. Call it before any other change: a later one may write the
    /// same link again.
    pub(crate) fn flush(&mut self, changes: &mut Vec<Change>) {
        changes.append(&mut self.unwritten);
    }

    /// Updates the position of a subscription in the schedule.
    pub(super) fn reschedule(&mut self, id: &SubscriptionId) {
        let Some(subscription) = self.subscriptions.get(id) else { return };
        let delivering = subscription.delivering == Some(subscription.entry.generation);
        let next = match &subscription.entry.wake {
            None => subscription.has_pending().then_some(Due::At(0)),
            Some(WakeState::Due { .. }) if delivering => None,
            Some(WakeState::Due { next_ms, .. }) if subscription.is_webhook() => Some(Due::WithCapacity(*next_ms)),
            Some(WakeState::Due { next_ms, .. }) => Some(Due::At(*next_ms)),
            Some(WakeState::Held { until_ms, .. }) => Some(Due::At(*until_ms)),
            Some(WakeState::Announced) => None,
        };
        if next == subscription.scheduled {
            return;
        }
        self.unschedule(id);
        if let Some(due) = next {
            self.schedule.insert(due, id);
        }
        if let Some(subscription) = self.subscriptions.get_mut(id) {
            subscription.scheduled = next;
        }
    }

    pub(super) fn unschedule(&mut self, id: &SubscriptionId) {
        let scheduled = self.subscriptions.get_mut(id).and_then(|subscription| subscription.scheduled.take());
        if let Some(due) = scheduled {
            self.schedule.remove(due, id);
        }
    }

    /// Returns the streams to send with a wake: pending ones first, then others that were linked by name, up to the configured
    /// maximum, and up to [`WAKE_BYTES_MAX`].
    pub(super) fn snapshot(&self, ledger: &Ledger, subscription: &Subscription) -> Vec<StreamView> {
        let named =
            subscription.links.iter().filter(|(path, link)| link.explicit && !subscription.pending.contains(*path));
        let paths = subscription.pending.iter().chain(named.map(|(path, _)| path));
        let mut bytes = 0;
        let fitting = paths.take(self.limits.wake_streams_max).take_while(|path| {
            let first = bytes == 0;
            bytes += path.as_str().len() + STREAM_VIEW_BYTES;
            first || bytes <= WAKE_BYTES_MAX
        });
        fitting.filter_map(|path| subscription.view(ledger, path)).collect()
    }

    /// Takes a subscription that is due to the next state of its wake.
    fn advance(
        &mut self,
        ledger: &mut Ledger,
        id: &SubscriptionId,
        (now_ms, random): (u64, f64),
        changes: &mut Vec<Change>,
    ) -> Option<Attempt> {
        let subscription = self.subscriptions.get(id)?;
        let pending = subscription.pending.first().cloned();
        let wake = match (&subscription.entry.wake, pending) {
            (Some(WakeState::Held { .. }), _) | (Some(WakeState::Due { .. }), None) => None,
            (Some(WakeState::Due { attempts, .. }), Some(path)) if !subscription.is_webhook() => {
                Some(match append_event(ledger, subscription, &path, now_ms, changes) {
                    true => WakeState::Announced,
                    false => self.retry(*attempts, (now_ms, random)),
                })
            }
            (Some(WakeState::Due { attempts, .. }), Some(_)) => match self.attempt(ledger, subscription, now_ms) {
                Some(attempt) => {
                    let is_first = *attempts == 0;
                    let subscription = self.subscriptions.get_mut(id)?;
                    subscription.delivering = Some(subscription.entry.generation);
                    if is_first {
                        subscription.attempted_ms = now_ms;
                    }
                    return Some(attempt);
                }
                None => Some(self.retry(*attempts, (now_ms, random))),
            },
            (None, Some(_)) => {
                let subscription = self.subscriptions.get_mut(id)?;
                subscription.entry.generation += 1;
                Some(WakeState::Due { attempts: 0, next_ms: now_ms })
            }
            (Some(WakeState::Announced) | None, _) => return None,
        };
        let subscription = self.subscriptions.get_mut(id)?;
        subscription.entry.wake = wake;
        changes.push(put_subscription(subscription));
        None
    }

    /// Returns the state of a wake whose delivery failed once more.
    fn retry(&self, attempts: u32, (now_ms, random): (u64, f64)) -> WakeState {
        let attempts = attempts.saturating_add(1);
        WakeState::Due { attempts, next_ms: now_ms.saturating_add(self.retry_wait_ms(random, attempts)) }
    }

    fn attempt(&self, ledger: &Ledger, subscription: &Subscription, now_ms: u64) -> Option<Attempt> {
        let Delivery::Webhook { url } = &subscription.entry.terms.delivery else { return None };
        let (kid, key) = self.keys.signing_key()?;
        let token = subscription.token(self.keys.secret()?, now_ms.saturating_add(self.limits.token_ttl_ms));
        let wake = WakeView {
            id: subscription.id.clone(),
            wake_id: subscription.wake_id(),
            generation: subscription.entry.generation,
            token,
            mount: subscription.entry.mount.clone(),
            streams: self.snapshot(ledger, subscription),
        };
        let (kid, key, nonce) = (kid.clone(), key.clone(), Arc::clone(&subscription.entry.nonce));
        Some(Attempt { url: url.clone(), wake, kid, key, nonce })
    }

    fn failed_attempts(&self, id: &SubscriptionId) -> u32 {
        match self.subscriptions.get(id).and_then(|subscription| subscription.entry.wake.as_ref()) {
            Some(WakeState::Due { attempts, .. }) => *attempts,
            Some(WakeState::Held { .. } | WakeState::Announced) | None => 0,
        }
    }

    /// Returns the wait after a number of failures: exponential backoff with a cap, plus or minus [`JITTER`].
    fn retry_wait_ms(&self, random: f64, failures: u32) -> u64 {
        let doubled = RETRY_WAIT_MIN_MS.saturating_mul(1 << failures.saturating_sub(1).min(32));
        let wait_ms = doubled.min(self.limits.retry_wait_max_ms);
        (wait_ms as f64 * (1.0 - JITTER + 2.0 * JITTER * random)) as u64
    }
}

/// Appends the event of a wake to its wake stream. Returns false if the stream refuses it.
fn append_event(
    ledger: &mut Ledger,
    subscription: &Subscription,
    pending: &StreamPath,
    now_ms: u64,
    changes: &mut Vec<Change>,
) -> bool {
    let Some(path) = subscription.wake_stream() else { return false };
    let event = WakeEvent {
        r#type: "wake",
        subscription_id: subscription.id.as_str(),
        stream: pending.as_str(),
        generation: subscription.entry.generation,
        ts: now_ms,
    };
    let body = serde_json::to_vec(&event).expect("numbers and strings always serialize");
    let request = AppendRequest {
        content_type: ContentType::parse("application/json"),
        closed: false,
        seq: None,
        producer: None,
    };
    ledger.append(now_ms, path, &request, Content::new(body.into()), changes).is_ok()
}
