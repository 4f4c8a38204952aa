//! What an instance goes by inside the rules.

/// One instance on the roster, for as long as it stays there. Never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) u64);
