//! Envelopes that move on: from an instance that leaves or whose service does not answer, and from the backlog of a role.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use super::Mailboxes;
use crate::broker::rules::{Effect, Envelope, InstanceKey, Reason, Routed, bytes_of};
use crate::message::{Message, MessageName, Role};

impl<H: Clone> Mailboxes<H> {
    pub(super) fn queue_for_role(&mut self, envelope: Envelope, effects: &mut Vec<Effect<H>>) {
        if self.is_draining {
            return Effect::give_up(envelope, Reason::Closed, effects);
        }
        if let Some(envelope) = self.queues.insert_backlog(envelope) {
            Effect::give_up(envelope, Reason::QueueFull, effects);
        }
    }

    /// Queues an envelope for its absent role, unless that has its share already.
    pub(in crate::broker::rules) fn queue_for_absent(&mut self, envelope: Envelope, effects: &mut Vec<Effect<H>>) {
        match self.queues.has_backlog_capacity(&envelope.role, envelope.bytes()) {
            true => self.queue_for_role(envelope, effects),
            false => Effect::give_up(envelope, Reason::QueueFull, effects),
        }
    }

    /// Gives the backlog of a role to its instances.
    pub(in crate::broker::rules) fn serve_backlog(&mut self, now: Instant, role: &Role, effects: &mut Vec<Effect<H>>) {
        let backlog = self.queues.take_backlog(role);
        self.reroute(now, backlog, effects);
    }

    /// Gives envelopes, in order, to instances of their roles, or queues them for the roles.
    pub(in crate::broker::rules) fn reroute(
        &mut self,
        now: Instant,
        envelopes: VecDeque<Envelope>,
        effects: &mut Vec<Effect<H>>,
    ) {
        self.reroute_from(now, None, envelopes, effects);
    }

    /// Like [`Mailboxes::reroute`]; what finds no other instance with capacity returns to the queue of `from`.
    fn reroute_from(
        &mut self,
        now: Instant,
        from: Option<InstanceKey>,
        envelopes: VecDeque<Envelope>,
        effects: &mut Vec<Effect<H>>,
    ) {
        let mut receivers = BTreeSet::new();
        for mut envelope in envelopes {
            let receiver = self.receiver_of(now, &envelope);
            let fits = receiver.as_ref().is_some_and(|(key, _)| self.queues.fits(*key, &envelope));
            let (key, name) = match (receiver, from) {
                (Some(receiver), _) if fits => receiver,
                (_, Some(from)) => {
                    self.queues.insert(from, envelope);
                    continue;
                }
                (Some(_), None) => {
                    Effect::give_up(envelope, Reason::QueueFull, effects);
                    continue;
                }
                (None, None) => {
                    self.queue_for_role(envelope, effects);
                    continue;
                }
            };
            let sent_as = std::mem::replace(&mut envelope.message.name, name);
            let is_late = !std::mem::replace(&mut envelope.logged, true);
            if is_late && self.config.log_messages {
                effects.push(Effect::Routed(Routed::late(&envelope, sent_as)));
            }
            self.queues.stage(key, envelope);
            receivers.insert(key);
        }
        for key in receivers {
            self.queues.merge_staged(key);
            self.wake(key, effects);
        }
    }

    /// Returns an instance for an envelope that was accepted before, and its name for the message.
    fn receiver_of(&mut self, now: Instant, envelope: &Envelope) -> Option<(InstanceKey, MessageName)> {
        let Envelope { message, role, public, .. } = envelope;
        let name_at = |key| if envelope.reported { self.registry.internal_name(key, public) } else { public.clone() };
        let only = envelope.only.as_ref().and_then(|id| self.registry.key_of(id));
        if let Some(key) = only.filter(|key| self.is_of(*key, role)) {
            return Some((key, name_at(key)));
        }
        if !envelope.reported {
            return self.registry.notice_taker(role).map(|key| (key, name_at(key)));
        }
        if envelope.urgent {
            // Only the instance that asked waits for it.
            return None;
        }
        let conversation = self.conversations.conversation_of(now, message);
        let participants = self.conversations.participants(now, &conversation);
        let ranking = |key| self.queues.ranking(key);
        let (key, name) = self.registry.select_of(role, public, participants, ranking)?;
        self.conversations.redirect(now, &message.id, &conversation, (key, role));
        Some((key, name))
    }

    /// Removes an instance that has left, once no delivery is in progress.
    pub(super) fn remove_if_gone(&mut self, now: Instant, key: InstanceKey, effects: &mut Vec<Effect<H>>) {
        if self.registry.get(key).is_some_and(|instance| instance.gone) && !self.queues.is_delivering(key) {
            self.remove(now, key, effects);
        }
    }

    /// Removes an instance that has left and has no delivery in progress; its queue moves on.
    pub(super) fn remove(&mut self, now: Instant, key: InstanceKey, effects: &mut Vec<Effect<H>>) {
        self.registry.remove(key);
        let envelopes = self.queues.close(key);
        self.reroute(now, envelopes, effects);
    }

    /// Moves what waits for instances whose service does not answer to healthy ones of the role, if there are any.
    pub(in crate::broker::rules) fn relieve(&mut self, now: Instant, role: &Role, effects: &mut Vec<Effect<H>>) {
        let instances = self.registry.keys_of(role);
        let (away, healthy): (Vec<_>, Vec<_>) = instances.iter().partition(|key| self.queues.is_away(**key));
        if healthy.is_empty() {
            return;
        }
        for key in away {
            let envelopes = self.queues.take_movable(key);
            self.reroute_from(now, Some(key), envelopes, effects);
        }
    }

    /// Gives a message that `key` gives back to a healthy instance of its role. Without one it waits for the next instance if
    /// `key` leaves; otherwise returns false.
    pub(in crate::broker::rules) fn give_back(
        &mut self,
        now: Instant,
        key: InstanceKey,
        mut message: Message,
        effects: &mut Vec<Effect<H>>,
    ) -> bool {
        let is_leaving = std::mem::take(&mut message.properties.leaving);
        let conversation = self.conversations.conversation_of(now, &message);
        if self.conversations.last_received(now, &conversation, key).is_none() {
            // It never had the message.
            return false;
        }
        let Some(role) = self.registry.get(key).map(|instance| instance.role.clone()) else { return false };
        let public = self.registry.received_name(key, &message.name);
        let ranking = |other| if other == key { usize::MAX } else { self.queues.ranking(other) };
        let other = self.registry.select_of(&role, &public, &[], ranking);
        let is_healthy = |other: InstanceKey| {
            other != key && !self.queues.is_away(other) && self.takes(other, bytes_of(&message), false)
        };
        let other = other.filter(|(other, _)| is_healthy(*other));
        let origin = self.conversations.sender(now, &message.id).cloned();
        match other {
            Some((other, name)) => {
                self.conversations.redirect(now, &message.id, &conversation, (other, &role));
                let message = Message { name, ..message };
                let envelope = self.envelope(now, (message, public), role, origin.as_ref());
                self.hand_over(other, envelope, effects);
                true
            }
            None if is_leaving => {
                let envelope = self.envelope(now, (message, public), role, origin.as_ref());
                self.queue_for_absent(envelope, effects);
                true
            }
            None => false,
        }
    }
}
