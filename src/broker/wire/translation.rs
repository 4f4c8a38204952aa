//! How a role's own names for messages relate to everybody else's. exo 2.5, 3.5.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::message::MessageName;

/// How a role's own names relate to the public ones. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Translation {
    /// It uses the public names.
    #[default]
    None,
    /// It uses this prefix where others use its role: `mongo.create` for `users.create`. exo 2.5.
    Namespace(Arc<str>),
    /// It uses these names where others use those; whole names, the first match counts. exo 3.5.
    Pairs(Arc<[Pair]>),
}

/// One name in two languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// What everybody else calls the message.
    pub public: MessageName,
    /// What the role calls it.
    pub internal: MessageName,
}

impl Translation {
    /// The prefix, if it is one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Namespace(namespace) => Some(namespace),
            Self::None | Self::Pairs(_) => None,
        }
    }

    /// The pairs; none if it is of another kind.
    pub fn pairs(&self) -> &[Pair] {
        match self {
            Self::Pairs(pairs) => pairs,
            Self::None | Self::Namespace(_) => &[],
        }
    }
}

impl From<Option<String>> for Translation {
    fn from(namespace: Option<String>) -> Self {
        namespace.map_or(Self::None, |namespace| Self::Namespace(namespace.into()))
    }
}
