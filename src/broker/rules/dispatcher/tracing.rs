//! Traces and log entries of the messages that are routed or stopped.

use std::time::{Duration, Instant};

use super::{Absentees, Dispatcher, Incoming};
use crate::broker::rules::selection::{Plan, Recipient};
use crate::broker::rules::{Effect, Routed};
use crate::broker::wire::Fate;
use crate::message::{InstanceId, Message};

impl<H: Clone> Dispatcher<H> {
    fn response_time(&self, now: Instant, message: &Message) -> Option<Duration> {
        message.response_to.as_ref().and_then(|id| self.mailboxes.conversations().age(now, id))
    }

    pub(super) fn log(&self, now: Instant, message: &Message, plan: &Plan, effects: &mut Vec<Effect<H>>) {
        if self.tracer.logs_messages() && !plan.recipients.is_empty() {
            let receiver = |recipient: &Recipient| (recipient.role.clone(), recipient.name.clone());
            let receivers = plan.recipients.iter().map(receiver).collect();
            let response_time = self.response_time(now, message);
            effects.push(Effect::Routed(Routed { message: message.clone(), receivers, response_time }));
        }
    }

    /// Traces a message that has receivers.
    pub(super) fn trace_routed(
        &self,
        Incoming { now, origin, message, .. }: &Incoming,
        Plan { public, conversation, recipients, .. }: &Plan,
        absentees: &Absentees,
        effects: &mut Vec<Effect<H>>,
    ) {
        if !self.tracer.is_active() {
            return;
        }
        let response_time = self.response_time(*now, message);
        let mut trace = self.tracer.trace(*now, message, (public, conversation), *origin, response_time);
        for Recipient { key, role, name, .. } in recipients {
            let instance = self.mailboxes.registry().get(*key).and_then(|instance| instance.id.as_ref());
            trace.receiver(role, instance, Some(name).filter(|name| *name != public));
        }
        absentees.roles.iter().for_each(|role| trace.absent(role));
        effects.push(Effect::Traced(trace));
    }

    /// Traces a message that is not routed.
    pub(super) fn trace_stopped(
        &self,
        now: Instant,
        origin: Option<&InstanceId>,
        message: &Message,
        (fate, detail): (Fate, &str),
        effects: &mut Vec<Effect<H>>,
    ) {
        if !self.tracer.is_active() {
            return;
        }
        let public = self.mailboxes.registry().public_name(origin, message.sender.as_ref(), &message.name);
        let conversation = self.mailboxes.conversations().conversation_of(now, message);
        let response_time = self.response_time(now, message);
        let trace = self.tracer.trace(now, message, (&public, &conversation), origin, response_time);
        effects.push(Effect::Traced(trace.stopped(fate, detail)));
    }
}
