//! Translation between a service's own names for messages and the public ones. exo 2.5, 3.5.
//!
//! Pairs of names translate whole names.
//!
//! A service with a namespace uses it as the prefix of its own messages (`text-snippets.create`); the public prefix is
//! its role (`tweets.create`). Only the service's own prefix is translated, and the rest of the name is kept. The
//! original broker rewrote every prefix and dropped everything after a second dot; so does
//! [`TranslationRules::Original`].

use crate::broker::wire::{Pair, Translation};
use crate::message::{MessageName, Role};

/// The rules by which a namespace translates names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TranslationRules {
    /// Only the service's own prefix is translated.
    Current,
    /// As in the original broker, defects included.
    Original,
}

impl TranslationRules {
    /// Returns the public name of a message that `role` receives as `internal`.
    pub(crate) fn public_when_received(
        self,
        role: &Role,
        translation: &Translation,
        internal: &MessageName,
    ) -> MessageName {
        let namespace = match translation {
            Translation::None => return internal.clone(),
            Translation::Pairs(pairs) => return public_of(pairs, internal),
            Translation::Namespace(namespace) => &**namespace,
        };
        match self {
            Self::Current => replace(internal, namespace, role.as_str()),
            Self::Original => match parts(internal) {
                Some((first, second)) if first != role.as_str() => joined(internal, role.as_str(), second),
                Some(_) | None => internal.clone(),
            },
        }
    }

    /// Returns the public name of a message that `role` sends as `internal`.
    pub(crate) fn public_when_sent(
        self,
        role: &Role,
        translation: &Translation,
        internal: &MessageName,
    ) -> MessageName {
        let namespace = match translation {
            Translation::None => return internal.clone(),
            Translation::Pairs(pairs) => return public_of(pairs, internal),
            Translation::Namespace(namespace) => &**namespace,
        };
        match self {
            Self::Current => replace(internal, namespace, role.as_str()),
            Self::Original => match parts(internal) {
                Some((first, second)) if first == namespace => joined(internal, role.as_str(), second),
                Some(_) | None => internal.clone(),
            },
        }
    }

    /// Returns the name under which `role` receives the message `public`.
    pub(crate) fn internal(self, role: &Role, translation: &Translation, public: &MessageName) -> MessageName {
        let namespace = match translation {
            Translation::None => return public.clone(),
            Translation::Pairs(pairs) => return internal_of(pairs, public),
            Translation::Namespace(namespace) => &**namespace,
        };
        match self {
            Self::Current => replace(public, role.as_str(), namespace),
            Self::Original => match parts(public) {
                Some((first, second)) if first != namespace => joined(public, namespace, second),
                Some(_) | None => public.clone(),
            },
        }
    }
}

fn public_of(pairs: &[Pair], name: &MessageName) -> MessageName {
    pairs.iter().find(|pair| pair.internal == *name).map_or(name, |pair| &pair.public).clone()
}

fn internal_of(pairs: &[Pair], name: &MessageName) -> MessageName {
    pairs.iter().find(|pair| pair.public == *name).map_or(name, |pair| &pair.internal).clone()
}

/// Returns `target.rest` for `source.rest`, and any other name unchanged.
fn replace(name: &MessageName, source: &str, target: &str) -> MessageName {
    let rest = name.as_str().strip_prefix(source).and_then(|rest| rest.strip_prefix('.'));
    rest.map_or_else(|| name.clone(), |rest| joined(name, target, rest))
}

/// Returns the first two parts of a name with a dot; anything after a second dot is lost, as in the original.
fn parts(name: &MessageName) -> Option<(&str, &str)> {
    let (first, rest) = name.as_str().split_once('.')?;
    Some((first, rest.split('.').next().unwrap_or_default()))
}

/// Joins prefix and rest; a name that would exceed its maximum length stays as it was.
fn joined(name: &MessageName, prefix: &str, rest: &str) -> MessageName {
    MessageName::parse(&format!("{prefix}.{rest}")).unwrap_or_else(|_| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Receiving,
        Sending,
        Delivering,
    }
    use Step::{Delivering, Receiving, Sending};

    /// Role `tweets` with the namespace `text-snippets`.
    fn check(rules: TranslationRules, step: Step, name: &str, expected: &str) {
        check_with(rules, step, &Translation::Namespace("text-snippets".into()), name, expected);
    }

    fn check_with(rules: TranslationRules, step: Step, translation: &Translation, name: &str, expected: &str) {
        let (role, name) = (Role::parse("tweets").unwrap(), MessageName::parse(name).unwrap());
        let translated = match step {
            Receiving => rules.public_when_received(&role, translation, &name),
            Sending => rules.public_when_sent(&role, translation, &name),
            Delivering => rules.internal(&role, translation, &name),
        };
        assert_eq!(translated.as_str(), expected, "{rules:?} {step:?} {name}");
    }

    #[test]
    fn pairs_translate_whole_names_and_the_first_match_counts() {
        let pair = |public: &str, internal: &str| Pair {
            public: MessageName::parse(public).unwrap(),
            internal: MessageName::parse(internal).unwrap(),
        };
        let pairs = Translation::Pairs([pair("tweets create", "create"), pair("other", "create")].into());
        for (step, name, expected) in [
            (Sending, "create", "tweets create"),
            (Receiving, "create", "tweets create"),
            (Delivering, "tweets create", "create"),
            (Delivering, "other", "create"),
            (Sending, "create.now", "create.now"),
        ] {
            BOTH.into_iter().for_each(|rules| check_with(rules, step, &pairs, name, expected));
        }
    }

    const BOTH: [TranslationRules; 2] = [TranslationRules::Current, TranslationRules::Original];

    #[test]
    fn without_a_namespace_every_name_is_unchanged() {
        for step in [Receiving, Sending, Delivering] {
            BOTH.into_iter()
                .for_each(|rules| check_with(rules, step, &Translation::None, "tweets.create", "tweets.create"));
        }
    }

    #[test]
    fn without_a_dot_every_name_is_unchanged() {
        for step in [Receiving, Sending, Delivering] {
            BOTH.into_iter().for_each(|rules| check(rules, step, "create tweet", "create tweet"));
        }
    }

    #[test]
    fn the_namespace_becomes_the_role_when_subscribing_and_sending() {
        BOTH.into_iter().for_each(|rules| check(rules, Receiving, "text-snippets.create", "tweets.create"));
        BOTH.into_iter().for_each(|rules| check(rules, Sending, "text-snippets.created", "tweets.created"));
    }

    #[test]
    fn the_role_becomes_the_namespace_when_delivering() {
        BOTH.into_iter().for_each(|rules| check(rules, Delivering, "tweets.create", "text-snippets.create"));
        BOTH.into_iter().for_each(|rules| check(rules, Delivering, "text-snippets.create", "text-snippets.create"));
    }

    #[test]
    fn its_own_role_is_unchanged_when_subscribing_and_sending() {
        BOTH.into_iter().for_each(|rules| check(rules, Receiving, "tweets.create", "tweets.create"));
        BOTH.into_iter().for_each(|rules| check(rules, Sending, "tweets.create", "tweets.create"));
    }

    #[test]
    fn a_foreign_prefix_is_kept_by_current_rules_and_rewritten_by_original_rules() {
        check(TranslationRules::Current, Receiving, "users.created", "users.created");
        check(TranslationRules::Original, Receiving, "users.created", "tweets.created");
        check(TranslationRules::Current, Delivering, "users.created", "users.created");
        check(TranslationRules::Original, Delivering, "users.created", "text-snippets.created");
        BOTH.into_iter().for_each(|rules| check(rules, Sending, "users.create", "users.create"));
    }

    #[test]
    fn what_follows_a_second_dot_is_kept_by_current_rules_and_lost_by_original_rules() {
        check(TranslationRules::Current, Receiving, "text-snippets.create.now", "tweets.create.now");
        check(TranslationRules::Original, Receiving, "text-snippets.create.now", "tweets.create");
        check(TranslationRules::Current, Delivering, "tweets.create.now", "text-snippets.create.now");
        check(TranslationRules::Original, Sending, "text-snippets.create.now", "tweets.create");
    }
}
