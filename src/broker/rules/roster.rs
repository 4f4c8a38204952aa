//! Who is there: the instances, by key, by id and by role.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::exchange::Place;
use super::{Key, Queue};
use crate::broker::wire::{Address, Translation};
use crate::message::{InstanceId, MessageName, Role};

/// One instance. `H` is whatever the shell wants to be given back for it.
pub(crate) struct Instance<H> {
    pub(crate) role: Role,
    /// `None` for a service of the posted landscape.
    pub(crate) id: Option<InstanceId>,
    pub(crate) place: Place,
    /// What counts for it.
    pub(crate) language: Arc<Language>,
    /// What it told of itself; a landscape that declares its role wins over that.
    pub(crate) told: Arc<Language>,
    /// It answers each message, and takes several at once.
    pub(crate) batch: bool,
    /// When its lease ends; `None` if it has none.
    pub(crate) expires: Option<Instant>,
    pub(crate) queue: Queue,
    pub(crate) handle: H,
    /// It has left; only a delivery that is still out keeps it here.
    pub(crate) gone: bool,
}

impl<H> Instance<H> {
    /// Whether it is a service of this process.
    pub(crate) fn is_local(&self) -> bool {
        self.place == Place::Local
    }

    /// Where it listens, if it does.
    pub(crate) fn address(&self) -> Option<&Address> {
        match &self.place {
            Place::Remote(address) => Some(address),
            Place::Local | Place::Socket => None,
        }
    }

    /// Whether one delivery may carry several messages.
    pub(crate) fn takes_several(&self) -> bool {
        self.batch || !matches!(self.place, Place::Remote(_))
    }

    /// Whether it gets the answers it asked for without subscribing to them: services of the WebSocket era do not.
    pub(crate) fn takes_answers(&self) -> bool {
        self.batch || self.place != Place::Socket
    }
}

/// The messages a service wants and sends, and how it calls them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Language {
    pub(crate) receives: Vec<MessageName>,
    pub(crate) sends: Vec<MessageName>,
    pub(crate) translation: Translation,
}

/// All instances. Those that have left are found by key only.
pub(crate) struct Roster<H> {
    instances: HashMap<Key, Instance<H>>,
    by_id: HashMap<InstanceId, Key>,
    by_role: HashMap<Role, Vec<Key>>,
    next_key: u64,
}

impl<H> Roster<H> {
    pub(crate) fn new() -> Self {
        Self { instances: HashMap::new(), by_id: HashMap::new(), by_role: HashMap::new(), next_key: 0 }
    }

    /// How many are there, those included that have left and are not settled.
    pub(crate) fn len(&self) -> usize {
        self.instances.len()
    }

    pub(crate) fn add(&mut self, instance: Instance<H>) -> Key {
        let key = Key(self.next_key);
        self.next_key += 1;
        if let Some(id) = &instance.id {
            self.by_id.insert(id.clone(), key);
        }
        self.by_role.entry(instance.role.clone()).or_default().push(key);
        self.instances.insert(key, instance);
        key
    }

    /// Takes the instance out of sight; it stays until [`Roster::remove`].
    pub(crate) fn retire(&mut self, key: Key) {
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

    pub(crate) fn remove(&mut self, key: Key) -> Option<Instance<H>> {
        self.instances.remove(&key)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Instance<H>> {
        self.instances.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Instance<H>> {
        self.instances.get_mut(&key)
    }

    pub(crate) fn key_of(&self, id: &InstanceId) -> Option<Key> {
        self.by_id.get(id).copied()
    }

    /// The instances of a role, in the order they came.
    pub(crate) fn of_role(&self, role: &Role) -> &[Key] {
        self.by_role.get(role).map_or(&[], Vec::as_slice)
    }

    /// The role's service of the posted landscape.
    pub(crate) fn posted(&self, role: &Role) -> Option<Key> {
        self.of_role(role).iter().copied().find(|key| self.get(*key).is_some_and(|instance| instance.id.is_none()))
    }

    /// Every instance that is there, in the order they came.
    pub(crate) fn present(&self) -> Vec<(Key, &Instance<H>)> {
        let mut list: Vec<_> = self.instances.iter().filter(|(_, instance)| !instance.gone).collect();
        list.sort_by_key(|(key, _)| **key);
        list.into_iter().map(|(key, instance)| (*key, instance)).collect()
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.instances.keys().copied().collect()
    }
}
