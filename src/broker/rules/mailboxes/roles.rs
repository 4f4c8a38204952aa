//! Checks of the roles of instances, once there are tokens that prove roles.

use std::time::Instant;

use super::Mailboxes;
use crate::broker::rules::InstanceKey;
use crate::message::{ActivityId, Message, Role};

impl<H: Clone> Mailboxes<H> {
    /// Returns false for an instance that has the id of the one that asked, but is one of another role: with tokens, ids prove
    /// nothing.
    pub(super) fn may_be_asker(&self, key: InstanceKey, message: &Message) -> bool {
        let role = message.response_to.as_ref().and_then(|request| self.conversations.asker_role(request));
        role.is_none_or(|role| self.is_of(key, role))
    }

    /// Returns true if the instance is one of the role, or there are no tokens, so that roles prove nothing.
    pub(super) fn is_of(&self, key: InstanceKey, role: &Role) -> bool {
        !self.registry.tokens().are_set() || self.registry.get(key).is_some_and(|instance| instance.role == *role)
    }

    /// Returns true if the sender may answer: the message is no reply to a request that waits, or its sender is one of those who
    /// got that request. Without tokens everybody may.
    pub(in crate::broker::rules) fn may_answer(&self, message: &Message) -> bool {
        let request = message.response_to.as_ref().filter(|_| self.registry.tokens().are_set());
        request.is_none_or(|request| self.conversations.may_answer(request, message.sender.as_ref()))
    }

    /// Returns true if an instance of the role took part in the conversation so far.
    pub(in crate::broker::rules) fn takes_part(&self, now: Instant, conversation: &ActivityId, role: &Role) -> bool {
        let participants = self.conversations.participants(now, conversation).iter();
        participants.filter_map(|other| self.registry.get(other.key)).any(|instance| instance.role == *role)
    }
}
