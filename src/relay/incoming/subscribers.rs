//! Subscribers: services that cannot listen read their messages from a stream and acknowledge each.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::failures::Failures;
use super::outcome::Failure;
use super::rules::{Holder, LeaseLimits, Leases, Offered};
use crate::memory::Share;
use crate::message::{Message, MessageId, MessageName, Role};
use crate::relay::dead_letters::DeadLetters;
use crate::relay::{Cause, Config, DeadLetterId};
use crate::sync::lock;

/// Interval at which leases are checked.
const SWEEP: Duration = Duration::from_millis(100);

/// Messages for subscribers, and the subscribers that are connected.
pub(in crate::relay) struct Subscribers {
    state: Mutex<State>,
    /// Names of messages that are queued even while no subscriber is connected.
    receives: Vec<MessageName>,
    ended: CancellationToken,
    dead_letters: Arc<DeadLetters>,
    failures: Arc<Failures>,
    /// Number of dead letters that are remembered for a late acknowledgement.
    given_up_max: usize,
}

struct State {
    leases: Leases<Arc<Notify>>,
    /// The latest messages that became dead letters because nobody acknowledged them.
    given_up: VecDeque<GivenUp>,
    /// True once subscribers end as soon as no message is left for them.
    draining: bool,
}

/// A message that became a dead letter because nobody acknowledged it.
struct GivenUp {
    id: MessageId,
    sender: Option<Role>,
    letter: DeadLetterId,
}

impl Subscribers {
    pub(super) fn new(config: &Config, dead_letters: Arc<DeadLetters>, failures: Arc<Failures>) -> Self {
        let limits = LeaseLimits {
            messages_max: config.inbox_messages_max,
            lease: Duration::from_millis(config.subscriber_lease_ms),
            deliveries_max: config.subscriber_deliveries_max,
            unacknowledged_max: config.subscriber_unacknowledged_max,
        };
        let leases = Leases::new(limits, Share::new(&config.memory, config.inbox_bytes_max));
        Self {
            state: Mutex::new(State { leases, given_up: VecDeque::new(), draining: false }),
            receives: config.receives.clone(),
            ended: CancellationToken::new(),
            dead_letters,
            failures,
            given_up_max: config.dead_letters_max,
        }
    }

    /// Returns true if messages of this name are queued for subscribers: the configuration lists it, or a connected
    /// subscriber reads it.
    pub(super) fn accepts(&self, name: &MessageName) -> bool {
        self.receives.contains(name) || lock(&self.state).leases.has_reader(name)
    }

    /// Queues a message. Returns false if the queue is full.
    pub(super) fn offer(&self, message: Message) -> bool {
        let woken = lock(&self.state).leases.offer(message, Instant::now());
        let queued = woken.is_some();
        wake(woken.unwrap_or_default());
        queued
    }

    /// Number of messages that wait for a subscriber.
    pub(in crate::relay) fn waiting(&self) -> usize {
        lock(&self.state).leases.waiting()
    }

    /// Returns the name of the message that has waited longest for a subscriber, and for how long.
    pub(in crate::relay) fn oldest(&self) -> Option<(MessageName, Duration)> {
        let state = lock(&self.state);
        let (name, since) = state.leases.oldest()?;
        Some((name.clone(), since.elapsed()))
    }

    /// Returns the requests that nobody has acknowledged.
    pub(super) fn requests(&self) -> Vec<Message> {
        let state = lock(&self.state);
        let requests = state.leases.messages().filter(|message| message.properties.reply_to.is_some());
        requests.cloned().collect()
    }

    /// Removes and returns the messages that no subscriber has at the moment.
    pub(super) fn take_unleased(&self) -> Vec<Message> {
        lock(&self.state).leases.take_unleased()
    }

    /// Removes the messages of this name, waiting or handed out, and returns their number.
    pub(in crate::relay) fn discard(&self, name: &MessageName) -> usize {
        let (count, woken) = lock(&self.state).leases.discard(name, Instant::now());
        wake(woken);
        count
    }

    /// Number of messages that a connected subscriber holds or can still get.
    pub(in crate::relay) fn with_reader(&self) -> usize {
        let leases = &lock(&self.state).leases;
        leases.count(|name| leases.has_reader(name))
    }

    /// Number of messages that no connected subscriber reads.
    pub(in crate::relay) fn without_reader(&self) -> usize {
        let leases = &lock(&self.state).leases;
        leases.count(|name| !leases.has_reader(name))
    }

    /// Subscribes to messages of these names; to all, if there are none. Subscribers share the messages: each gets at most
    /// `unacknowledged_max` (by default, and at most, the configured number) that it has not acknowledged.
    pub(in crate::relay) fn subscribe(
        self: &Arc<Self>,
        names: Vec<MessageName>,
        unacknowledged_max: Option<usize>,
    ) -> Subscription {
        let arrived = Arc::new(Notify::new());
        let holder = lock(&self.state).leases.connect(names, unacknowledged_max, Arc::clone(&arrived));
        Subscription { subscribers: Arc::clone(self), holder, arrived }
    }

    /// Number of connected subscribers.
    pub(in crate::relay) fn connected(&self) -> usize {
        lock(&self.state).leases.followers()
    }

    /// Records that a message was handled: one with this id that was handed to a subscriber, from this sender if one is
    /// given. Counts also after the lease, and for a message that has become a dead letter meanwhile. Returns false if there
    /// is none, or it was acknowledged before.
    pub(in crate::relay) fn acknowledge(&self, id: &MessageId, sender: Option<&Role>) -> bool {
        let mut state = lock(&self.state);
        if let Some(woken) = state.leases.acknowledge(id, sender, Instant::now()) {
            drop(state);
            wake(woken);
            return true;
        }
        let is_meant = |gone: &GivenUp| gone.id == *id && (sender.is_none() || gone.sender.as_ref() == sender);
        let Some(index) = state.given_up.iter().position(is_meant) else { return false };
        let gone = state.given_up.remove(index).expect("the index was just found");
        drop(state);
        let was_dead_letter = self.dead_letters.take(gone.letter).is_some();
        if was_dead_letter {
            tracing::info!(message_id = %id, "a dead letter was acknowledged after all, and is removed");
        }
        was_dead_letter
    }

    /// Takes a message back that its subscriber cannot handle: it is delivered again after the time of a lease, and this
    /// delivery counts as failed. Returns false if no subscriber has such a message.
    pub(in crate::relay) fn give_back(&self, id: &MessageId, sender: Option<&Role>) -> bool {
        let woken = lock(&self.state).leases.give_back(id, sender, Instant::now());
        let given_back = woken.is_some();
        wake(woken.unwrap_or_default());
        given_back
    }

    /// Lets each subscription end once no message is left for it.
    pub(super) fn drain(&self) {
        let mut state = lock(&self.state);
        state.draining = true;
        wake(state.leases.all());
    }

    /// Ends all subscriptions.
    pub(in crate::relay) fn end(&self) {
        self.ended.cancel();
        wake(lock(&self.state).leases.all());
    }

    /// Ends leases whose time is over, until [`Subscribers::end`].
    pub(in crate::relay) async fn expire_leases(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SWEEP) => {}
                () = self.ended.cancelled() => return,
            }
            self.expire();
        }
    }

    fn expire(&self) {
        let (given_up, mut woken) = lock(&self.state).leases.expire(Instant::now());
        for Offered { message, attempt } in given_up {
            let plural = if attempt == 1 { "delivery" } else { "deliveries" };
            // Not under the lock: a bus in this process may deliver the next message meanwhile.
            let reason = format!("not acknowledged after {attempt} {plural}");
            let letter = self.failures.report(&message, &Failure::new(Cause::NotAcknowledged, reason));
            let mut state = lock(&self.state);
            if state.given_up.len() >= self.given_up_max {
                state.given_up.pop_front();
            }
            state.given_up.push_back(GivenUp { id: message.id.clone(), sender: message.sender, letter });
        }
        let state = lock(&self.state);
        if state.draining {
            woken = state.leases.all();
        }
        drop(state);
        wake(woken);
    }
}

fn wake(woken: Vec<Arc<Notify>>) {
    for subscriber in woken {
        subscriber.notify_one();
    }
}

/// A connected subscriber. Dropping it returns its unacknowledged messages to the queue.
pub(crate) struct Subscription {
    subscribers: Arc<Subscribers>,
    holder: Holder,
    /// Notified when there may be a message for this subscriber, or it may have to end.
    arrived: Arc<Notify>,
}

impl Subscription {
    /// Waits for the next message, which is leased to this subscriber, and returns it with the number of this delivery,
    /// counted from 1. Waits also while the subscriber has as many unacknowledged messages as it may. Returns `None` once
    /// the relay shuts down and every message for this subscriber is acknowledged, or the grace time is over. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<(Message, u32)> {
        let subscribers = &self.subscribers;
        loop {
            if subscribers.ended.is_cancelled() {
                return None;
            }
            {
                let mut state = lock(&subscribers.state);
                if let Some(offered) = state.leases.take(self.holder, Instant::now()) {
                    return Some((offered.message, offered.attempt));
                }
                if state.draining && !state.leases.has_message_for(self.holder) {
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        wake(lock(&self.subscribers.state).leases.disconnect(self.holder, Instant::now()));
    }
}
