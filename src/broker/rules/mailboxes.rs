//! Instances with their queues: gives envelopes to instances.

mod moving;
mod notices;
mod roles;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::selection::{Correlation, Plan, Recipient};
use super::{
    Attempt, Batch, Conversations, Effect, Envelope, Exchanged, Instance, InstanceKey, Lanes, Note, Occupancy, Outcome,
    Portion, QueueLimits, Queues, Reason, Registry, Taken, Tokens, Work, bytes_of,
};
use crate::broker::config::Config;
use crate::broker::wire::Landscape;
use crate::message::{InstanceId, Message, MessageName, Role};

/// The registry, the queues and the conversations, kept in step with each other.
pub(super) struct Mailboxes<H> {
    config: Config,
    registry: Registry<H>,
    queues: Queues,
    conversations: Conversations,
    next_sequence: u64,
    /// True once nothing waits for absent roles any more.
    is_draining: bool,
}

impl<H: Clone> Mailboxes<H> {
    pub(super) fn new(config: Config, tokens: Arc<Tokens>) -> Self {
        Self {
            registry: Registry::new(&config, tokens),
            queues: Queues::new(QueueLimits::of(&config)),
            conversations: Conversations::new(&config),
            next_sequence: 0,
            is_draining: false,
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
        let is_away = instance.away;
        let key = self.registry.add(instance);
        self.queues.open(key);
        self.queues.set_away(key, is_away);
        key
    }

    /// Updates an instance, and the names of its queued messages.
    pub(super) fn renew(&mut self, key: InstanceKey, new: Instance<H>, effects: &mut Vec<Effect<H>>) {
        if let Some(old) = self.registry.get(key)
            && let Some(instance) = old.id.clone()
            && (&old.registered, &old.endpoint, old.away) != (&new.registered, &new.endpoint, new.away)
        {
            effects.push(Effect::Note(Note::Changed { role: old.role.clone(), instance }));
        }
        self.queues.set_away(key, new.away);
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

    /// Gives up everything that is not delivered.
    pub(super) fn close(&mut self, effects: &mut Vec<Effect<H>>) {
        let left = self.queues.drain();
        left.into_iter().for_each(|envelope| Effect::give_up(envelope, Reason::Closed, effects));
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
        let requester = self.asker(now, message).and_then(|id| self.registry.key_of(id));
        let requester = requester.filter(|key| self.may_be_asker(*key, message));
        let is_urgent = self.is_awaited(message);
        let context = (self.conversations.participants(now, &conversation), self.config.compat);
        let mut recipients = Vec::new();
        let ranking = |key| self.queues.ranking(key);
        self.registry.select(&public, (requester, correlation), context, ranking, &mut recipients);
        Plan { public, conversation, recipients, urgent: requester.filter(|_| is_urgent) }
    }

    /// Returns the instance that made the request which the message answers: the one that the reply names, since ids of
    /// different senders may be equal, else the one that is remembered.
    fn asker<'a>(&'a self, now: Instant, message: &'a Message) -> Option<&'a InstanceId> {
        let request = message.response_to.as_ref()?;
        let named = message.properties.to.as_ref().filter(|id| self.registry.key_of(id).is_some());
        named.or_else(|| self.conversations.sender(now, request))
    }

    /// Returns true if a requester waits for the message.
    pub(super) fn is_awaited(&self, message: &Message) -> bool {
        let is_open = message.response_to.as_ref().is_some_and(|request| self.conversations.is_open(request));
        is_open || message.properties.to.is_some()
    }

    /// Returns the instance and the role that wait for a reply and are not connected at the moment.
    pub(super) fn absent_asker(&self, now: Instant, message: &Message) -> Option<(InstanceId, Role)> {
        let request = message.response_to.as_ref()?;
        let role = self.conversations.asker_role(request)?;
        let asker = self.conversations.sender(now, request)?;
        self.registry.key_of(asker).is_none().then(|| (asker.clone(), role.clone()))
    }

    /// Returns true if the message has receivers, and none of them takes another message.
    pub(super) fn is_busy(&self, plan: &Plan, message: &Message) -> bool {
        let mut recipients = plan.recipients.iter();
        let takes = |key| self.takes(key, bytes_of(message), plan.urgent == Some(key));
        !plan.recipients.is_empty() && !recipients.any(|recipient| takes(recipient.key))
    }

    /// Records the message in its conversation; `absent` roles get it later.
    pub(super) fn record(
        &mut self,
        now: Instant,
        origin: Option<&InstanceId>,
        message: &Message,
        plan: &Plan,
        absent: &[Role],
    ) {
        let key = origin.and_then(|id| self.registry.key_of(id));
        let is_checked = message.properties.reply_to.is_some() && self.registry.tokens().are_set();
        let present = plan.recipients.iter().map(|recipient| &recipient.role);
        let answering = if is_checked { present.chain(absent).cloned().collect() } else { Vec::new() };
        let absent = absent.len();
        let receivers = plan.recipients.iter().map(|recipient| recipient.key);
        let conversation = &plan.conversation;
        self.conversations
            .record(now, Exchanged { message, conversation, origin: (origin, key), receivers, absent, answering });
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
            let only = id.filter(|_| requested || plan.urgent == Some(key)).cloned();
            let message = Message { name, ..message.clone() };
            let envelope = self.envelope(now, (message, plan.public.clone()), role, origin);
            let urgent = plan.urgent == Some(key);
            self.hand_over(key, Envelope { only, urgent, ..envelope }, effects);
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
        let ranking = |key| self.queues.ranking(key);
        let selected = self.registry.select_of(role, &message.name, participants, ranking);
        let (public, id) = (message.name.clone(), message.id.clone());
        let envelope = self.envelope(now, (message, public), role.clone(), None);
        match selected {
            Some((key, _)) => {
                self.conversations.redirect(now, &id, &conversation, (key, role));
                self.hand_over(key, envelope, effects);
                true
            }
            None => {
                self.queue_for_role(envelope, effects);
                false
            }
        }
    }

    /// See [`super::Exchange::take`].
    pub(super) fn take(&mut self, now: Instant, key: InstanceKey, lanes: Lanes, effects: &mut Vec<Effect<H>>) -> Work {
        let instance = match self.registry.get(key) {
            // The task ends when it has seen the answers to what the instance already has.
            Some(instance) if instance.gone && self.queues.has_deferred(key) => return Work::Nothing,
            Some(instance) if !instance.gone => instance,
            Some(_) | None => return Work::Gone,
        };
        let Config { batch_messages_max: messages_max, batch_bytes_max: bytes_max, deliveries_max, .. } = self.config;
        let portion = match instance.takes_batches() {
            true => Portion::Batch { messages_max, bytes_max },
            false => Portion::Single { deliveries_max },
        };
        let (Taken { messages, timings, single }, late) = self.queues.take(key, lanes, portion, now);
        let address = instance.address().cloned();
        self.give_up_late(late, effects);
        match messages.is_empty() {
            true => Work::Nothing,
            false => Work::Batch(Batch { address, single, messages, timings }),
        }
    }

    /// See [`super::Exchange::record_single`].
    pub(super) fn conclude_single(&mut self, key: InstanceKey, sequence: u64) {
        self.queues.conclude_single(key, sequence);
    }

    /// See [`super::Exchange::record_outcome`].
    pub(super) fn record_outcome(
        &mut self,
        now: Instant,
        key: InstanceKey,
        attempt: Attempt,
        effects: &mut Vec<Effect<H>>,
    ) -> Vec<Envelope> {
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
    ) -> Option<Envelope> {
        let mut envelope = self.queues.complete_deferred(key, sequence)?;
        let mut delivered = None;
        match outcome {
            Outcome::Delivered => delivered = Some(envelope),
            Outcome::Rejected(reason) => Effect::give_up(envelope, reason, effects),
            Outcome::Retry(_) => {
                envelope.tries += 1;
                // The courier is the one that reports this outcome; it need not be woken.
                self.queues.insert(key, envelope);
            }
        }
        self.remove_if_gone(now, key, effects);
        delivered
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
        Envelope {
            sequence,
            accepted,
            message,
            public,
            role,
            only: None,
            origin: origin.cloned(),
            response_time,
            reported: true,
            logged: true,
            urgent: false,
            tries: 0,
        }
    }

    /// Returns true if the instance takes a new message of `bytes`: at once, or into its queue.
    fn takes(&self, key: InstanceKey, bytes: usize, urgent: bool) -> bool {
        let is_local = || self.registry.get(key).is_some_and(Instance::is_local);
        match urgent {
            true => is_local() || self.queues.has_urgent_capacity(key, bytes),
            false => (is_local() && self.queues.is_idle(key)) || self.queues.has_capacity(key, bytes),
        }
    }

    /// Gives the envelope to the instance: at once if it is in this process and idle, or the envelope is urgent; otherwise
    /// into its queue.
    fn hand_over(&mut self, key: InstanceKey, envelope: Envelope, effects: &mut Vec<Effect<H>>) {
        match self.registry.get(key) {
            Some(instance) if instance.is_local() && (envelope.urgent || self.queues.is_idle(key)) => {
                effects.push(Effect::Deliver { handle: instance.handle.clone(), key, envelope });
            }
            Some(_) if self.takes(key, envelope.bytes(), envelope.urgent) => self.enqueue(key, envelope, effects),
            Some(_) | None => Effect::give_up(envelope, Reason::QueueFull, effects),
        }
    }

    fn enqueue(&mut self, key: InstanceKey, envelope: Envelope, effects: &mut Vec<Effect<H>>) {
        let urgent = envelope.urgent;
        let wakes = match self.queues.insert(key, envelope) {
            Occupancy::Idle => true,
            // A delivery may begin beside those in progress.
            Occupancy::Delivering => urgent || !self.registry.get(key).is_some_and(Instance::takes_batches),
            Occupancy::Waiting => urgent,
        };
        if wakes {
            self.wake(key, effects);
        }
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
