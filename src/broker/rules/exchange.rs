//! The broker's state machine: accepts messages, has them authorized, routed and traced.

mod authorizing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dispatcher::{Incoming, nobody};
use super::mailboxes::Mailboxes;
use super::{
    Attempt, Dispatcher, Effect, Endpoint, Envelope, InstanceKey, Lanes, Load, Note, Outcome, Reason, Registry,
    RoleFigures, SecurityAdapter, Tokens, Work,
};
use crate::broker::Error;
use crate::broker::config::Config;
use crate::broker::wire::{AbsentRow, InstanceRow, Landscape};
use crate::message::{FAILED, InstanceId, Message, MessageName, Registration, Role, Verdict};

/// Wait suggested to a sender while the broker shuts down.
const RETRY_AFTER_RESTART: Duration = Duration::from_secs(1);

/// The broker without its sockets. Each call takes the time and appends what is to be done to `effects`. `H` is the
/// caller's handle for an instance.
pub(crate) struct Exchange<H> {
    dispatcher: Dispatcher<H>,
    security: SecurityAdapter,
}

impl<H: Clone> Exchange<H> {
    /// `seed` determines the ids of the broker's own messages.
    pub(crate) fn new(config: Config, tokens: Arc<Tokens>, seed: u128) -> Self {
        Self { security: SecurityAdapter::new(&config, seed), dispatcher: Dispatcher::new(config, tokens) }
    }

    /// Registers an instance, or renews and updates the one of this id. Returns the key of a new one.
    /// Errors: [`Error::Token`], [`Error::Full`], [`Error::InstanceTaken`], [`Error::Draining`] for new ones.
    pub(crate) fn register(
        &mut self,
        now: Instant,
        registration: Registration,
        endpoint: Endpoint,
        handle: H,
        effects: &mut Vec<Effect<H>>,
    ) -> Result<Option<InstanceKey>, Error> {
        self.dispatcher.register(now, registration, endpoint, handle, effects)
    }

    /// Updates an instance behind a WebSocket. Errors: [`Error::Token`].
    pub(crate) fn renew(
        &mut self,
        now: Instant,
        key: InstanceKey,
        registration: Registration,
        effects: &mut Vec<Effect<H>>,
    ) -> Result<(), Error> {
        self.dispatcher.renew_socket(now, key, registration, effects)
    }

    /// Replaces the landscape; instances that registered themselves stay. Returns the keys of new services.
    /// Errors: [`Error::Full`], [`Error::Draining`]; then nothing has changed.
    pub(crate) fn configure(
        &mut self,
        now: Instant,
        landscape: &Landscape,
        handle: impl FnMut() -> H,
        effects: &mut Vec<Effect<H>>,
    ) -> Result<Vec<(InstanceKey, H)>, Error> {
        self.dispatcher.configure(now, landscape, handle, effects)
    }

    /// Takes an instance off the roster; its queue moves on. Returns true if it was there.
    pub(crate) fn leave(&mut self, now: Instant, role: &Role, id: &InstanceId, effects: &mut Vec<Effect<H>>) -> bool {
        let registry = self.registry();
        let key = registry.key_of(id).filter(|key| registry.get(*key).is_some_and(|instance| instance.role == *role));
        key.is_some_and(|key| self.dispatcher.retire(now, key, effects))
    }

    /// Takes an instance behind a WebSocket off the roster, if it is still there.
    pub(crate) fn disconnect(&mut self, now: Instant, key: InstanceKey, effects: &mut Vec<Effect<H>>) {
        self.dispatcher.retire(now, key, effects);
    }

    /// Accepts a message: checks that it may be sent, has it authorized if the landscape demands that, and routes it to
    /// one instance of every role that receives it.
    pub(crate) fn publish(
        &mut self,
        now: Instant,
        origin: Option<&InstanceId>,
        mut message: Message,
        effects: &mut Vec<Effect<H>>,
    ) -> Verdict {
        if self.dispatcher.is_draining() {
            return Verdict::Busy { retry_after: RETRY_AFTER_RESTART };
        }
        let origin = origin.filter(|id| self.registry().key_of(id).is_some());
        if std::mem::take(&mut message.properties.returned) {
            let given_back = origin.map(|origin| self.dispatcher.give_back(now, origin, message, effects));
            return given_back.unwrap_or(Verdict::NoReceivers);
        }
        if message.sender.is_none() {
            message.sender = self.registry().instance(origin).map(|instance| instance.role.clone());
        }
        if !self.dispatcher.mailboxes().may_answer(&message) {
            let sender = message.sender.clone();
            effects.push(Effect::Note(Note::Forbidden { sender: sender.clone(), name: message.name.clone() }));
            let detail = Error::Answer { sender, name: message.name.clone() }.to_string();
            return self.dispatcher.forbid(now, origin, &message, detail, effects);
        }
        if message.name.as_str() == FAILED
            && let Some(request) = message.response_to.clone()
            && self.dispatcher.mailboxes().is_awaited(&message)
        {
            // A failure is an answer that every receiver may give. Another receiver may still give a better one.
            if !self.mailboxes().is_final_failure(&request) {
                return Verdict::Accepted;
            }
            let correlation = self.dispatcher.correlate(now, origin, &mut message);
            return self.dispatcher.route(Incoming { now, origin, message, correlation }, effects);
        }
        if let Some(refused) = self.dispatcher.admit(now, origin, &mut message, effects) {
            return refused;
        }
        if !self.registry().permits(message.sender.as_ref(), &message.name) {
            let (sender, name) = (message.sender.clone(), message.name.clone());
            let sender_name = sender.as_ref().map_or("", Role::as_str);
            let detail = format!("service '{sender_name}' is not allowed to broadcast the message '{name}'");
            effects.push(Effect::Note(Note::Forbidden { sender, name }));
            return self.dispatcher.forbid(now, origin, &message, detail, effects);
        }
        let correlation = self.dispatcher.correlate(now, origin, &mut message);
        let incoming = Incoming { now, origin, message, correlation };
        match self.registry().needs_authorization() {
            true => self.authorize(incoming, effects),
            false => self.dispatcher.route(incoming, effects),
        }
    }

    /// Refuses a message for good.
    pub(crate) fn forbid(
        &self,
        now: Instant,
        origin: Option<&InstanceId>,
        message: &Message,
        detail: String,
        effects: &mut Vec<Effect<H>>,
    ) -> Verdict {
        self.dispatcher.forbid(now, origin, message, detail, effects)
    }

    /// Gives up a message that none of its receivers had capacity for.
    pub(crate) fn overflow(
        &mut self,
        now: Instant,
        origin: Option<&InstanceId>,
        message: Message,
        effects: &mut Vec<Effect<H>>,
    ) {
        self.dispatcher.give_up(now, origin, message, (nobody(), Reason::QueueFull), effects);
    }

    /// Queues a notice for the instance and role that sent a message. Its delivery is not reported.
    pub(crate) fn notify(
        &mut self,
        now: Instant,
        sender: (&InstanceId, Option<&Role>),
        message: Message,
        effects: &mut Vec<Effect<H>>,
    ) {
        if !self.is_draining() || self.registry().key_of(sender.0).is_some() {
            self.mailboxes().notify(now, sender, message, effects);
        }
    }

    /// Takes back an envelope that an instance in this process was too busy for.
    pub(crate) fn put_back(
        &mut self,
        now: Instant,
        key: InstanceKey,
        envelope: Envelope,
        effects: &mut Vec<Effect<H>>,
    ) {
        self.mailboxes().put_back(now, key, envelope, effects);
    }

    /// Returns the next step of an instance's courier. A batch counts as in delivery until
    /// [`Exchange::record_outcome`].
    pub(crate) fn take(&mut self, now: Instant, key: InstanceKey, lanes: Lanes, effects: &mut Vec<Effect<H>>) -> Work {
        self.mailboxes().take(now, key, lanes, effects)
    }

    /// Ends the delivery that [`Exchange::take`] has started. Returns the delivered messages.
    pub(crate) fn record_outcome(
        &mut self,
        now: Instant,
        key: InstanceKey,
        attempt: Attempt,
        effects: &mut Vec<Effect<H>>,
    ) -> Vec<Envelope> {
        self.mailboxes().record_outcome(now, key, attempt, effects)
    }

    /// Ends a delivery that [`Exchange::take`] has started beside others. Returns the delivered messages.
    pub(crate) fn record_single(
        &mut self,
        now: Instant,
        (key, sequence): (InstanceKey, u64),
        attempt: Attempt,
        effects: &mut Vec<Effect<H>>,
    ) -> Vec<Envelope> {
        self.mailboxes().conclude_single(key, sequence);
        self.record_outcome(now, key, attempt, effects)
    }

    /// Records that an instance in this process has the envelope and will answer later, through
    /// [`Exchange::complete_deferred`]. Returns the envelope if the instance is gone.
    pub(crate) fn defer(&mut self, key: InstanceKey, envelope: Envelope) -> Option<Envelope> {
        self.mailboxes().defer(key, envelope)
    }

    /// Records the answer to a deferred envelope. Returns it if it was delivered.
    pub(crate) fn complete_deferred(
        &mut self,
        now: Instant,
        envelope: (InstanceKey, u64),
        outcome: Outcome,
        effects: &mut Vec<Effect<H>>,
    ) -> Option<Envelope> {
        self.mailboxes().complete_deferred(now, envelope, outcome, effects)
    }

    /// Handles everything that is due: leases, delivery windows, held messages, idle conversations. Returns the
    /// instances whose lease has ended.
    pub(crate) fn sweep(&mut self, now: Instant, effects: &mut Vec<Effect<H>>) -> Vec<(Role, Option<InstanceId>)> {
        let ended = self.dispatcher.sweep(now, effects);
        let hold = self.security.hold_time();
        for held in self.security.expire(now) {
            self.refuse(held, Reason::NotAuthorized { hold }, effects);
        }
        ended
    }

    /// Refuses messages and new instances from now on, and gives up what waits for absent roles.
    pub(crate) fn drain(&mut self, effects: &mut Vec<Effect<H>>) {
        self.dispatcher.drain(effects);
    }

    /// Gives up everything that is not delivered.
    pub(crate) fn close(&mut self, effects: &mut Vec<Effect<H>>) {
        self.security.drain().into_iter().for_each(|held| self.refuse(held, Reason::Closed, effects));
        self.mailboxes().close(effects);
    }

    /// Returns the number of messages that were accepted and are neither delivered nor given up.
    pub(crate) fn unfinished(&self) -> usize {
        self.load().messages + self.security.held_len()
    }

    /// Counts one more follower of the traffic, until [`Exchange::unfollow`].
    pub(crate) fn follow(&mut self) {
        self.dispatcher.tracer_mut().follow();
    }

    /// Counts one follower less.
    pub(crate) fn unfollow(&mut self) {
        self.dispatcher.tracer_mut().unfollow();
    }

    /// Returns the known services, for lookups and listings.
    pub(crate) fn registry(&self) -> &Registry<H> {
        self.dispatcher.mailboxes().registry()
    }

    /// Returns every instance.
    pub(crate) fn instances(&self, now: Instant) -> Vec<InstanceRow> {
        self.registry().instances(now, |key| self.dispatcher.mailboxes().queues().view(key))
    }

    /// Returns the roles without an instance, and what waits for them.
    pub(crate) fn absent(&self, now: Instant) -> Vec<AbsentRow> {
        self.registry().absent(now, self.dispatcher.mailboxes().queues().backlogs())
    }

    /// Returns the number of undelivered messages and their size.
    pub(crate) fn load(&self) -> Load {
        self.dispatcher.mailboxes().queues().load()
    }

    /// Returns the time for which the oldest message has been waiting for its receiver.
    pub(crate) fn longest_wait(&self, now: Instant) -> Option<Duration> {
        self.dispatcher.mailboxes().queues().oldest().map(|accepted| now.saturating_duration_since(accepted))
    }

    /// Returns the figures of every role that is present or has messages waiting, in order.
    pub(crate) fn figures_by_role(&self, now: Instant) -> Vec<(Role, RoleFigures)> {
        let (registry, queues) = (self.registry(), self.dispatcher.mailboxes().queues());
        let mut roles: BTreeMap<Role, RoleFigures> = BTreeMap::new();
        let mut add = |role: &Role, instances, (messages, oldest): (usize, Option<Instant>)| {
            let figures = roles.entry(role.clone()).or_default();
            figures.instances += instances;
            figures.messages += messages;
            let oldest = oldest.map(|accepted| now.saturating_duration_since(accepted)).unwrap_or_default();
            figures.oldest = figures.oldest.max(oldest);
        };
        registry.present().for_each(|(key, instance)| add(&instance.role, 1, queues.waiting(key)));
        queues.waiting_for_absent().for_each(|(role, waiting)| add(role, 0, waiting));
        roles.into_iter().collect()
    }

    /// Returns the number of requests that wait for their replies.
    pub(crate) fn open_requests(&self) -> usize {
        self.dispatcher.mailboxes().conversations().open_requests()
    }

    /// Returns false if no service receives messages that the instance `origin` calls `name`, present or absent.
    pub(crate) fn may_receive(&self, now: Instant, origin: &InstanceId, name: &MessageName) -> bool {
        let sender = self.registry().instance(Some(origin)).map(|instance| &instance.role);
        self.dispatcher.may_receive(now, Some(origin), sender, name)
    }

    /// Returns true if it refuses messages because it shuts down.
    pub(crate) fn is_draining(&self) -> bool {
        self.dispatcher.is_draining()
    }

    /// Returns the number of remembered messages and conversations.
    #[cfg(test)]
    pub(super) fn conversations_len(&self) -> usize {
        self.dispatcher.mailboxes().conversations().len()
    }

    /// Returns the number of held messages and open requests of the security service.
    #[cfg(test)]
    pub(super) fn security_len(&self) -> usize {
        self.security.len()
    }

    fn mailboxes(&mut self) -> &mut Mailboxes<H> {
        self.dispatcher.mailboxes_mut()
    }
}
