//! The instances, by key, by id and by role.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::{Instance, InstanceKey, Interface};
use crate::message::{InstanceId, Role};

/// All instances. One that has left is found by its key only, until it is removed.
pub(crate) struct Roster<H> {
    instances: BTreeMap<InstanceKey, Instance<H>>,
    by_id: HashMap<InstanceId, InstanceKey>,
    by_role: HashMap<Role, Vec<InstanceKey>>,
    next_key: u64,
}

impl<H> Roster<H> {
    pub(crate) fn new() -> Self {
        Self { instances: BTreeMap::new(), by_id: HashMap::new(), by_role: HashMap::new(), next_key: 0 }
    }

    /// Returns the number of instances, those included that have left and are not removed yet.
    pub(crate) fn len(&self) -> usize {
        self.instances.len()
    }

    pub(crate) fn add(&mut self, instance: Instance<H>) -> InstanceKey {
        let key = InstanceKey(self.next_key);
        self.next_key += 1;
        if let Some(id) = &instance.id {
            self.by_id.insert(id.clone(), key);
        }
        self.by_role.entry(instance.role.clone()).or_default().push(key);
        self.instances.insert(key, instance);
        key
    }

    /// Replaces what a renewed registration may change, except for the interface.
    pub(crate) fn renew(&mut self, key: InstanceKey, new: Instance<H>) {
        let Some(old) = self.instances.get_mut(&key) else { return };
        let Instance { endpoint, registered, batch, expires, away, .. } = new;
        (old.endpoint, old.registered, old.batch, old.expires) = (endpoint, registered, batch, expires);
        old.away = away;
    }

    pub(crate) fn set_interface(&mut self, key: InstanceKey, interface: Arc<Interface>) {
        if let Some(instance) = self.instances.get_mut(&key) {
            instance.interface = interface;
        }
    }

    /// Hides an instance that has left; it stays until [`Roster::remove`].
    pub(crate) fn retire(&mut self, key: InstanceKey) {
        let Some(instance) = self.instances.get_mut(&key) else { return };
        instance.gone = true;
        if let Some(id) = &instance.id {
            self.by_id.remove(id);
        }
        if let Some(keys) = self.by_role.get_mut(&instance.role) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_role.remove(&instance.role);
            }
        }
    }

    pub(crate) fn remove(&mut self, key: InstanceKey) {
        self.instances.remove(&key);
    }

    pub(crate) fn get(&self, key: InstanceKey) -> Option<&Instance<H>> {
        self.instances.get(&key)
    }

    pub(crate) fn key_of(&self, id: &InstanceId) -> Option<InstanceKey> {
        self.by_id.get(id).copied()
    }

    /// Returns the instances of a role, oldest first.
    pub(crate) fn of_role(&self, role: &Role) -> &[InstanceKey] {
        self.by_role.get(role).map_or(&[], Vec::as_slice)
    }

    /// Returns the role's service of the posted landscape.
    pub(crate) fn posted(&self, role: &Role) -> Option<InstanceKey> {
        self.of_role(role).iter().copied().find(|key| self.get(*key).is_some_and(|instance| instance.id.is_none()))
    }

    /// Returns every instance that has not left, oldest first.
    pub(crate) fn present(&self) -> impl Iterator<Item = (InstanceKey, &Instance<H>)> {
        self.instances.iter().filter(|(_, instance)| !instance.gone).map(|(key, instance)| (*key, instance))
    }

    /// Returns the instances whose lease has ended.
    pub(crate) fn expired(&self, now: Instant) -> Vec<InstanceKey> {
        let expired = self.present().filter(|(_, instance)| instance.expires.is_some_and(|expires| expires <= now));
        expired.map(|(key, _)| key).collect()
    }
}
