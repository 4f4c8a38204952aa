//! Messages that wait for a role: those of an instance that left, and those for roles that are not there.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::absent::Early;
use super::exchange::give_up;
use super::publishing::Pick;
use super::{Effect, Exchange, Key, Note, Orphans, Parcel, Reason, Routed};
use crate::message::{InstanceId, Message, MessageName, Role};

impl<H: Clone> Exchange<H> {
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
            let sent_as = std::mem::replace(&mut parcel.message.name, name);
            self.log_handover(&mut parcel, sent_as, effects);
            self.load.add(&parcel);
            moved.entry(key).or_default().push_back(parcel);
        }
        for (key, parcels) in moved {
            let Some(instance) = self.roster.get_mut(key) else { continue };
            effects.push(Effect::Wake { handle: instance.handle.clone() });
            instance.queue.merge(parcels);
        }
    }

    /// Shows a message that has waited for its role in the message log.
    fn log_handover(&self, parcel: &mut Parcel, sent_as: MessageName, effects: &mut Vec<Effect<H>>) {
        let logged = std::mem::replace(&mut parcel.logged, true);
        if self.config.log_messages && !logged {
            let receivers = vec![(parcel.role.clone(), parcel.message.name.clone())];
            let message = Message { name: sent_as, ..parcel.message.clone() };
            effects.push(Effect::Routed(Routed { message, receivers, response_time: parcel.response_time }));
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
        let (key, name) = target.choose(participants.iter().map(|participant| participant.key), length);
        let name = name.clone();
        let message = &parcel.message;
        self.conversations.record(now, &message.id, &conversation, None, None, std::iter::once(key));
        Some((key, name))
    }

    /// Lets the parcel wait for its role. Bound: as many roles as instances, as many parcels each as a queue holds.
    pub(super) fn orphan(&mut self, parcel: Parcel, effects: &mut Vec<Effect<H>>) {
        let room = match self.orphans.get(&parcel.role) {
            Some(known) => known.len() < self.config.queue_messages_max,
            None => self.orphans.len() < self.config.instances_max,
        };
        if !room || !parcel.reported || !self.has_bytes(parcel.bytes()) {
            give_up(parcel, Reason::QueueFull, effects);
            return;
        }
        self.load.add(&parcel);
        self.orphans.entry(parcel.role.clone()).or_default().insert(parcel);
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
        let is_here = |role: &Role| picks.iter().any(|pick| pick.role == *role);
        let away: Vec<Role> = self.declared.receivers(public).iter().filter(|role| !is_here(role)).cloned().collect();
        effects.extend(away.iter().map(|role| Effect::Note(Note::NoService { role: role.clone() })));
        if self.config.compat {
            return !away.is_empty();
        }
        let mut roles: Vec<Role> = self.absent.expected(now, public);
        roles.retain(|role| !is_here(role) && !away.contains(role));
        roles.extend(away);
        for role in &roles {
            let parcel = self.parcel(now, (message.clone(), public.clone()), role.clone(), None, origin.cloned());
            match self.has_share(self.orphans.get(role).map_or(0, Orphans::bytes), parcel.bytes()) {
                true => self.orphan(Parcel { logged: false, ..parcel }, effects),
                false => give_up(parcel, Reason::QueueFull, effects),
            }
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
            let parcel = self.parcel(accepted, (message, public), role.clone(), None, origin);
            Parcel { logged: false, ..parcel }
        });
        let parcels: VecDeque<_> = parcels.collect();
        self.reroute(now, parcels, effects);
    }

    /// Gives what waited for the role to its instances, as far as they take it.
    pub(super) fn adopt(&mut self, now: Instant, role: &Role, effects: &mut Vec<Effect<H>>) {
        self.absent.returned(role);
        self.catch_up(now, role, effects);
        let Some(orphans) = self.orphans.remove(role) else { return };
        let parcels = orphans.into_parcels();
        for parcel in &parcels {
            self.load.subtract(parcel);
        }
        self.reroute(now, parcels, effects);
    }
}

/// Stands in reports for a receiver that there is none of.
pub(super) fn nobody() -> Role {
    Role::parse("nobody").expect("a constant that is a role")
}
