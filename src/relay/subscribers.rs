//! Subscribers: services that cannot listen take their messages from a stream, and acknowledge each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::rules::{Direction, Leases, Offered};
use super::{Config, Error, Relay};
use crate::message::{Message, MessageId, MessageName};

/// How often leases are looked at.
const SWEEP: Duration = Duration::from_millis(100);

/// The queue that subscribers take from.
pub(super) struct Subscribers {
    leases: Mutex<Leases>,
    arrived: Notify,
    holders: AtomicU64,
    connected: Mutex<Vec<(u64, Vec<MessageName>)>>,
    receives: Vec<MessageName>,
}

impl Subscribers {
    pub(super) fn new(config: &Config) -> Self {
        let lease = Duration::from_millis(config.subscriber_lease_ms);
        let leases = Leases::new(config.inbox_messages_max, lease, config.subscriber_deliveries_max);
        Self {
            leases: Mutex::new(leases),
            arrived: Notify::new(),
            holders: AtomicU64::new(1),
            connected: Mutex::default(),
            receives: config.receives.clone(),
        }
    }

    /// Whether messages of this name are kept for subscribers: the relay is set to receive them, or somebody has
    /// subscribed to them.
    pub(super) fn wants(&self, name: &MessageName) -> bool {
        self.receives.contains(name) || self.connected().iter().any(|(_, names)| takes(names, name))
    }

    /// Queues a message. `false` if there is no room.
    pub(super) fn offer(&self, message: Message) -> bool {
        let queued = self.leases().offer(message);
        self.arrived.notify_waiters();
        queued
    }

    /// Messages that a connected subscriber has not acknowledged or can still get.
    pub(super) fn followed(&self) -> usize {
        let connected = self.connected().clone();
        self.leases().count(|name| connected.iter().any(|(_, names)| takes(names, name)))
    }

    /// Messages that no connected subscriber wants.
    pub(super) fn unfollowed(&self) -> usize {
        let connected = self.connected().clone();
        self.leases().count(|name| !connected.iter().any(|(_, names)| takes(names, name)))
    }

    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connected(&self) -> MutexGuard<'_, Vec<(u64, Vec<MessageName>)>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a subscriber of these names takes messages of this one.
fn takes(names: &[MessageName], name: &MessageName) -> bool {
    names.is_empty() || names.contains(name)
}

/// One connected subscriber. Dropping it gives back what it holds unacknowledged.
pub(crate) struct Subscription {
    relay: Relay,
    holder: u64,
    names: Vec<MessageName>,
}

impl Subscription {
    /// The next message, and how often it was given out so far (from 1). It is leased to this subscriber. `None` once
    /// the relay shuts down and everything for this subscriber is acknowledged, or the grace time is over. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<(Message, u32)> {
        let subscribers = self.relay.subscribers();
        loop {
            let arrived = subscribers.arrived.notified();
            if self.relay.is_closing() {
                return None;
            }
            let taken = subscribers.leases().take(self.holder, &self.names, Instant::now());
            if let Some(Offered { message, delivery }) = taken {
                return Some((message, delivery));
            }
            if self.relay.is_leaving() && subscribers.leases().count(|name| takes(&self.names, name)) == 0 {
                return None;
            }
            arrived.await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let subscribers = self.relay.subscribers();
        subscribers.connected().retain(|(holder, _)| *holder != self.holder);
        subscribers.leases().release(self.holder);
        subscribers.arrived.notify_waiters();
    }
}

impl Relay {
    /// Subscribes to messages of these names; to all, if there are none. Several subscribers share the messages.
    pub(crate) fn subscribe(&self, names: Vec<MessageName>) -> Subscription {
        let subscribers = self.subscribers();
        let holder = subscribers.holders.fetch_add(1, Ordering::Relaxed);
        subscribers.connected().push((holder, names.clone()));
        Subscription { relay: self.clone(), holder, names }
    }

    /// A subscriber has handled the message. `false` if it is not leased to anybody (any more).
    pub(crate) fn acknowledge(&self, id: &MessageId) -> bool {
        self.subscribers().leases().acknowledge(id)
    }

    /// Ends leases that are over, until the relay is closed.
    pub(super) async fn expire_leases(self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SWEEP) => {}
                () = self.outbox_closing() => break,
            }
            let given_up = self.subscribers().leases().expire(Instant::now());
            for message in given_up {
                let reason = "no subscriber acknowledged it in time, as often as is allowed".to_owned();
                tracing::warn!(message_id = %message.id, name = %message.name, reason, "message was not handled");
                self.bury(&message, Direction::Incoming, reason.clone());
                let (name, id) = (message.name.clone(), message.id.clone());
                self.announce_error(Error::HandlerFailed { name, id, reason });
            }
            if self.subscribers().leases().waiting() > 0 || self.is_leaving() {
                self.subscribers().arrived.notify_waiters();
            }
        }
        self.subscribers().arrived.notify_waiters();
    }
}
