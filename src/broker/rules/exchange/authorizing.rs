//! Messages that the security service decides about, and those that belong to its decisions. exo 3.6.

use std::time::Instant;

use super::Exchange;
use crate::broker::config::SecurityAbsent;
use crate::broker::rules::dispatcher::{Incoming, RETRY_AFTER};
use crate::broker::rules::security::{HeldMessage, SecurityCommand};
use crate::broker::rules::selection::Correlation;
use crate::broker::rules::{Effect, Note, Reason};
use crate::message::{InstanceId, Message, Verdict};

impl<H: Clone> Exchange<H> {
    /// Holds a message for authorization, or handles one that belongs to an authorization in progress. exo 3.6.
    pub(super) fn authorize(&mut self, incoming: Incoming, effects: &mut Vec<Effect<H>>) -> Verdict {
        let Incoming { now, origin, ref message, .. } = incoming;
        let activity = message.conversation();
        if self.is_from_security(origin, message) {
            let command = SecurityCommand::of(message);
            let is_authorized = match command {
                SecurityCommand::Other => return self.dispatcher.route(incoming, effects),
                // Also in an activity in which no message waits, or has been judged already.
                SecurityCommand::Request => return self.forward_request(now, origin, message, effects),
                SecurityCommand::Authorized => true,
                SecurityCommand::Unauthorized => false,
            };
            match (self.security.release(&activity), is_authorized) {
                (Some(held), true) => self.resume(now, held, effects),
                (Some(held), false) => self.reject(now, held, effects),
                (None, _) => {
                    let (name, activity) = (message.name.clone(), activity);
                    effects.push(Effect::Note(Note::StrayVerdict { name, activity }));
                }
            }
            return Verdict::Accepted;
        }
        if self.replies_to_security(now, origin, message)
            && let Some(response) = self.security.complete_request(&activity, message)
        {
            self.send_to_security(now, response, effects);
            return Verdict::Accepted;
        }
        self.hold(incoming, effects)
    }

    fn hold(&mut self, incoming: Incoming, effects: &mut Vec<Effect<H>>) -> Verdict {
        if !self.registry().has_instance_of(self.security.role()) {
            match self.security.policy_when_absent() {
                SecurityAbsent::Allow => return self.dispatcher.route(incoming, effects),
                SecurityAbsent::Refuse => {
                    let Incoming { now, origin, message, .. } = incoming;
                    effects.push(Effect::Note(Note::NoService { role: self.security.role().clone() }));
                    let detail = format!("no service of the role 'security' is there to authorize '{}'", message.name);
                    return self.dispatcher.forbid(now, origin, &message, detail, effects);
                }
                SecurityAbsent::Hold => {}
            }
        }
        let Incoming { now, origin, message, correlation } = incoming;
        if !self.security.has_capacity(&message) {
            return Verdict::Busy { retry_after: RETRY_AFTER };
        }
        let held = HeldMessage { message, correlation, origin: origin.cloned(), accepted: now };
        let question = self.security.hold(held);
        self.send_to_security(now, question, effects);
        Verdict::Accepted
    }

    /// Routes a message that the security service has authorized.
    fn resume(&mut self, now: Instant, held: HeldMessage, effects: &mut Vec<Effect<H>>) {
        let HeldMessage { ref message, ref origin, correlation, .. } = held;
        let incoming = Incoming { now, origin: origin.as_ref(), message: message.clone(), correlation };
        match self.dispatcher.route(incoming, effects) {
            Verdict::Accepted => {}
            Verdict::NoReceivers => self.refuse(held, Reason::NoReceivers, effects),
            Verdict::Busy { .. } | Verdict::Forbidden { .. } | Verdict::Refused { .. } => {
                self.refuse(held, Reason::QueueFull, effects);
            }
        }
    }

    /// Gives up a message that the security service has refused, and publishes the refusal.
    fn reject(&mut self, now: Instant, held: HeldMessage, effects: &mut Vec<Effect<H>>) {
        let (name, sender) = (held.message.name.clone(), held.message.sender.clone());
        effects.push(Effect::Note(Note::Unauthorized { name, sender, activity: held.message.conversation() }));
        let refusal = self.security.refusal_of(&held.message);
        // It is not an error if nobody subscribes to it.
        let incoming = Incoming { now, origin: None, message: refusal, correlation: Correlation::Stated };
        self.dispatcher.send(&incoming, effects);
        self.refuse(held, Reason::Unauthorized, effects);
    }

    /// Routes the message in a request of the security service, and awaits the reply to it. `Busy` if too many replies are
    /// awaited.
    fn forward_request(
        &mut self,
        now: Instant,
        origin: Option<&InstanceId>,
        request: &Message,
        effects: &mut Vec<Effect<H>>,
    ) -> Verdict {
        let message = match self.security.requested(request) {
            Ok(message) => message,
            Err(error) => {
                let detail = error.to_string();
                effects.push(Effect::Note(Note::BadSecurityRequest { cause: detail.clone() }));
                return Verdict::Refused { detail };
            }
        };
        let conversation = message.conversation();
        if !self.security.takes_request(&conversation) {
            return Verdict::Busy { retry_after: RETRY_AFTER };
        }
        let verdict =
            self.dispatcher.route(Incoming { now, origin, message, correlation: Correlation::Stated }, effects);
        if verdict == Verdict::Accepted {
            self.security.begin_request(now, request, conversation);
        }
        verdict
    }

    pub(super) fn refuse(&mut self, held: HeldMessage, reason: Reason, effects: &mut Vec<Effect<H>>) {
        let HeldMessage { message, origin, accepted, correlation: _ } = held;
        let role = self.security.role().clone();
        self.dispatcher.give_up(accepted, origin.as_ref(), message, (role, reason), effects);
    }

    fn send_to_security(&mut self, now: Instant, message: Message, effects: &mut Vec<Effect<H>>) {
        let role = self.security.role();
        if !self.dispatcher.mailboxes_mut().send_to_role(now, role, message, effects) {
            effects.push(Effect::Note(Note::NoService { role: role.clone() }));
        }
    }

    fn is_from_security(&self, origin: Option<&InstanceId>, message: &Message) -> bool {
        let role = self.security.role();
        let instance = self.registry().instance(origin);
        message.sender.as_ref() == Some(role) && instance.is_some_and(|instance| instance.role == *role)
    }

    /// Returns true if the message replies to a request of the security service: it comes from the instance that got
    /// the request, as far as that is known.
    fn replies_to_security(&self, now: Instant, origin: Option<&InstanceId>, message: &Message) -> bool {
        let activity = message.conversation();
        if !self.security.has_request(&activity) {
            return false;
        }
        let mailboxes = self.dispatcher.mailboxes();
        match origin.and_then(|id| self.registry().key_of(id)) {
            Some(key) => mailboxes.conversations().last_received(now, &activity, key).is_some(),
            None if self.registry().tokens().are_set() => {
                message.sender.as_ref().is_some_and(|sender| mailboxes.takes_part(now, &activity, sender))
            }
            None => true,
        }
    }
}
