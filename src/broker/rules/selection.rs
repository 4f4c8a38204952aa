//! The choice of receivers for a message: one instance of every role that receives it.

use super::{Instance, InstanceKey, Participant, Target};
use crate::message::{ActivityId, MessageName, Role};

/// The receivers of one message.
pub(super) struct Plan {
    pub(super) public: MessageName,
    pub(super) conversation: ActivityId,
    pub(super) recipients: Vec<Recipient>,
    /// The instance that waits for the message, as the reply to its request.
    pub(super) urgent: Option<InstanceKey>,
}

/// An instance that gets a message.
pub(crate) struct Recipient {
    pub(crate) key: InstanceKey,
    pub(crate) role: Role,
    /// The instance's name for the message.
    pub(crate) name: MessageName,
    /// True if its role does not subscribe to the message: the instance gets it as the reply to its request.
    pub(crate) requested: bool,
}

/// The source of a message's `responseTo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Correlation {
    /// The sender stated it, or the message is no reply.
    Stated,
    /// The sender states none; the message is taken to reply to the last one it got in the conversation.
    Inferred,
}

/// The context in which the receivers of a message are chosen.
pub(crate) struct Context<'a, H> {
    /// The instance that sent the request, if the message is a reply.
    pub(crate) requester: Option<(InstanceKey, &'a Instance<H>)>,
    pub(crate) correlation: Correlation,
    /// Instances that took part in the conversation so far.
    pub(crate) participants: &'a [Participant],
    /// True for the original's rules: replies go to subscribers only.
    pub(crate) compat: bool,
}

impl<H> Context<'_, H> {
    /// Appends one instance of every target: the requester of the role, else a participant in the conversation, else
    /// the one with the lowest `ranking`. The requester's role is left out where [`Context::unsubscribed`] will name the
    /// requester itself.
    pub(crate) fn select(
        &self,
        targets: &mut [Target],
        ranking: impl Fn(InstanceKey) -> usize,
        recipients: &mut Vec<Recipient>,
    ) {
        for target in targets {
            let requester = self.requester.filter(|(_, instance)| instance.role == *target.role());
            let is_sole_receiver = requester.is_some_and(|(key, instance)| {
                !target.has(key) && self.may_get_replies(instance) && self.correlation == Correlation::Stated
            });
            if is_sole_receiver {
                continue;
            }
            let participants = self.participants.iter().map(|participant| participant.key);
            let (key, name) = target.choose(requester.map(|(key, _)| key), participants, &ranking);
            let name = name.clone();
            recipients.push(Recipient { key, role: target.role().clone(), name, requested: false });
        }
    }

    /// Returns the requester if it gets the message without a subscription: a stated reply always does, except by the
    /// original's rules; an inferred one only if nobody subscribes to it.
    pub(crate) fn unsubscribed(&self, recipients: &[Recipient]) -> Option<(InstanceKey, &Instance<H>)> {
        let (key, instance) = self.requester?;
        let is_certain = self.correlation == Correlation::Stated || recipients.is_empty();
        let gets_it = self.may_get_replies(instance) && is_certain;
        (gets_it && recipients.iter().all(|recipient| recipient.key != key)).then_some((key, instance))
    }

    fn may_get_replies(&self, instance: &Instance<H>) -> bool {
        !self.compat && instance.takes_replies()
    }
}
