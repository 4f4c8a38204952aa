//! Identity of an instance inside the rules.

/// Identifies one instance from the moment it joins the roster until it is removed. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct InstanceKey(pub(crate) u64);
