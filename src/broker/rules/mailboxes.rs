//! Instances with their queues: gives envelopes to instances, and moves them when instances leave.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use super::selection::{Correlation, Plan, Recipient};
use super::{
    Attempt, Batch, Conversations, Effect, Envelope, Instance, InstanceKey, Outcome, QueueLimits, Queues, Reason,
    Registry, Routed, Work, bytes_of,
};
use crate::broker::config::Config;
use crate::broker::wire::Landscape;
use crate::message::{InstanceId, Message, MessageId, MessageName, Role};

/// The registry, the queues and the conversations, kept in step with each other.
pub(super) struct Mailboxes<H> {
    config: Config,
    registry: Registry<H>,
    queues: Queues,
    conversations: Conversations,
    next_sequence: u64,
}

impl<H: Clone> Mailboxes<H> {
    pub(super) fn new(config: Config) -> Self {
        Self {
            registry: Registry::new(&config),
            queues: Queues::new(QueueLimits::of(&config)),
            conversations: Conversations::new(config.conversations_max, config.conversation_idle()),
            next_sequence: 0,
            config,
        }
    }

    pub(super) fn registry(&self) -> &Registry<H> {
        &self.registry
    }

    pub(super) fn conversations(&self) -> &Conversations {
        &self.conversations
    }

    pub(super) fn queues(&self) -> &Queues {
        &self.queues
    }

    pub(super) fn add(&mut self, instance: Instance<H>) -> InstanceKey {
        let key = self.registry.add(instance);
        self.queues.open(key);
        key
    }

    /// Updates an instance, and the names of its queued messages.
    pub(super) fn renew(&mut self, key: InstanceKey, new: Instance<H>, effects: &mut Vec<Effect<H>>) {
        if self.registry.renew(key, new) {
            self.rename_queued(key);
        }
        // It is alive: retry now what would wait for the next attempt.
        self.wake(key, effects);
    }

    /// Puts a landscape into force.
    pub(super) fn declare(&mut self, landscape: &Landscape) {
        for key in self.registry.declare(landscape) {
            self.rename_queued(key);
        }
    }

    /// Takes an instance off the roster; its queue moves on as soon as no delivery is in progress. Returns the public
    /// names that its role no longer receives.
    pub(super) fn retire(&mut self, now: Instant, key: InstanceKey, effects: &mut Vec<Effect<H>>) -> Vec<MessageName> {
        self.wake(key, effects);
        let unserved = self.registry.retire(key);
        if !self.queues.is_delivering(key) {
            self.remove(now, key, effects);
        }
        unserved
    }

    /// Gives up the envelopes whose delivery window has passed, and forgets idle conversations.
    pub(super) fn sweep(&mut self, now: Instant, effects: &mut Vec<Effect<H>>) {
        let late = self.queues.expire(now);
        self.give_up_late(late, effects);
        self.conversations.sweep(now);
    }

    /// Gives up everything that is not delivered. Returns the number of messages.
    pub(super) fn close(&mut self, effects: &mut Vec<Effect<H>>) -> usize {
        let left = self.queues.drain();
        let count = left.len();
        left.into_iter().for_each(|envelope| Effect::give_up(envelope, Reason::Closed, effects));
        count
    }

    /// Returns the receivers of a message that are present.
    pub(super) fn plan(
        &mut self,
        now: Instant,
        origin: Option<&InstanceId>,
        message: &Message,
        correlation: Correlation,
    ) -> Plan {
        let public = self.registry.public_name(origin, message.sender.as_ref(), &message.name);
        let conversation = self.conversations.conversation_of(now, message);
        let requester = message.response_to.as_ref().and_then(|id| self.conversations.sender(now, id));
        let requester = requester.and_then(|id| self.registry.key_of(id));
        let context = (self.conversations.participants(now, &conversation), self.config.compat);
        let mut recipients = Vec::new();
        let length = |key| self.queues.len(key);
        self.registry.select(&public, (requester, correlation), context, length, &mut recipients);
        Plan { public, conversation, recipients }
    }

    /// Returns true if the message has receivers, and none of them takes another message.
    pub(super) fn is_busy(&self, plan: &Plan, message: &Message) -> bool {
        let mut recipients = plan.recipients.iter();
        !plan.recipients.is_empty() && !recipients.any(|recipient| self.takes(recipient.key, bytes_of(message)))
    }

    /// Records the message in its conversation.
    pub(super) fn record(&mut self, now: Instant, origin: Option<&InstanceId>, id: &MessageId, plan: &Plan) {
        let key = origin.and_then(|id| self.registry.key_of(id));
        let receivers = plan.recipients.iter().map(|recipient| recipient.key);
        self.conversations.record(now, id, &plan.conversation, origin, key, receivers);
    }

    /// Hands the message to its receivers.
    pub(super) fn deliver(
        &mut self,
        now: Instant,
        origin: Option<&InstanceId>,
        message: &Message,
        plan: Plan,
        effects: &mut Vec<Effect<H>>,
    ) {
        for Recipient { key, role, name, requested } in plan.recipients {
            let id = self.registry.get(key).and_then(|instance| instance.id.as_ref());
            let only = id.filter(|_| requested).cloned();
            let message = Message { name, ..message.clone() };
            let envelope = self.envelope(now, (message, plan.public.clone()), role, origin);
            self.hand_over(key, Envelope { only, ..envelope }, effects);
        }
    }

    /// Sends a message to one instance of a role, or queues it for the role. Returns false if the role is absent.
    pub(super) fn send_to_role(
        &mut self,
        now: Instant,
        role: &Role,
        message: Message,
        effects: &mut Vec<Effect<H>>,
    ) -> bool {
        let conversation = message.conversation();
        let participants = self.conversations.participants(now, &conversation);
        let length = |key| self.queues.len(key);
        let selected = self.registry.select_of(role, &message.name, participants, length);
        let (public, id) = (message.name.clone(), message.id.clone());
        let envelope = self.envelope(now, (message, public), role.clone(), None);
        match selected {
            Some((key, _)) => {
                self.conversations.record(now, &id, &conversation, None, None, std::iter::once(key));
                self.hand_over(key, envelope, effects);
                true
            }
            None => {
                self.queue_for_role(envelope, effects);
                false
            }
        }
    }

    /// Queues a message for one instance, if it is there and takes it. A failed delivery is not reported.
    pub(super) fn notify(&mut self, now: Instant, id: &InstanceId, message: Message, effects: &mut Vec<Effect<H>>) {
        let Some(key) = self.registry.key_of(id) else { return };
        let Some(instance) = self.registry.get(key).filter(|instance| instance.is_local() || instance.batch) else {
            return;
        };
        let role = instance.role.clone();
        if self.takes(key, bytes_of(&message)) {
            let public = message.name.clone();
            let envelope = self.envelope(now, (message, public), role, None);
            self.enqueue(key, Envelope { only: Some(id.clone()), reported: false, ..envelope }, effects);
        }
    }

    /// See [`super::Exchange::take`].
    pub(super) fn take(&mut self, now: Instant, key: InstanceKey, effects: &mut Vec<Effect<H>>) -> Work {
        let instance = match self.registry.get(key) {
            // The task ends when it has seen the answers to what the instance already has.
            Some(instance) if instance.gone && self.queues.has_deferred(key) => return Work::Nothing,
            Some(instance) if !instance.gone => instance,
            Some(_) | None => return Work::Gone,
        };
        let together = instance.takes_batches();
        let messages_max = if together { self.config.batch_messages_max } else { 1 };
        let (messages, timings, late) = self.queues.take(key, (messages_max, self.config.batch_bytes_max), now);
        let address = instance.address().cloned();
        self.give_up_late(late, effects);
        match messages.is_empty() {
            true => Work::Nothing,
            false => Work::Batch(Batch { address, together, messages, timings }),
        }
    }

    /// See [`super::Exchange::record_outcome`].
    pub(super) fn record_outcome(
        &mut self,
        now: Instant,
        key: InstanceKey,
        attempt: Attempt,
        effects: &mut Vec<Effect<H>>,
    ) -> usize {
        let (delivered, rejected) = self.queues.record_outcome(key, attempt);
        for (envelope, reason) in rejected {
            Effect::give_up(envelope, reason, effects);
        }
        self.remove_if_gone(now, key, effects);
        delivered
    }

    /// See [`super::Exchange::defer`].
    pub(super) fn defer(&mut self, key: InstanceKey, envelope: Envelope) -> Option<Envelope> {
        self.queues.defer(key, envelope)
    }

    /// See [`super::Exchange::complete_deferred`].
    pub(super) fn complete_deferred(
        &mut self,
        now: Instant,
        (key, sequence): (InstanceKey, u64),
        outcome: Outcome,
        effects: &mut Vec<Effect<H>>,
    ) -> bool {
        let Some(mut envelope) = self.queues.complete_deferred(key, sequence) else { return false };
        let is_delivered = outcome == Outcome::Delivered;
        match outcome {
            Outcome::Delivered => {}
            Outcome::Rejected(reason) => Effect::give_up(envelope, reason, effects),
            Outcome::Retry(_) => {
                envelope.tries += 1;
                // The courier is the one that reports this outcome; it need not be woken.
                self.queues.insert(key, envelope);
            }
        }
        self.remove_if_gone(now, key, effects);
        is_delivered
    }

    /// See [`super::Exchange::put_back`].
    pub(super) fn put_back(
        &mut self,
        now: Instant,
        key: InstanceKey,
        envelope: Envelope,
        effects: &mut Vec<Effect<H>>,
    ) {
        match self.registry.get(key) {
            Some(instance) if !instance.gone => match self.queues.fits(key, &envelope) {
                true => self.enqueue(key, envelope, effects),
                false => Effect::give_up(envelope, Reason::QueueFull, effects),
            },
            Some(_) | None => self.reroute(now, VecDeque::from([envelope]), effects),
        }
    }

    pub(super) fn envelope(
        &mut self,
        accepted: Instant,
        (message, public): (Message, MessageName),
        role: Role,
        origin: Option<&InstanceId>,
    ) -> Envelope {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let response_time = message.response_to.as_ref().and_then(|id| self.conversations.age(accepted, id));
        let (only, origin, reported, logged, tries) = (None, origin.cloned(), true, true, 0);
        Envelope { sequence, accepted, message, public, role, only, origin, response_time, reported, logged, tries }
    }

    fn queue_for_role(&mut self, envelope: Envelope, effects: &mut Vec<Effect<H>>) {
        if !envelope.reported {
            return;
        }
        if let Some(envelope) = self.queues.insert_backlog(envelope) {
            Effect::give_up(envelope, Reason::QueueFull, effects);
        }
    }

    /// Queues an envelope for its absent role, unless that has its share already.
    pub(super) fn queue_for_absent(&mut self, envelope: Envelope, effects: &mut Vec<Effect<H>>) {
        match self.queues.has_backlog_capacity(&envelope.role, envelope.bytes()) {
            true => self.queue_for_role(envelope, effects),
            false => Effect::give_up(envelope, Reason::QueueFull, effects),
        }
    }

    /// Gives the backlog of a role to its instances.
    pub(super) fn serve_backlog(&mut self, now: Instant, role: &Role, effects: &mut Vec<Effect<H>>) {
        let backlog = self.queues.take_backlog(role);
        self.reroute(now, backlog, effects);
    }

    /// Gives envelopes, in order, to instances of their roles, or queues them for the roles.
    pub(super) fn reroute(&mut self, now: Instant, envelopes: VecDeque<Envelope>, effects: &mut Vec<Effect<H>>) {
        let mut receivers = BTreeSet::new();
        for mut envelope in envelopes {
            let Some((key, name)) = self.receiver_of(now, &envelope) else {
                self.queue_for_role(envelope, effects);
                continue;
            };
            if !self.queues.fits(key, &envelope) {
                Effect::give_up(envelope, Reason::QueueFull, effects);
                continue;
            }
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
        if let Some(key) = envelope.only.as_ref().and_then(|id| self.registry.key_of(id)) {
            return Some((key, envelope.message.name.clone()));
        }
        let Envelope { message, role, public, .. } = envelope;
        let conversation = self.conversations.conversation_of(now, message);
        let participants = self.conversations.participants(now, &conversation);
        let length = |key| self.queues.len(key);
        let (key, name) = self.registry.select_of(role, public, participants, length)?;
        self.conversations.record(now, &message.id, &conversation, None, None, std::iter::once(key));
        Some((key, name))
    }

    /// Returns true if the instance takes a new message of `bytes`: at once, or into its queue.
    fn takes(&self, key: InstanceKey, bytes: usize) -> bool {
        let is_at_once = self.registry.get(key).is_some_and(Instance::is_local) && self.queues.is_idle(key);
        is_at_once || self.queues.has_capacity(key, bytes)
    }

    /// Gives the envelope to the instance: at once if it is in this process and idle, otherwise into its queue.
    fn hand_over(&mut self, key: InstanceKey, envelope: Envelope, effects: &mut Vec<Effect<H>>) {
        match self.registry.get(key) {
            Some(instance) if instance.is_local() && self.queues.is_idle(key) => {
                effects.push(Effect::Deliver { handle: instance.handle.clone(), key, envelope });
            }
            Some(_) if self.queues.has_capacity(key, envelope.bytes()) => self.enqueue(key, envelope, effects),
            Some(_) | None => Effect::give_up(envelope, Reason::QueueFull, effects),
        }
    }

    fn enqueue(&mut self, key: InstanceKey, envelope: Envelope, effects: &mut Vec<Effect<H>>) {
        if self.queues.insert(key, envelope) {
            self.wake(key, effects);
        }
    }

    /// Removes an instance that has left, once no delivery is in progress.
    fn remove_if_gone(&mut self, now: Instant, key: InstanceKey, effects: &mut Vec<Effect<H>>) {
        if self.registry.get(key).is_some_and(|instance| instance.gone) && !self.queues.is_delivering(key) {
            self.remove(now, key, effects);
        }
    }

    /// Removes an instance that has left and has no delivery in progress; its queue moves on.
    fn remove(&mut self, now: Instant, key: InstanceKey, effects: &mut Vec<Effect<H>>) {
        self.registry.remove(key);
        let envelopes = self.queues.close(key);
        self.reroute(now, envelopes, effects);
    }

    fn rename_queued(&mut self, key: InstanceKey) {
        self.queues.rename(key, |public| self.registry.internal_name(key, public));
    }

    fn wake(&self, key: InstanceKey, effects: &mut Vec<Effect<H>>) {
        if let Some(instance) = self.registry.get(key) {
            effects.push(Effect::Wake { handle: instance.handle.clone() });
        }
    }

    fn give_up_late(&self, late: Vec<(Envelope, Option<String>)>, effects: &mut Vec<Effect<H>>) {
        let window = self.config.delivery_window();
        for (envelope, last_failure) in late {
            Effect::give_up(envelope, Reason::Window { window, last_failure }, effects);
        }
    }
}
