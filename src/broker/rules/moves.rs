//! Comings and goings: registration, the posted landscape, leases that end, and what becomes of the messages then.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::absent::Early;
use super::exchange::{Pick, give_up};
use super::{Effect, Exchange, Instance, Key, Parcel, Place, Queue, Reason};
use crate::broker::Error;
use crate::broker::wire::{Registration, Service};
use crate::message::{InstanceId, Message, MessageName, Role};

impl<H: Clone> Exchange<H> {
    /// Registers an instance, or renews and updates the one of this id. Answers the key of a new one.
    /// Errors: [`Error::Full`], [`Error::InstanceTaken`], [`Error::Draining`] for new ones.
    pub(crate) fn register(
        &mut self,
        now: Instant,
        registration: Registration,
        place: Place,
        handle: H,
        effects: &mut Vec<Effect<H>>,
    ) -> Result<Option<Key>, Error> {
        let known = self.roster.key_of(&registration.instance);
        if let Some(instance) =
            known.and_then(|key| self.roster.get(key)).filter(|other| other.role != registration.role)
        {
            return Err(Error::InstanceTaken { instance: registration.instance, role: instance.role.clone() });
        }
        let instance = self.instance(now, registration, place, handle);
        let role = instance.role.clone();
        let renewed = known.filter(|key| {
            let remote = self.roster.get(*key).is_some_and(|old| !old.is_local());
            remote && !instance.is_local()
        });
        if let Some(key) = renewed {
            self.update(key, instance, effects);
            self.adopt(now, &role, effects);
            return Ok(None);
        }
        if self.draining {
            return Err(Error::Draining);
        }
        if let Some(key) = known {
            self.retire(now, key, effects);
        } else if self.roster.len() >= self.config.instances_max {
            return Err(Error::Full { instances_max: self.config.instances_max });
        }
        let key = self.add(instance);
        self.adopt(now, &role, effects);
        Ok(Some(key))
    }

    /// Replaces the posted landscape; instances that registered themselves stay. Answers the keys of new services.
    /// Errors: [`Error::Full`], [`Error::Draining`]; then nothing has changed.
    pub(crate) fn configure(
        &mut self,
        now: Instant,
        services: Vec<Service>,
        mut handle: impl FnMut() -> H,
        effects: &mut Vec<Effect<H>>,
    ) -> Result<Vec<(Key, H)>, Error> {
        if self.draining {
            return Err(Error::Draining);
        }
        let present = self.roster.present();
        let posted: Vec<_> = present.iter().filter(|(_, instance)| instance.id.is_none()).collect();
        if present.len() - posted.len() + services.len() > self.config.instances_max {
            return Err(Error::Full { instances_max: self.config.instances_max });
        }
        let stays = |role: &Role| services.iter().any(|service| service.name == *role);
        let left: Vec<_> = posted.iter().filter(|(_, old)| !stays(&old.role)).map(|(key, _)| *key).collect();
        for key in left {
            self.retire(now, key, effects);
        }
        let mut added = Vec::new();
        for service in services {
            let role = service.name.clone();
            let handle = handle();
            let instance = posted_instance(service, handle.clone());
            match self.roster.posted(&role) {
                Some(key) => self.update(key, instance, effects),
                None => added.push((self.add(instance), handle)),
            }
            self.adopt(now, &role, effects);
        }
        Ok(added)
    }

    /// Takes an instance off the roster; what waits for it moves on. Answers whether it was there.
    pub(crate) fn leave(&mut self, now: Instant, role: &Role, id: &InstanceId, effects: &mut Vec<Effect<H>>) -> bool {
        let key = self.roster.key_of(id);
        let key = key.filter(|key| self.roster.get(*key).is_some_and(|instance| instance.role == *role));
        if let Some(key) = key {
            self.retire(now, key, effects);
        }
        key.is_some()
    }

    /// Lets time pass: leases end, windows pass, conversations are forgotten. Answers whose lease ended.
    pub(crate) fn sweep(&mut self, now: Instant, effects: &mut Vec<Effect<H>>) -> Vec<(Role, Option<InstanceId>)> {
        let mut ended = Vec::new();
        let window = self.config.delivery_window();
        for key in self.roster.keys() {
            let Some(instance) = self.roster.get_mut(key) else { continue };
            if instance.expires.is_some_and(|expires| expires <= now) && !instance.gone {
                ended.push((instance.role.clone(), instance.id.clone()));
                self.retire(now, key, effects);
                continue;
            }
            let mut late = Vec::new();
            instance.queue.expire(now, window, &mut late);
            let failure = instance.queue.last_failure();
            self.give_up_late(late, failure, effects);
        }
        let mut late = Vec::new();
        self.orphans.retain(|_, parcels| {
            while parcels.front().is_some_and(|parcel| parcel.is_late(now, window)) {
                late.extend(parcels.pop_front());
            }
            !parcels.is_empty()
        });
        self.give_up_late(late, None, effects);
        for Early { message, public, origin, accepted, .. } in self.absent.settle(now) {
            let parcel = self.parcel(accepted, (message, public), nobody(), None, origin);
            give_up(parcel, Reason::NoReceivers, effects);
        }
        self.absent.sweep(now);
        self.conversations.sweep(now);
        ended
    }

    /// Refuses messages and new instances from now on.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
    }

    /// Gives up everything that still waits. Answers how many that were.
    pub(crate) fn close(&mut self, effects: &mut Vec<Effect<H>>) -> usize {
        let mut left: Vec<Parcel> = self.orphans.drain().flat_map(|(_, parcels)| parcels).collect();
        for key in self.roster.keys() {
            left.extend(self.roster.get_mut(key).into_iter().flat_map(|instance| instance.queue.drain()));
        }
        left.sort_by_key(|parcel| parcel.sequence);
        let count = left.len();
        for parcel in left {
            self.load.subtract(&parcel);
            give_up(parcel, Reason::Closed, effects);
        }
        count
    }

    /// Takes an instance that has left and has no delivery out off the books; what it had moves on.
    pub(super) fn remove(&mut self, now: Instant, key: Key, effects: &mut Vec<Effect<H>>) {
        let Some(mut instance) = self.roster.remove(key) else { return };
        let parcels = instance.queue.drain();
        for parcel in &parcels {
            self.load.subtract(parcel);
        }
        self.reroute(now, parcels, effects);
    }

    /// Finds a new place for parcels, given in order: another instance of the role, or the wait for one.
    pub(super) fn reroute(&mut self, now: Instant, parcels: VecDeque<Parcel>, effects: &mut Vec<Effect<H>>) {
        let mut moved: HashMap<Key, VecDeque<Parcel>> = HashMap::new();
        for mut parcel in parcels {
            let Some((key, name)) = self.new_place(now, &parcel, &moved) else {
                self.orphan(parcel, effects);
                continue;
            };
            let length = moved.get(&key).map_or(0, VecDeque::len);
            if !self.fits(key, &parcel) || length >= self.config.queue_messages_max {
                give_up(parcel, Reason::QueueFull, effects);
                continue;
            }
            parcel.message.name = name;
            self.load.add(&parcel);
            moved.entry(key).or_default().push_back(parcel);
        }
        for (key, parcels) in moved {
            let Some(instance) = self.roster.get_mut(key) else { continue };
            effects.push(Effect::Wake { handle: instance.handle.clone() });
            instance.queue.merge(parcels);
        }
    }

    fn new_place(
        &mut self,
        now: Instant,
        parcel: &Parcel,
        moved: &HashMap<Key, VecDeque<Parcel>>,
    ) -> Option<(Key, MessageName)> {
        let only = parcel.only.as_ref().and_then(|id| self.roster.key_of(id));
        if let Some(key) = only {
            return Some((key, parcel.message.name.clone()));
        }
        let conversation = self.conversations.name(now, &parcel.message);
        let participants = self.conversations.participants(now, &conversation);
        let length = |key: Key| {
            let queued = self.roster.get(key).map_or(usize::MAX, |instance| instance.queue.len());
            queued.saturating_add(moved.get(&key).map_or(0, VecDeque::len))
        };
        let target = self.routes.targets(&parcel.public).iter_mut().find(|target| target.role == parcel.role)?;
        let (key, name) = target.choose(participants, length);
        let name = name.clone();
        let message = &parcel.message;
        self.conversations.record(now, &message.id, &conversation, None, std::iter::once(key));
        Some((key, name))
    }

    /// Lets the parcel wait for its role. Bound: as many roles as instances, as many parcels each as a queue holds.
    fn orphan(&mut self, parcel: Parcel, effects: &mut Vec<Effect<H>>) {
        let known = self.orphans.get(&parcel.role).map(VecDeque::len);
        let room = known
            .map_or(self.orphans.len() < self.config.instances_max, |length| length < self.config.queue_messages_max);
        if !room || !parcel.reported {
            give_up(parcel, Reason::QueueFull, effects);
            return;
        }
        self.load.add(&parcel);
        let parcels = self.orphans.entry(parcel.role.clone()).or_default();
        let place = parcels.partition_point(|other| other.sequence < parcel.sequence);
        parcels.insert(place, parcel);
    }

    /// Lets the message wait for roles that are not there: those that left a moment ago, and those a broker that has
    /// just started may not know yet. Answers whether it waits for anybody.
    pub(super) fn await_absent(
        &mut self,
        now: Instant,
        origin: Option<&InstanceId>,
        (message, public): (&Message, &MessageName),
        picks: &[Pick],
        effects: &mut Vec<Effect<H>>,
    ) -> bool {
        if self.config.compat {
            return false;
        }
        let here = |role: &Role| picks.iter().any(|pick| pick.role == *role);
        let mut roles: Vec<Role> = self.absent.expected(now, public);
        roles.retain(|role| !here(role));
        for role in &roles {
            let parcel = self.parcel(now, (message.clone(), public.clone()), role.clone(), None, origin.cloned());
            self.orphan(parcel, effects);
        }
        if !self.absent.is_settling(now) {
            return !roles.is_empty();
        }
        let waits = !roles.is_empty();
        roles.extend(picks.iter().map(|pick| pick.role.clone()));
        let (message, public) = (message.clone(), public.clone());
        let kept = self.absent.keep(Early { message, public, origin: origin.cloned(), accepted: now, roles });
        waits || kept
    }

    /// Gives a role what was sent before the broker knew of it.
    fn catch_up(&mut self, now: Instant, role: &Role, effects: &mut Vec<Effect<H>>) {
        let routes = &mut self.routes;
        let wanted = |public: &MessageName| routes.receives(public, role);
        let missed = self.absent.missed(role, wanted);
        let parcels = missed.into_iter().map(|early| {
            let Early { message, public, origin, accepted, .. } = early;
            self.parcel(accepted, (message, public), role.clone(), None, origin)
        });
        let parcels: VecDeque<_> = parcels.collect();
        self.reroute(now, parcels, effects);
    }

    /// Gives what waited for the role to its instances, as far as they take it.
    fn adopt(&mut self, now: Instant, role: &Role, effects: &mut Vec<Effect<H>>) {
        self.absent.returned(role);
        self.catch_up(now, role, effects);
        let Some(parcels) = self.orphans.remove(role) else { return };
        for parcel in &parcels {
            self.load.subtract(parcel);
        }
        self.reroute(now, parcels, effects);
    }

    fn add(&mut self, instance: Instance<H>) -> Key {
        let key = self.roster.add(instance);
        if let Some(instance) = self.roster.get(key) {
            self.routes.add(key, instance);
        }
        key
    }

    /// Takes over what may change, and keeps the queue.
    fn update(&mut self, key: Key, new: Instance<H>, effects: &mut Vec<Effect<H>>) {
        let Some(old) = self.roster.get_mut(key) else { return };
        old.expires = new.expires;
        old.address = new.address;
        old.batch = new.batch;
        old.sends = new.sends;
        if old.receives != new.receives || old.namespace != new.namespace {
            self.routes.remove(key, old);
            (old.receives, old.namespace) = (new.receives, new.namespace);
            self.routes.add(key, old);
            let (rules, role, namespace) = (self.routes.rules(), old.role.clone(), old.namespace.clone());
            for parcel in old.queue.waiting_mut() {
                parcel.message.name = rules.delivering(&role, namespace.as_deref(), &parcel.public);
            }
        }
        // It has just shown that it lives: what waits for the next try is tried now.
        effects.push(Effect::Wake { handle: old.handle.clone() });
    }

    fn retire(&mut self, now: Instant, key: Key, effects: &mut Vec<Effect<H>>) {
        let Some(instance) = self.roster.get(key) else { return };
        effects.push(Effect::Wake { handle: instance.handle.clone() });
        let orphaned = self.routes.remove(key, instance);
        if !instance.is_local() {
            // A service of this process that leaves does not come back from a restart.
            let (role, until) = (instance.role.clone(), now + self.config.delivery_window());
            orphaned.into_iter().for_each(|public| self.absent.left(&role, public, until));
        }
        let out = instance.queue.is_out();
        self.roster.retire(key);
        if !out {
            self.remove(now, key, effects);
        }
    }

    fn instance(&self, now: Instant, registration: Registration, place: Place, handle: H) -> Instance<H> {
        let Registration { role, instance, receives, sends, namespace, batch } = registration;
        let (address, expires) = match place {
            Place::Local => (None, None),
            Place::Remote(address) => (Some(address), Some(now + self.config.lease())),
        };
        let namespace = namespace.map(Into::into);
        let (id, queue) = (Some(instance), Queue::new());
        Instance { role, id, address, namespace, receives, sends, batch, expires, queue, handle, gone: false }
    }
}

/// Stands in reports for a receiver that there is none of.
fn nobody() -> Role {
    Role::parse("nobody").expect("a constant that is a role")
}

fn posted_instance<H>(service: Service, handle: H) -> Instance<H> {
    let Service { name, address, namespace, sends, receives } = service;
    Instance {
        role: name,
        id: None,
        address: Some(address),
        namespace: namespace.map(Into::into),
        receives,
        sends,
        batch: false,
        expires: None,
        queue: Queue::new(),
        handle,
        gone: false,
    }
}
