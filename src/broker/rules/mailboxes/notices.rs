//! Notices about the fate of a message, for the instance that sent it.

use std::time::Instant;

use super::Mailboxes;
use crate::broker::rules::{Effect, Envelope, Reason, bytes_of};
use crate::message::{InstanceId, Message, MessageId, Role};

impl<H: Clone> Mailboxes<H> {
    /// Queues a notice for the instance that sent a message of `role`; if it has left, for another one of the role, once
    /// there is one. Notices overtake what waits there. A failed delivery of a notice is not reported.
    pub(in crate::broker::rules) fn notify(
        &mut self,
        now: Instant,
        (id, role): (&InstanceId, Option<&Role>),
        message: Message,
        effects: &mut Vec<Effect<H>>,
    ) {
        if message.response_to.as_ref().is_some_and(|request| !self.is_final_failure(request)) {
            return;
        }
        let public = message.name.clone();
        let own = self.registry.key_of(id).filter(|key| role.is_none_or(|role| self.is_of(*key, role)));
        let taker = own.or_else(|| self.registry.notice_taker(role?));
        let instance = taker.and_then(|key| Some((key, self.registry.get(key)?)));
        let Some(role) = instance.map(|(_, instance)| &instance.role).or(role).cloned() else { return };
        let taker = match instance {
            Some((_, instance)) if !instance.takes_notices() => return,
            Some((key, _)) => Some(key),
            None => None,
        };
        let bytes = bytes_of(&message);
        let envelope = self.envelope(now, (message, public), role, None);
        let envelope = Envelope { only: Some(id.clone()), urgent: true, reported: false, ..envelope };
        match taker.filter(|key| self.takes(*key, bytes, true)) {
            Some(key) => self.enqueue(key, envelope, effects),
            None => self.queue_for_absent(envelope, effects),
        }
    }

    /// Records that one receiver of a message will not answer it. Returns true unless the message is a request that another
    /// receiver may answer.
    pub(in crate::broker::rules) fn is_final_failure(&mut self, request: &MessageId) -> bool {
        self.conversations.failed(request)
    }

    /// Gives up what waits for absent roles, now and from now on: nobody can register any more.
    pub(in crate::broker::rules) fn drain(&mut self, effects: &mut Vec<Effect<H>>) {
        self.is_draining = true;
        let waiting = self.queues.take_backlogs();
        waiting.into_iter().for_each(|envelope| Effect::give_up(envelope, Reason::Closed, effects));
    }
}
