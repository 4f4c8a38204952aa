//! Names that nobody receives, so that their messages can be refused before they are read.

use std::time::Instant;

use super::Dispatcher;
use crate::message::{InstanceId, MessageName, Role};

impl<H: Clone> Dispatcher<H> {
    /// Returns false if no service receives messages that `sender` calls `name`, present or absent: only a reply of that name
    /// can be delivered.
    pub(in crate::broker::rules) fn may_receive(
        &self,
        now: Instant,
        origin: Option<&InstanceId>,
        sender: Option<&Role>,
        name: &MessageName,
    ) -> bool {
        let registry = self.mailboxes.registry();
        let public = registry.public_name(origin, sender, name);
        let is_present = registry.has_receiver(&public) || !registry.declared_receivers(&public).is_empty();
        let may_come = self.startup.may_be_in_progress(now) || !self.departed.expected(now, &public).is_empty();
        // The security service decides about every message.
        is_present || may_come || registry.needs_authorization()
    }
}
