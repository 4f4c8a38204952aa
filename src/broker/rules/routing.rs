//! The routing table: public name of a message -> roles -> instances. Updated with every change of the roster.

use std::collections::HashMap;

use super::{AWAY, Instance, InstanceKey, TranslationRules};
use crate::message::{MessageName, Role};

/// The routing table.
pub(crate) struct Routes {
    by_name: HashMap<MessageName, Vec<Target>>,
    rules: TranslationRules,
}

/// A role that receives a message, and its instances.
pub(crate) struct Target {
    role: Role,
    /// Sorted by key, never empty.
    members: Vec<Member>,
    /// Position of the member chosen last, for round robin.
    last: usize,
}

/// One instance and its name for the message.
struct Member {
    key: InstanceKey,
    name: MessageName,
}

impl Target {
    pub(crate) fn role(&self) -> &Role {
        &self.role
    }

    /// Returns true if the instance receives the message.
    pub(crate) fn has(&self, key: InstanceKey) -> bool {
        self.position(key).is_some()
    }

    /// Returns the member that gets a message, and its name for it: the requester, otherwise the first of `preferred`,
    /// unless its service does not answer and that of another member does; otherwise the member with the lowest `ranking`,
    /// round robin among equals.
    pub(crate) fn choose(
        &mut self,
        requester: Option<InstanceKey>,
        preferred: impl IntoIterator<Item = InstanceKey>,
        ranking: impl Fn(InstanceKey) -> usize,
    ) -> (InstanceKey, &MessageName) {
        let requester = requester.and_then(|key| self.position(key));
        let position = requester.unwrap_or_else(|| {
            let preferred = preferred.into_iter().find_map(|key| self.position(key));
            match preferred {
                Some(position) if ranking(self.members[position].key) < AWAY => position,
                Some(position) => {
                    let lowest = self.lowest(&ranking);
                    if ranking(self.members[lowest].key) < AWAY { lowest } else { position }
                }
                None => self.lowest(&ranking),
            }
        });
        let member = &self.members[position];
        (member.key, &member.name)
    }

    /// Returns the oldest member.
    pub(crate) fn first(&self) -> InstanceKey {
        self.members[0].key
    }

    fn position(&self, key: InstanceKey) -> Option<usize> {
        self.members.binary_search_by_key(&key, |member| member.key).ok()
    }

    fn lowest(&mut self, ranking: impl Fn(InstanceKey) -> usize) -> usize {
        let count = self.members.len();
        self.last = (self.last + 1) % count;
        let (mut best, mut best_ranking) = (self.last, usize::MAX);
        for step in 0..count {
            let position = (self.last + step) % count;
            let ranking = ranking(self.members[position].key);
            if ranking < best_ranking {
                (best, best_ranking) = (position, ranking);
            }
            if ranking == 0 {
                break;
            }
        }
        best
    }
}

impl Routes {
    pub(crate) fn new(rules: TranslationRules) -> Self {
        Self { by_name: HashMap::new(), rules }
    }

    pub(crate) fn rules(&self) -> TranslationRules {
        self.rules
    }

    /// Returns the roles that receive the message of this public name.
    pub(crate) fn targets(&mut self, public: &MessageName) -> &mut [Target] {
        self.by_name.get_mut(public).map_or(&mut [], Vec::as_mut_slice)
    }

    /// Adds the subscriptions of an instance.
    pub(crate) fn add<H>(&mut self, key: InstanceKey, instance: &Instance<H>) {
        for internal in &instance.interface.receives {
            let (public, name) = self.names(instance, internal);
            let targets = self.by_name.entry(public).or_default();
            let position = targets.iter().position(|target| target.role == instance.role).unwrap_or_else(|| {
                targets.push(Target { role: instance.role.clone(), members: Vec::new(), last: 0 });
                targets.len() - 1
            });
            let members = &mut targets[position].members;
            if let Err(position) = members.binary_search_by_key(&key, |member| member.key) {
                members.insert(position, Member { key, name });
            }
        }
    }

    /// Removes the subscriptions of an instance. Returns the public names that its role no longer receives.
    pub(crate) fn remove<H>(&mut self, key: InstanceKey, instance: &Instance<H>) -> Vec<MessageName> {
        let mut unserved = Vec::new();
        for internal in &instance.interface.receives {
            let (public, _) = self.names(instance, internal);
            let Some(targets) = self.by_name.get_mut(&public) else { continue };
            for target in targets.iter_mut() {
                target.members.retain(|member| member.key != key);
            }
            targets.retain(|target| !target.members.is_empty());
            if targets.is_empty() {
                self.by_name.remove(&public);
            }
            if !self.receives(&public, &instance.role) {
                unserved.push(public);
            }
        }
        unserved
    }

    /// Returns true if an instance of the role receives the message of this public name.
    pub(crate) fn receives(&self, public: &MessageName, role: &Role) -> bool {
        self.by_name.get(public).is_some_and(|targets| targets.iter().any(|target| target.role == *role))
    }

    /// Returns true if any role receives the message.
    pub(crate) fn has_receiver(&self, public: &MessageName) -> bool {
        self.by_name.contains_key(public)
    }

    /// Returns every public name and the roles that receive it.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&MessageName, &[Target])> {
        self.by_name.iter().map(|(name, targets)| (name, targets.as_slice()))
    }

    /// Returns the public name of the message that an instance receives as `internal`.
    pub(crate) fn received_name<H>(&self, instance: &Instance<H>, internal: &MessageName) -> MessageName {
        self.names(instance, internal).0
    }

    /// Returns the public name of a subscription, and the name to deliver it under.
    fn names<H>(&self, instance: &Instance<H>, internal: &MessageName) -> (MessageName, MessageName) {
        let translation = &instance.interface.translation;
        let public = self.rules.public_when_received(&instance.role, translation, internal);
        let name = match self.rules {
            // Exactly the name it subscribed to.
            TranslationRules::Current => internal.clone(),
            TranslationRules::Original => self.rules.internal(&instance.role, translation, &public),
        };
        (public, name)
    }
}
