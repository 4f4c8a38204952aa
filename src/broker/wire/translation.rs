//! Translation between a role's own message names and the public ones. exo 2.5, 3.5.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::message::MessageName;

/// Mapping between a role's own names and the public ones. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Translation {
    /// The role uses the public names.
    #[default]
    None,
    /// Replaces the role as prefix: `mongo.create` for the public `users.create`. exo 2.5.
    Namespace(Arc<str>),
    /// Replaces whole names by pairs; the first match counts. exo 3.5.
    Pairs(Arc<[Pair]>),
}

/// A public name and the role's own name for the same message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Public name.
    pub public: MessageName,
    /// Name used by the role.
    pub internal: MessageName,
}

impl Translation {
    /// Returns the namespace, or `None` for other kinds.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Namespace(namespace) => Some(namespace),
            Self::None | Self::Pairs(_) => None,
        }
    }

    /// Returns the pairs, empty for other kinds.
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
