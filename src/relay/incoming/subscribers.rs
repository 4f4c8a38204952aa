//! Subscribers: services that cannot listen read their messages from a stream and acknowledge each.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::rules::{Holder, Leases, Offered};
use crate::message::{Message, MessageId, MessageName};
use crate::relay::dead_letters::DeadLetters;
use crate::relay::events::EventSender;
use crate::relay::{Config, Direction, Error};
use crate::sync::lock;

/// Interval at which leases are checked.
const SWEEP: Duration = Duration::from_millis(100);

/// Messages for subscribers, and the subscribers that are connected.
pub(in crate::relay) struct Subscribers {
    state: Mutex<State>,
    arrived: Notify,
    /// Names of messages that are queued even while no subscriber is connected.
    receives: Vec<MessageName>,
    ended: CancellationToken,
    dead_letters: Arc<DeadLetters>,
    events: EventSender,
}

struct State {
    leases: Leases,
    connected: Vec<Connected>,
    next_holder: Holder,
    /// True once subscribers end as soon as no message is left for them.
    draining: bool,
}

/// A connected subscriber and the names it reads; all, if there are none.
struct Connected {
    holder: Holder,
    names: Vec<MessageName>,
}

impl State {
    fn has_reader(&self, name: &MessageName) -> bool {
        self.connected.iter().any(|subscriber| reads(&subscriber.names, name))
    }
}

impl Subscribers {
    pub(in crate::relay) fn new(config: &Config, dead_letters: Arc<DeadLetters>, events: EventSender) -> Self {
        let lease = Duration::from_millis(config.subscriber_lease_ms);
        let leases = Leases::new(config.inbox_messages_max, lease, config.subscriber_deliveries_max);
        Self {
            state: Mutex::new(State { leases, connected: Vec::new(), next_holder: 1, draining: false }),
            arrived: Notify::new(),
            receives: config.receives.clone(),
            ended: CancellationToken::new(),
            dead_letters,
            events,
        }
    }

    /// Returns true if messages of this name are queued for subscribers: the configuration lists it, or a connected
    /// subscriber reads it.
    pub(super) fn accepts(&self, name: &MessageName) -> bool {
        self.receives.contains(name) || lock(&self.state).has_reader(name)
    }

    /// Queues a message. Returns false if the queue is full.
    pub(super) fn offer(&self, message: Message) -> bool {
        let queued = lock(&self.state).leases.offer(message);
        self.arrived.notify_waiters();
        queued
    }

    /// Number of messages that a connected subscriber holds or can still get.
    pub(in crate::relay) fn with_reader(&self) -> usize {
        let state = lock(&self.state);
        state.leases.count(|name| state.has_reader(name))
    }

    /// Number of messages that no connected subscriber reads.
    pub(in crate::relay) fn without_reader(&self) -> usize {
        let state = lock(&self.state);
        state.leases.count(|name| !state.has_reader(name))
    }

    /// Subscribes to messages of these names; to all, if there are none. Subscribers share the messages.
    pub(in crate::relay) fn subscribe(self: &Arc<Self>, names: Vec<MessageName>) -> Subscription {
        let mut state = lock(&self.state);
        let holder = state.next_holder;
        state.next_holder += 1;
        state.connected.push(Connected { holder, names: names.clone() });
        Subscription { subscribers: Arc::clone(self), holder, names }
    }

    /// Ends the lease of a message that was handled. Returns false if no subscriber holds it (any longer).
    pub(in crate::relay) fn acknowledge(&self, id: &MessageId) -> bool {
        lock(&self.state).leases.acknowledge(id)
    }

    /// Lets each subscription end once no message is left for it.
    pub(super) fn drain(&self) {
        lock(&self.state).draining = true;
        self.arrived.notify_waiters();
    }

    /// Ends all subscriptions.
    pub(in crate::relay) fn end(&self) {
        self.ended.cancel();
        self.arrived.notify_waiters();
    }

    /// Ends leases whose time is over, until [`Subscribers::end`].
    pub(in crate::relay) async fn expire_leases(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SWEEP) => {}
                () = self.ended.cancelled() => return,
            }
            let (given_up, notify) = {
                let mut state = lock(&self.state);
                let given_up = state.leases.expire(Instant::now());
                (given_up, state.leases.waiting() > 0 || state.draining)
            };
            for Offered { message, delivery } in given_up {
                let reason = format!("not acknowledged after {delivery} deliveries");
                tracing::warn!(message_id = %message.id, name = %message.name, reason, "message was not handled");
                self.dead_letters.add(&message, Direction::Incoming, reason.clone());
                self.events.error(Error::HandlerFailed { name: message.name, id: message.id, reason });
            }
            if notify {
                self.arrived.notify_waiters();
            }
        }
    }
}

/// Returns true if a subscriber of these names reads messages of this one.
fn reads(names: &[MessageName], name: &MessageName) -> bool {
    names.is_empty() || names.contains(name)
}

/// A connected subscriber. Dropping it returns its unacknowledged messages to the queue.
pub(crate) struct Subscription {
    subscribers: Arc<Subscribers>,
    holder: Holder,
    names: Vec<MessageName>,
}

impl Subscription {
    /// Waits for the next message, which is leased to this subscriber, and returns it with its number of deliveries so
    /// far, counted from 1. Returns `None` once the relay shuts down and every message for this subscriber is
    /// acknowledged, or the grace time is over. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<(Message, u32)> {
        let subscribers = &self.subscribers;
        loop {
            let arrived = subscribers.arrived.notified();
            if subscribers.ended.is_cancelled() {
                return None;
            }
            {
                let mut state = lock(&subscribers.state);
                if let Some(offered) = state.leases.take(self.holder, &self.names, Instant::now()) {
                    return Some((offered.message, offered.delivery));
                }
                if state.draining && state.leases.count(|name| reads(&self.names, name)) == 0 {
                    return None;
                }
            }
            arrived.await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        {
            let mut state = lock(&self.subscribers.state);
            state.connected.retain(|subscriber| subscriber.holder != self.holder);
            state.leases.release(self.holder);
        }
        self.subscribers.arrived.notify_waiters();
    }
}
