//! Registration and routing: which services are there, and which of them get a message, absent ones included.

mod receivers;
mod tracing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::mailboxes::Mailboxes;
use super::selection::{Correlation, Plan};
use super::startup::EarlyMessage;
use super::{Departed, Effect, Endpoint, Envelope, Instance, InstanceKey, Note, Reason, Startup, Tokens, Tracer};
use crate::broker::Error;
use crate::broker::config::Config;
use crate::broker::wire::{Fate, Landscape};
use crate::message::{InstanceId, Message, Registration, Role, Verdict};

/// A message and the instance that sent it, if that is known.
pub(super) struct Incoming<'a> {
    pub(super) now: Instant,
    pub(super) origin: Option<&'a InstanceId>,
    pub(super) message: Message,
    pub(super) correlation: Correlation,
}

/// Wait suggested to a sender whose receivers are all busy.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The absent roles that a message waits for.
struct Absentees {
    /// True if the message is accepted for a receiver that is absent, known or not.
    accepts: bool,
    /// The roles that are known.
    roles: Vec<Role>,
}

/// The mailboxes, the absent roles and the tracer: registers services and routes messages.
pub(super) struct Dispatcher<H> {
    config: Config,
    mailboxes: Mailboxes<H>,
    departed: Departed,
    startup: Startup,
    tracer: Tracer,
    is_draining: bool,
}

impl<H: Clone> Dispatcher<H> {
    pub(super) fn new(config: Config, tokens: Arc<Tokens>) -> Self {
        Self {
            mailboxes: Mailboxes::new(config.clone(), tokens),
            departed: Departed::default(),
            startup: Startup::new(config.settle(), config.queue_messages_max, config.queue_bytes_max, &config.memory),
            tracer: Tracer::new(&config),
            is_draining: false,
            config,
        }
    }

    pub(super) fn tracer_mut(&mut self) -> &mut Tracer {
        &mut self.tracer
    }

    pub(super) fn mailboxes(&self) -> &Mailboxes<H> {
        &self.mailboxes
    }

    pub(super) fn mailboxes_mut(&mut self) -> &mut Mailboxes<H> {
        &mut self.mailboxes
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining
    }

    pub(super) fn drain(&mut self, effects: &mut Vec<Effect<H>>) {
        self.is_draining = true;
        self.mailboxes.drain(effects);
    }

    /// See [`super::Exchange::register`].
    pub(super) fn register(
        &mut self,
        now: Instant,
        registration: Registration,
        endpoint: Endpoint,
        handle: H,
        effects: &mut Vec<Effect<H>>,
    ) -> Result<Option<InstanceKey>, Error> {
        // A service in this process need not prove to it who it is.
        if endpoint != Endpoint::Local {
            self.mailboxes.registry().check_token(&registration)?;
        }
        let known = self.mailboxes.registry().find(&registration)?;
        self.mailboxes.registry().check_memory(&registration, known)?;
        let instance = self.mailboxes.registry().describe(now, registration, endpoint, handle);
        let role = instance.role.clone();
        // A new socket, and a service in this process, bring a new handle: they replace the instance.
        let is_remote = |instance: &Instance<H>| instance.address().is_some();
        let renewed =
            known.filter(|key| is_remote(&instance) && self.mailboxes.registry().get(*key).is_some_and(is_remote));
        if let Some(key) = renewed {
            self.mailboxes.renew(key, instance, effects);
            self.serve_waiting(now, &role, effects);
            self.mailboxes.relieve(now, &role, effects);
            return Ok(None);
        }
        if self.is_draining {
            return Err(Error::Draining);
        }
        if let Some(key) = known {
            self.retire(now, key, effects);
        } else if self.mailboxes.registry().len() >= self.config.instances_max {
            return Err(Error::Full { instances_max: self.config.instances_max });
        }
        let key = self.mailboxes.add(instance);
        self.serve_waiting(now, &role, effects);
        self.mailboxes.relieve(now, &role, effects);
        Ok(Some(key))
    }

    /// See [`super::Exchange::renew`].
    pub(super) fn renew_socket(
        &mut self,
        now: Instant,
        key: InstanceKey,
        registration: Registration,
        effects: &mut Vec<Effect<H>>,
    ) -> Result<(), Error> {
        self.mailboxes.registry().check_token(&registration)?;
        self.mailboxes.registry().check_memory(&registration, Some(key))?;
        let Some(old) = self.mailboxes.registry().get(key) else { return Ok(()) };
        let (role, handle) = (old.role.clone(), old.handle.clone());
        let instance = self.mailboxes.registry().describe(now, registration, Endpoint::Socket, handle);
        self.mailboxes.renew(key, instance, effects);
        self.serve_waiting(now, &role, effects);
        self.mailboxes.relieve(now, &role, effects);
        Ok(())
    }

    /// See [`super::Exchange::configure`].
    pub(super) fn configure(
        &mut self,
        now: Instant,
        landscape: &Landscape,
        mut handle: impl FnMut() -> H,
        effects: &mut Vec<Effect<H>>,
    ) -> Result<Vec<(InstanceKey, H)>, Error> {
        if self.is_draining {
            return Err(Error::Draining);
        }
        self.mailboxes.registry().check_landscape(landscape)?;
        let posted = self.mailboxes.registry().posted();
        let services: Vec<_> =
            landscape.roles.iter().filter_map(|routes| Some((routes.address.clone()?, routes))).collect();
        if self.mailboxes.registry().present_len() - posted.len() + services.len() > self.config.instances_max {
            return Err(Error::Full { instances_max: self.config.instances_max });
        }
        for key in posted {
            let role = self.mailboxes.registry().get(key).map(|instance| &instance.role);
            if !services.iter().any(|(_, routes)| Some(&routes.role) == role) {
                self.retire(now, key, effects);
            }
        }
        let mut added = Vec::new();
        for (address, routes) in services {
            let handle = handle();
            let instance = Instance::posted(address, routes, handle.clone());
            match self.mailboxes.registry().posted_of(&routes.role) {
                Some(key) => self.mailboxes.renew(key, instance, effects),
                None => added.push((self.mailboxes.add(instance), handle)),
            }
        }
        self.mailboxes.declare(landscape);
        for role in self.mailboxes.registry().roles() {
            self.serve_waiting(now, &role, effects);
        }
        Ok(added)
    }

    /// Takes an instance off the roster, if it has not left; its queue moves on. Returns true if it was there.
    pub(super) fn retire(&mut self, now: Instant, key: InstanceKey, effects: &mut Vec<Effect<H>>) -> bool {
        let Some(instance) = self.mailboxes.registry().get(key).filter(|instance| !instance.gone) else { return false };
        let (role, is_local) = (instance.role.clone(), instance.is_local());
        let unserved = self.mailboxes.retire(now, key, effects);
        if !is_local {
            // A service in this process does not come back from a restart.
            let until = now + self.config.delivery_window();
            unserved.into_iter().for_each(|public| self.departed.left(&role, public, until));
        }
        true
    }

    /// Ends leases and delivery windows, the startup period and idle conversations. Returns the instances whose lease
    /// has ended.
    pub(super) fn sweep(&mut self, now: Instant, effects: &mut Vec<Effect<H>>) -> Vec<(Role, Option<InstanceId>)> {
        let mut ended = Vec::new();
        for key in self.mailboxes.registry().expired(now) {
            ended.extend(
                self.mailboxes.registry().get(key).map(|instance| (instance.role.clone(), instance.id.clone())),
            );
            self.retire(now, key, effects);
        }
        self.mailboxes.sweep(now, effects);
        for EarlyMessage { message, public, origin, accepted, .. } in self.startup.finish(now) {
            effects.push(Effect::Note(Note::NoReceivers { name: message.name.clone() }));
            let envelope = self.mailboxes.envelope(accepted, (message, public), nobody(), origin.as_ref());
            Effect::give_up(envelope, Reason::NoReceivers, effects);
        }
        self.departed.sweep(now);
        ended
    }

    /// Checks that one more request may be open, and that the message does not end a chain of messages that follow from one
    /// another and is too long to be anything but a loop. Returns the verdict if the message is refused.
    pub(super) fn admit(
        &self,
        now: Instant,
        origin: Option<&InstanceId>,
        message: &mut Message,
        effects: &mut Vec<Effect<H>>,
    ) -> Option<Verdict> {
        let conversations = self.mailboxes.conversations();
        if !conversations.has_capacity(message) {
            return Some(Verdict::Busy { retry_after: RETRY_AFTER });
        }
        message.properties.hops = conversations.hops(now, message);
        let hops_max = self.config.hops_max;
        if message.properties.hops <= hops_max || self.config.compat {
            return None;
        }
        let (name, activity) = (message.name.clone(), message.conversation());
        let detail = format!(
            "'{name}' ends a chain of more than {hops_max} messages that follow from one another, which is a loop \
             (broker.hops_max)"
        );
        effects.push(Effect::Note(Note::Loop { name, activity, hops_max }));
        self.forbid(now, origin, message, detail.clone(), effects);
        Some(Verdict::Refused { detail })
    }

    /// Completes what receivers of either dialect correlate replies by: the conversation, and the request. Services that
    /// know only conversations do not state the request.
    pub(super) fn correlate(&self, now: Instant, origin: Option<&InstanceId>, message: &mut Message) -> Correlation {
        let conversations = self.mailboxes.conversations();
        let mut correlation = Correlation::Stated;
        let key = origin.and_then(|id| self.mailboxes.registry().key_of(id));
        let states_none =
            |key: &InstanceKey| self.mailboxes.registry().get(*key).is_some_and(|other| !other.takes_replies());
        if let (None, Some(activity), Some(key)) = (&message.response_to, &message.activity_id, key.filter(states_none))
        {
            message.response_to = conversations.last_received(now, activity, key).cloned();
            correlation = Correlation::Inferred;
        }
        message.activity_id = Some(conversations.conversation_of(now, message));
        correlation
    }

    /// Routes a message that may be sent; notes it for the operator if nobody receives it.
    pub(super) fn route(&mut self, incoming: Incoming, effects: &mut Vec<Effect<H>>) -> Verdict {
        let verdict = self.send(&incoming, effects);
        if verdict == Verdict::NoReceivers {
            let Incoming { now, origin, message, .. } = incoming;
            self.trace_stopped(now, origin, &message, (Fate::NoReceivers, ""), effects);
            effects.push(Effect::Note(Note::NoReceivers { name: message.name }));
        }
        verdict
    }

    /// Sends a message to one instance of every role that receives it.
    pub(super) fn send(&mut self, incoming: &Incoming, effects: &mut Vec<Effect<H>>) -> Verdict {
        let Incoming { now, origin, message, correlation } = incoming;
        let mut plan = self.mailboxes.plan(*now, *origin, message, *correlation);
        let asker = self.mailboxes.absent_asker(*now, message).filter(|_| !self.config.compat);
        if let Some((_, role)) = &asker {
            // The reply waits for the instance that asked.
            plan.recipients.retain(|recipient| recipient.role != *role);
        }
        if self.mailboxes.is_busy(&plan, message) {
            return Verdict::Busy { retry_after: RETRY_AFTER };
        }
        let absentees = self.queue_for_absentees(incoming, &plan, asker, effects);
        if plan.recipients.is_empty() && !absentees.accepts {
            return Verdict::NoReceivers;
        }
        self.mailboxes.record(*now, *origin, message, &plan, &absentees.roles);
        self.log(*now, message, &plan, effects);
        self.trace_routed(incoming, &plan, &absentees, effects);
        self.mailboxes.deliver(*now, *origin, message, plan, effects);
        Verdict::Accepted
    }

    /// Refuses a message for good.
    pub(super) fn forbid(
        &self,
        now: Instant,
        origin: Option<&InstanceId>,
        message: &Message,
        detail: String,
        effects: &mut Vec<Effect<H>>,
    ) -> Verdict {
        self.trace_stopped(now, origin, message, (Fate::Forbidden, &detail), effects);
        Verdict::Forbidden { detail }
    }

    /// Gives a message that an instance gives back to a healthy instance of its role.
    pub(super) fn give_back(
        &mut self,
        now: Instant,
        origin: &InstanceId,
        message: Message,
        effects: &mut Vec<Effect<H>>,
    ) -> Verdict {
        let key = self.mailboxes.registry().key_of(origin);
        match key.is_some_and(|key| self.mailboxes.give_back(now, key, message, effects)) {
            true => Verdict::Accepted,
            false => Verdict::NoReceivers,
        }
    }

    /// Queues the message for absent roles: a requester that is not connected at the moment, those that left recently,
    /// those that the landscape declares, and during startup those that may still register.
    fn queue_for_absentees(
        &mut self,
        Incoming { now, origin, message, .. }: &Incoming,
        Plan { public, recipients, .. }: &Plan,
        asker: Option<(InstanceId, Role)>,
        effects: &mut Vec<Effect<H>>,
    ) -> Absentees {
        let (now, origin) = (*now, *origin);
        let is_present = |role: &Role| recipients.iter().any(|recipient| recipient.role == *role);
        let declared = self.mailboxes.registry().declared_receivers(public).iter().filter(|role| !is_present(role));
        let declared: Vec<Role> = declared.cloned().collect();
        effects.extend(declared.iter().map(|role| Effect::Note(Note::NoService { role: role.clone() })));
        if self.config.compat {
            return Absentees { accepts: !declared.is_empty(), roles: Vec::new() };
        }
        let mut roles = self.departed.expected(now, public);
        roles.retain(|role| !is_present(role) && !declared.contains(role));
        roles.extend(declared);
        let asker_role = asker.as_ref().map(|(_, role)| role.clone());
        roles.retain(|role| Some(role) != asker_role.as_ref());
        let receivers = roles.iter().cloned().map(|role| (None, role));
        for (only, role) in receivers.chain(asker.map(|(asker, role)| (Some(asker), role))) {
            let envelope = self.mailboxes.envelope(now, (message.clone(), public.clone()), role, origin);
            let urgent = only.is_some();
            self.mailboxes.queue_for_absent(Envelope { only, urgent, logged: false, ..envelope }, effects);
        }
        roles.extend(asker_role);
        if !self.startup.is_in_progress(now) {
            return Absentees { accepts: !roles.is_empty(), roles };
        }
        let served = roles.iter().chain(recipients.iter().map(|recipient| &recipient.role)).cloned().collect();
        let (message, public, origin) = (message.clone(), public.clone(), origin.cloned());
        let held = self.startup.hold(EarlyMessage { message, public, origin, accepted: now, roles: served });
        Absentees { accepts: held || !roles.is_empty(), roles }
    }

    /// Gives up a message that no receiver got.
    pub(super) fn give_up(
        &mut self,
        accepted: Instant,
        origin: Option<&InstanceId>,
        message: Message,
        (role, reason): (Role, Reason),
        effects: &mut Vec<Effect<H>>,
    ) {
        let public = self.mailboxes.registry().public_name(origin, message.sender.as_ref(), &message.name);
        let envelope = self.mailboxes.envelope(accepted, (message, public), role, origin);
        Effect::give_up(envelope, reason, effects);
    }

    /// Gives a role that is present what waits for it.
    fn serve_waiting(&mut self, now: Instant, role: &Role, effects: &mut Vec<Effect<H>>) {
        self.departed.returned(role);
        let missed = self.startup.missed(role, |public| self.mailboxes.registry().receives(public, role));
        let missed = missed.into_iter().map(|early| {
            let EarlyMessage { message, public, origin, accepted, .. } = early;
            let envelope = self.mailboxes.envelope(accepted, (message, public), role.clone(), origin.as_ref());
            Envelope { logged: false, ..envelope }
        });
        let missed: VecDeque<_> = missed.collect();
        self.mailboxes.reroute(now, missed, effects);
        self.mailboxes.serve_backlog(now, role, effects);
    }
}

/// Returns the role that reports name where there is no receiver.
pub(super) fn nobody() -> Role {
    Role::parse("nobody").expect("a valid role")
}
