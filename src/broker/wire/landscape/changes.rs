//! Differences between two landscapes.

use std::collections::{HashMap, HashSet};

use super::Landscape;
use crate::message::Role;

/// Roles that differ between two landscapes, each list in the order of its landscape.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Only in the later landscape.
    pub added: Vec<Role>,
    /// Only in the earlier landscape.
    pub removed: Vec<Role>,
    /// In both, with different definitions.
    pub changed: Vec<Role>,
}

impl Landscape {
    /// Compares this landscape with an `earlier` one. A change of form counts as a change of every remaining role.
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
