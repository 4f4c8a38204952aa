//! Comings and goings: registration, the posted landscape, leases that end, and what becomes of the messages then.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::absent::Early;
use super::exchange::give_up;
use super::waiting::nobody;
use super::{Declared, Effect, Exchange, Instance, Key, Language, Note, Parcel, Place, Queue, Reason};
use crate::broker::Error;
use crate::broker::wire::{Address, Landscape, RoleRoutes};
use crate::http::access::equals_secret;
use crate::message::{InstanceId, Registration, Role};

impl<H: Clone> Exchange<H> {
    /// Registers an instance, or renews and updates the one of this id. Answers the key of a new one.
    /// Errors: [`Error::Token`], [`Error::Full`], [`Error::InstanceTaken`], [`Error::Draining`] for new ones.
    pub(crate) fn register(
        &mut self,
        now: Instant,
        registration: Registration,
        place: Place,
        handle: H,
        effects: &mut Vec<Effect<H>>,
    ) -> Result<Option<Key>, Error> {
        self.check_token(&registration)?;
        let known = self.roster.key_of(&registration.instance);
        if let Some(instance) =
            known.and_then(|key| self.roster.get(key)).filter(|other| other.role != registration.role)
        {
            return Err(Error::InstanceTaken { instance: registration.instance, role: instance.role.clone() });
        }
        let instance = self.instance(now, registration, place, handle);
        let role = instance.role.clone();
        let renewed = known.filter(|key| {
            // Whoever comes over a new socket, or in this process, has a new handle.
            let is_remote = |instance: &Instance<H>| instance.address().is_some();
            self.roster.get(*key).is_some_and(is_remote) && is_remote(&instance)
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

    /// Replaces the landscape; instances that registered themselves stay. Answers the keys of new services.
    /// Errors: [`Error::Full`], [`Error::Draining`]; then nothing has changed.
    pub(crate) fn configure(
        &mut self,
        now: Instant,
        landscape: Landscape,
        mut handle: impl FnMut() -> H,
        effects: &mut Vec<Effect<H>>,
    ) -> Result<Vec<(Key, H)>, Error> {
        if self.draining {
            return Err(Error::Draining);
        }
        let present = self.roster.present();
        let posted: Vec<_> = present.iter().filter(|(_, instance)| instance.id.is_none()).collect();
        let placed: Vec<_> = landscape.roles.iter().filter(|routes| routes.address.is_some()).collect();
        if present.len() - posted.len() + placed.len() > self.config.instances_max {
            return Err(Error::Full { instances_max: self.config.instances_max });
        }
        let stays = |role: &Role| placed.iter().any(|routes| routes.role == *role);
        let left: Vec<_> = posted.iter().filter(|(_, old)| !stays(&old.role)).map(|(key, _)| *key).collect();
        for key in left {
            self.retire(now, key, effects);
        }
        let mut added = Vec::new();
        for routes in placed {
            let Some(address) = routes.address.clone() else { continue };
            let handle = handle();
            let instance = posted_instance(address, routes, handle.clone());
            match self.roster.posted(&routes.role) {
                Some(key) => self.update(key, instance, effects),
                None => added.push((self.add(instance), handle)),
            }
        }
        self.declare(now, &landscape, effects);
        Ok(added)
    }

    /// Lets the landscape count for those that are there and for those that will come.
    fn declare(&mut self, now: Instant, landscape: &Landscape, effects: &mut Vec<Effect<H>>) {
        self.declared = Declared::new(landscape, self.routes.rules());
        let languages: Vec<_> = self
            .roster
            .present()
            .into_iter()
            .filter(|(_, instance)| instance.id.is_some())
            .map(|(key, instance)| (key, self.declared.language(&instance.role).unwrap_or(&instance.told).clone()))
            .collect();
        for (key, language) in languages {
            self.speak(key, language);
        }
        let roles: HashSet<Role> = self.roster.present().into_iter().map(|(_, other)| other.role.clone()).collect();
        for role in roles {
            self.adopt(now, &role, effects);
        }
    }

    /// Changes what the instance behind a socket wants. Errors: [`Error::Token`].
    pub(crate) fn renew(
        &mut self,
        now: Instant,
        key: Key,
        registration: Registration,
        effects: &mut Vec<Effect<H>>,
    ) -> Result<(), Error> {
        self.check_token(&registration)?;
        let Some(old) = self.roster.get(key) else { return Ok(()) };
        let (role, handle) = (old.role.clone(), old.handle.clone());
        let instance = self.instance(now, registration, Place::Socket, handle);
        self.update(key, instance, effects);
        self.adopt(now, &role, effects);
        Ok(())
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

    /// Takes the instance behind a socket off the roster, if it is still there.
    pub(crate) fn part(&mut self, now: Instant, key: Key, effects: &mut Vec<Effect<H>>) {
        if self.roster.get(key).is_some_and(|instance| !instance.gone) {
            self.retire(now, key, effects);
        }
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
        self.orphans.retain(|_, orphans| {
            orphans.expire(now, window, &mut late);
            orphans.len() > 0
        });
        self.give_up_late(late, None, effects);
        for Early { message, public, origin, accepted, .. } in self.absent.settle(now) {
            effects.push(Effect::Note(Note::NoReceivers { name: message.name.clone() }));
            let parcel = self.parcel(accepted, (message, public), nobody(), None, origin);
            give_up(parcel, Reason::NoReceivers, effects);
        }
        self.expire_held(now, effects);
        self.absent.departed.sweep(now);
        self.conversations.sweep(now);
        ended
    }

    /// Refuses messages and new instances from now on.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
    }

    /// Gives up everything that still waits. Answers how many that were.
    pub(crate) fn close(&mut self, effects: &mut Vec<Effect<H>>) -> usize {
        let mut left: Vec<Parcel> = self.orphans.drain().flat_map(|(_, orphans)| orphans.into_parcels()).collect();
        for key in self.roster.keys() {
            left.extend(self.roster.get_mut(key).into_iter().flat_map(|instance| instance.queue.drain()));
        }
        left.sort_by_key(|parcel| parcel.sequence);
        let count = left.len() + self.close_guard(effects);
        for parcel in left {
            self.load.subtract(&parcel);
            give_up(parcel, Reason::Closed, effects);
        }
        count
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
        old.place = new.place;
        old.batch = new.batch;
        old.told = new.told;
        self.speak(key, new.language);
        if let Some(instance) = self.roster.get(key) {
            // It has just shown that it lives: what waits for the next try is tried now.
            effects.push(Effect::Wake { handle: instance.handle.clone() });
        }
    }

    /// Changes what an instance receives and how it calls that; what waits for it follows.
    fn speak(&mut self, key: Key, language: Arc<Language>) {
        let Some(instance) = self.roster.get_mut(key).filter(|instance| instance.language != language) else { return };
        self.routes.remove(key, instance);
        instance.language = language;
        self.routes.add(key, instance);
        let (rules, role, language) = (self.routes.rules(), instance.role.clone(), Arc::clone(&instance.language));
        for parcel in instance.queue.waiting_mut() {
            parcel.message.name = rules.delivering(&role, &language.translation, &parcel.public);
        }
    }

    fn retire(&mut self, now: Instant, key: Key, effects: &mut Vec<Effect<H>>) {
        let Some(instance) = self.roster.get(key) else { return };
        effects.push(Effect::Wake { handle: instance.handle.clone() });
        let orphaned = self.routes.remove(key, instance);
        if !instance.is_local() {
            // A service of this process that leaves does not come back from a restart.
            let (role, until) = (instance.role.clone(), now + self.config.delivery_window());
            orphaned.into_iter().for_each(|public| self.absent.departed.left(&role, public, until));
        }
        let out = instance.queue.is_out();
        self.roster.retire(key);
        if !out {
            self.remove(now, key, effects);
        }
    }

    fn instance(&self, now: Instant, registration: Registration, place: Place, handle: H) -> Instance<H> {
        let Registration { role, instance, receives, sends, namespace, batch, token: _ } = registration;
        let expires = match place {
            Place::Local | Place::Socket => None,
            Place::Remote(_) => Some(now + self.config.lease()),
        };
        let told = Arc::new(Language { receives, sends, translation: namespace.into() });
        let language = Arc::clone(self.declared.language(&role).unwrap_or(&told));
        let (id, queue) = (Some(instance), Queue::new());
        Instance { role, id, place, language, told, batch, expires, queue, handle, gone: false }
    }

    /// A role that is guarded by a token is given to nobody else. Errors: [`Error::Token`].
    fn check_token(&self, registration: &Registration) -> Result<(), Error> {
        let Some(expected) = self.tokens.get(&registration.role) else { return Ok(()) };
        match registration.token.as_deref().is_some_and(|token| equals_secret(token, expected)) {
            true => Ok(()),
            false => Err(Error::Token { role: registration.role.clone() }),
        }
    }
}

fn posted_instance<H>(address: Address, routes: &RoleRoutes, handle: H) -> Instance<H> {
    let language = Arc::new(Language::of(routes));
    Instance {
        role: routes.role.clone(),
        id: None,
        place: Place::Remote(address),
        told: Arc::clone(&language),
        language,
        batch: false,
        expires: None,
        queue: Queue::new(),
        handle,
        gone: false,
    }
}
