//! What a new landscape changes.

use std::collections::{HashMap, HashSet};

use super::Landscape;
use crate::message::Role;

/// The roles in which two landscapes differ, each list in the order of its landscape.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Only the later one has them.
    pub added: Vec<Role>,
    /// Only the earlier one had them.
    pub removed: Vec<Role>,
    /// Both have them, and say different things about them.
    pub changed: Vec<Role>,
}

impl Landscape {
    /// What this landscape changes in `earlier`. A change of form changes every role that stays.
    pub fn changes_in(&self, earlier: &Self) -> Changes {
        let before: HashMap<_, _> = earlier.roles.iter().map(|routes| (&routes.role, routes)).collect();
        let mut changes = Changes::default();
        for routes in &self.roles {
            match before.get(&routes.role) {
                None => changes.added.push(routes.role.clone()),
                Some(old) if *old != routes || self.form != earlier.form => changes.changed.push(routes.role.clone()),
                Some(_) => {}
            }
        }
        let stay: HashSet<_> = self.roles.iter().map(|routes| &routes.role).collect();
        let gone = earlier.roles.iter().map(|routes| &routes.role).filter(|role| !stay.contains(role));
        changes.removed = gone.cloned().collect();
        changes
    }
}
