//! Wakes: when there is one, how it gets to whoever wants it, and what becomes of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::board::Board;
use super::changes::{kept, link_kept};
use super::subscription::{Plan, Subscription};
use crate::streams::rules::{Change, Content, Ledger};
use crate::streams::subscriptions::wire::{Delivery, KeyEntry, Stage, StreamView, SubscriptionId, WakeEvent, WakeView};
use crate::streams::wire::{AppendRequest, ContentType, StreamPath};

/// How many looks one turn takes, so that others get at the streams.
const LOOKS_PER_TURN: usize = 256;

const RETRY_WAIT_MIN_MS: u64 = 1_000;

/// How far a wait may be off, either way: so that receivers that failed together are not called together.
const JITTER: f64 = 0.2;

/// A call to a receiver that is to be made, now that the wake is written.
#[derive(Clone)]
pub(crate) struct Attempt {
    pub(crate) url: String,
    pub(crate) wake: WakeView,
    pub(crate) kid: String,
    pub(crate) key: KeyEntry,
    /// Tells the subscription from others of the same id.
    pub(crate) nonce: Arc<str>,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The receiver has done all that the call told of.
    Done,
    /// The receiver works on it, and will call back.
    Accepted,
    /// The receiver does not know of it, as far as can be told.
    Failed {
        /// Why, for the log.
        cause: String,
    },
}

impl Board {
    /// When the next look is due, in milliseconds since 1970; 0 is at once. `room` is how many deliveries may begin.
    pub(crate) fn due_ms(&self, room: usize) -> Option<u64> {
        let first = |set: &BTreeSet<(u64, SubscriptionId)>| set.first().map(|(at_ms, _)| *at_ms);
        let with_room = first(&self.due_with_room).filter(|_| room > 0);
        let stale = (!self.stale.is_empty()).then_some(0);
        [first(&self.due), with_room, stale].into_iter().flatten().min()
    }

    /// Does what is due: wakes whoever has something pending, writes events, ends leases. Returns the calls that are to
    /// be made once the changes are written. `dice` is from 0 to 1.
    pub(crate) fn turn(
        &mut self,
        ledger: &mut Ledger,
        (now_ms, dice, room): (u64, f64, usize),
        changes: &mut Vec<Change>,
    ) -> Vec<Attempt> {
        self.flush(changes);
        let mut attempts = Vec::new();
        for _ in 0..LOOKS_PER_TURN {
            let next =
                |set: &BTreeSet<(u64, SubscriptionId)>| set.first().filter(|(at_ms, _)| *at_ms <= now_ms).cloned();
            let with_room = || next(&self.due_with_room).filter(|_| attempts.len() < room);
            let Some((_, id)) = next(&self.due).or_else(with_room) else { break };
            attempts.extend(self.look(ledger, &id, (now_ms, dice), changes));
            self.plan(&id);
        }
        attempts
    }

    /// What became of a call that [`Board::turn`] has asked for.
    pub(crate) fn delivered(
        &mut self,
        attempt: &Attempt,
        outcome: &Outcome,
        (now_ms, dice): (u64, f64),
        changes: &mut Vec<Change>,
    ) {
        let WakeView { id, generation, streams, .. } = &attempt.wake;
        let retry_ms = self.retry_wait_ms(dice, self.attempts_of(id) + 1);
        let same = |subscription: &&mut Subscription| subscription.entry.nonce == attempt.nonce;
        let Some(subscription) = self.subscriptions.get_mut(id).filter(same) else { return };
        if subscription.attempt == Some(*generation) {
            subscription.attempt = None;
        }
        let until_ms = now_ms.saturating_add(subscription.entry.terms.lease_ttl_ms);
        match (&subscription.entry.wake, outcome) {
            _ if subscription.entry.generation != *generation => {}
            // It was settled by a callback, or its lease is over.
            (None, _) => {}
            (Some(_), Outcome::Done) => {
                acknowledge(subscription, streams, changes);
                subscription.entry.wake = None;
                changes.push(kept(subscription));
            }
            (Some(_), Outcome::Accepted) => {
                subscription.entry.wake = Some(Stage::Held { worker: None, until_ms });
                changes.push(kept(subscription));
            }
            (Some(Stage::Due { attempts, .. }), Outcome::Failed { .. }) => {
                let (attempts, next_ms) = (attempts.saturating_add(1), now_ms.saturating_add(retry_ms));
                subscription.entry.wake = Some(Stage::Due { attempts, next_ms });
                changes.push(kept(subscription));
            }
            // Whoever has called back knows of it.
            (Some(Stage::Held { .. } | Stage::Announced), Outcome::Failed { .. }) => {}
        }
        self.plan(id);
    }

    /// Hands over what was left to be written with the next changes. Comes before any other change.
    pub(crate) fn flush(&mut self, changes: &mut Vec<Change>) {
        changes.append(&mut self.stale);
    }

    /// Notes when to look at a subscription next.
    pub(super) fn plan(&mut self, id: &SubscriptionId) {
        let Some(subscription) = self.subscriptions.get(id) else { return };
        let delivering = subscription.attempt == Some(subscription.entry.generation);
        let next = match &subscription.entry.wake {
            None => self.has_pending(subscription).then_some(Plan::At(0)),
            Some(Stage::Due { .. }) if delivering => None,
            Some(Stage::Due { next_ms, .. }) if subscription.is_webhook() => Some(Plan::WithRoom(*next_ms)),
            Some(Stage::Due { next_ms, .. }) => Some(Plan::At(*next_ms)),
            Some(Stage::Held { until_ms, .. }) => Some(Plan::At(*until_ms)),
            Some(Stage::Announced) => None,
        };
        if next == subscription.planned {
            return;
        }
        self.unplan(id);
        match next {
            Some(Plan::At(at_ms)) => drop(self.due.insert((at_ms, id.clone()))),
            Some(Plan::WithRoom(at_ms)) => drop(self.due_with_room.insert((at_ms, id.clone()))),
            None => {}
        }
        if let Some(subscription) = self.subscriptions.get_mut(id) {
            subscription.planned = next;
        }
    }

    pub(super) fn unplan(&mut self, id: &SubscriptionId) {
        let planned = self.subscriptions.get_mut(id).and_then(|subscription| subscription.planned.take());
        match planned {
            Some(Plan::At(at_ms)) => drop(self.due.remove(&(at_ms, id.clone()))),
            Some(Plan::WithRoom(at_ms)) => drop(self.due_with_room.remove(&(at_ms, id.clone()))),
            None => {}
        }
    }

    /// What is pending and counts: all but streams that patterns must not match now.
    fn counting<'a>(&'a self, subscription: &'a Subscription) -> impl Iterator<Item = &'a StreamPath> {
        let named = |path: &StreamPath| subscription.links.get(path).is_some_and(|link| link.explicit);
        subscription.pending.iter().filter(move |path| !self.is_wake_stream(path) || named(path))
    }

    pub(super) fn has_pending(&self, subscription: &Subscription) -> bool {
        self.counting(subscription).next().is_some()
    }

    /// What a worker gets to see: what is pending, then what is not, as much as there is room for.
    pub(super) fn snapshot(&self, subscription: &Subscription) -> Vec<StreamView> {
        let wake_streams_max = self.bounds.wake_streams_max;
        let pending = self.counting(subscription).filter_map(|path| subscription.view(path));
        let shown = |view: &StreamView| !view.pending && !self.is_wake_stream(&view.path);
        let others = subscription.links.keys().filter_map(|path| subscription.view(path)).filter(shown);
        pending.chain(others).take(wake_streams_max).collect()
    }

    /// One look at a subscription whose time has come: one step on its way.
    fn look(
        &mut self,
        ledger: &mut Ledger,
        id: &SubscriptionId,
        (now_ms, dice): (u64, f64),
        changes: &mut Vec<Change>,
    ) -> Option<Attempt> {
        let subscription = self.subscriptions.get(id)?;
        let pending = self.counting(subscription).next().cloned();
        let wake = match (&subscription.entry.wake, pending) {
            (Some(Stage::Held { .. }), _) | (Some(Stage::Due { .. }), None) => None,
            (Some(Stage::Due { attempts, .. }), Some(path)) if !subscription.is_webhook() => {
                let told = tell(ledger, subscription, &path, now_ms, changes);
                Some(self.told(told, *attempts, (now_ms, dice)))
            }
            (Some(Stage::Due { attempts, .. }), Some(_)) => match self.attempt(subscription, now_ms) {
                Some(attempt) => {
                    let subscription = self.subscriptions.get_mut(id)?;
                    subscription.attempt = Some(subscription.entry.generation);
                    return Some(attempt);
                }
                None => Some(self.told(false, *attempts, (now_ms, dice))),
            },
            (None, Some(_)) => {
                let subscription = self.subscriptions.get_mut(id)?;
                subscription.entry.generation += 1;
                Some(Stage::Due { attempts: 0, next_ms: now_ms })
            }
            (Some(Stage::Announced) | None, _) => return None,
        };
        let subscription = self.subscriptions.get_mut(id)?;
        subscription.entry.wake = wake;
        changes.push(kept(subscription));
        None
    }

    fn told(&self, told: bool, attempts: u32, (now_ms, dice): (u64, f64)) -> Stage {
        if told {
            return Stage::Announced;
        }
        let attempts = attempts.saturating_add(1);
        Stage::Due { attempts, next_ms: now_ms.saturating_add(self.retry_wait_ms(dice, attempts)) }
    }

    fn attempt(&self, subscription: &Subscription, now_ms: u64) -> Option<Attempt> {
        let Delivery::Webhook { url } = &subscription.entry.terms.delivery else { return None };
        let (kid, key) = self.signing_key()?;
        let token = subscription.token(self.secret.as_ref()?, now_ms.saturating_add(self.bounds.token_ttl_ms));
        let wake = WakeView {
            id: subscription.id.clone(),
            wake_id: subscription.wake_id(),
            generation: subscription.entry.generation,
            token,
            base: subscription.entry.base.clone(),
            streams: self.snapshot(subscription),
        };
        let (kid, key, nonce) = (kid.clone(), key.clone(), Arc::clone(&subscription.entry.nonce));
        Some(Attempt { url: url.clone(), wake, kid, key, nonce })
    }

    fn attempts_of(&self, id: &SubscriptionId) -> u32 {
        match self.subscriptions.get(id).and_then(|subscription| subscription.entry.wake.as_ref()) {
            Some(Stage::Due { attempts, .. }) => *attempts,
            Some(Stage::Held { .. } | Stage::Announced) | None => 0,
        }
    }

    /// How long to wait after so many failures: doubling up to a bound, a little more or less as the dice say.
    fn retry_wait_ms(&self, dice: f64, failures: u32) -> u64 {
        let doubled = RETRY_WAIT_MIN_MS.saturating_mul(1 << failures.saturating_sub(1).min(32));
        let wait_ms = doubled.min(self.bounds.retry_wait_max_ms);
        (wait_ms as f64 * (1.0 - JITTER + 2.0 * JITTER * dice)) as u64
    }
}

/// Everything that a call told of is done.
fn acknowledge(subscription: &mut Subscription, streams: &[StreamView], changes: &mut Vec<Change>) {
    for view in streams {
        let same = |link: &&mut super::subscription::Link| link.log == view.log && link.acked.unwrap_or(0) < view.tail;
        let Some(link) = subscription.links.get_mut(&view.path).filter(same) else { continue };
        link.acked = Some(view.tail);
        changes.push(link_kept(&subscription.id, &view.path, link));
        subscription.note(&view.path);
    }
}

/// Writes the event of a wake into its stream. Whether that takes it.
fn tell(
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
    let body = serde_json::to_vec(&event).expect("numbers and texts can be written to memory");
    let request = AppendRequest {
        content_type: ContentType::parse("application/json"),
        closed: false,
        seq: None,
        producer: None,
    };
    ledger.append(now_ms, path, &request, Content::new(body.into()), changes).is_ok()
}
