//! Messages as conversations record them.

use crate::broker::rules::InstanceKey;
use crate::message::{ActivityId, InstanceId, Message, Role};

/// A message that was routed, and the instances that it connects.
pub(crate) struct Exchanged<'a, R> {
    pub(crate) message: &'a Message,
    pub(crate) conversation: &'a ActivityId,
    /// The sending instance.
    pub(crate) origin: (Option<&'a InstanceId>, Option<InstanceKey>),
    pub(crate) receivers: R,
    /// Number of absent roles that get it later.
    pub(crate) absent: usize,
    /// The roles that may answer, if it is a request and that is checked.
    pub(crate) answering: Vec<Role>,
}
