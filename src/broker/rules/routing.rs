//! Who gets what: from public name to roles to instances, kept up to date with every change of the roster.

use std::collections::HashMap;

use super::{Instance, Key, Rules};
use crate::message::{MessageName, Role};

/// The routing table.
pub(crate) struct Routes {
    by_name: HashMap<MessageName, Vec<Target>>,
    rules: Rules,
}

/// One role that receives a message.
pub(crate) struct Target {
    pub(crate) role: Role,
    /// Sorted by key, never empty.
    members: Vec<Member>,
    /// Whose turn it is among equals.
    turn: usize,
}

/// One instance, and what it calls the message.
struct Member {
    key: Key,
    name: MessageName,
}

impl Target {
    /// What the instance calls the message, if it receives it.
    pub(crate) fn name_for(&self, key: Key) -> Option<&MessageName> {
        self.members.binary_search_by_key(&key, |member| member.key).ok().map(|place| &self.members[place].name)
    }

    /// The first of `preferred` that is a member, else the one with the shortest queue, in turns among equals.
    pub(crate) fn choose(
        &mut self,
        preferred: impl IntoIterator<Item = Key>,
        length: impl Fn(Key) -> usize,
    ) -> (Key, &MessageName) {
        let mut preferred = preferred.into_iter();
        let known = preferred.find_map(|key| self.members.binary_search_by_key(&key, |member| member.key).ok());
        let place = known.unwrap_or_else(|| self.shortest(length));
        let member = &self.members[place];
        (member.key, &member.name)
    }

    fn shortest(&mut self, length: impl Fn(Key) -> usize) -> usize {
        let count = self.members.len();
        self.turn = (self.turn + 1) % count;
        let (mut best, mut best_length) = (self.turn, usize::MAX);
        for step in 0..count {
            let place = (self.turn + step) % count;
            let length = length(self.members[place].key);
            if length < best_length {
                (best, best_length) = (place, length);
            }
            if length == 0 {
                break;
            }
        }
        best
    }

    /// The first member.
    pub(crate) fn first(&self) -> Key {
        self.members[0].key
    }
}

impl Routes {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { by_name: HashMap::new(), rules }
    }

    /// The roles that receive the message of this public name.
    pub(crate) fn targets(&mut self, public: &MessageName) -> &mut [Target] {
        self.by_name.get_mut(public).map_or(&mut [], Vec::as_mut_slice)
    }

    /// Enters what the instance receives.
    pub(crate) fn add<H>(&mut self, key: Key, instance: &Instance<H>) {
        for internal in &instance.language.receives {
            let (public, name) = self.names(instance, internal);
            let targets = self.by_name.entry(public).or_default();
            let place = targets.iter().position(|target| target.role == instance.role).unwrap_or_else(|| {
                targets.push(Target { role: instance.role.clone(), members: Vec::new(), turn: 0 });
                targets.len() - 1
            });
            let members = &mut targets[place].members;
            if let Err(place) = members.binary_search_by_key(&key, |member| member.key) {
                members.insert(place, Member { key, name });
            }
        }
    }

    /// Whether the role has an instance that receives the message of this public name.
    pub(crate) fn receives(&self, public: &MessageName, role: &Role) -> bool {
        self.by_name.get(public).is_some_and(|targets| targets.iter().any(|target| target.role == *role))
    }

    /// Strikes what the instance receives. Answers the public names that its role does not receive any more.
    pub(crate) fn remove<H>(&mut self, key: Key, instance: &Instance<H>) -> Vec<MessageName> {
        let mut orphaned = Vec::new();
        for internal in &instance.language.receives {
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
                orphaned.push(public);
            }
        }
        orphaned
    }

    /// Every public name and the roles that receive it.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&MessageName, &[Target])> {
        self.by_name.iter().map(|(name, targets)| (name, targets.as_slice()))
    }

    pub(crate) fn rules(&self) -> Rules {
        self.rules
    }

    /// The public name of a subscription, and the one it is delivered by.
    fn names<H>(&self, instance: &Instance<H>, internal: &MessageName) -> (MessageName, MessageName) {
        let translation = &instance.language.translation;
        let public = self.rules.subscribing(&instance.role, translation, internal);
        let name = match self.rules {
            // By the very name it asked for.
            Rules::Ours => internal.clone(),
            Rules::Original => self.rules.delivering(&instance.role, translation, &public),
        };
        (public, name)
    }
}
