//! Name translation: what a service calls a message, and what the others call it. exo 2.5, 3.5.
//!
//! A service with pairs of names has each of them translated as a whole.
//!
//! A service with a namespace speaks of itself by that namespace (`text-snippets.create`), everybody else by its role
//! (`tweets.create`). Only the service's own prefix is translated, and the rest of the name is kept whole. The original
//! rewrote every prefix and lost what stood behind a second dot; [`Rules::Original`] does so too.

use crate::broker::wire::{Pair, Translation};
use crate::message::{MessageName, Role};

/// Whose rules count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Only the service's own prefix is translated.
    Ours,
    /// As in the original, with its consequences.
    Original,
}

impl Rules {
    /// The public name of a message that `role` receives as `internal`.
    pub(crate) fn subscribing(self, role: &Role, translation: &Translation, internal: &MessageName) -> MessageName {
        let namespace = match translation {
            Translation::None => return internal.clone(),
            Translation::Pairs(pairs) => return public(pairs, internal),
            Translation::Namespace(namespace) => &**namespace,
        };
        match self {
            Self::Ours => replace(internal, namespace, role.as_str()),
            Self::Original => match parts(internal) {
                Some((first, second)) if first != role.as_str() => joined(internal, role.as_str(), second),
                Some(_) | None => internal.clone(),
            },
        }
    }

    /// The public name of a message that `role` sends as `internal`.
    pub(crate) fn sending(self, role: &Role, translation: &Translation, internal: &MessageName) -> MessageName {
        let namespace = match translation {
            Translation::None => return internal.clone(),
            Translation::Pairs(pairs) => return public(pairs, internal),
            Translation::Namespace(namespace) => &**namespace,
        };
        match self {
            Self::Ours => replace(internal, namespace, role.as_str()),
            Self::Original => match parts(internal) {
                Some((first, second)) if first == namespace => joined(internal, role.as_str(), second),
                Some(_) | None => internal.clone(),
            },
        }
    }

    /// What `role` calls the message `public`.
    pub(crate) fn delivering(self, role: &Role, translation: &Translation, public: &MessageName) -> MessageName {
        let namespace = match translation {
            Translation::None => return public.clone(),
            Translation::Pairs(pairs) => return internal(pairs, public),
            Translation::Namespace(namespace) => &**namespace,
        };
        match self {
            Self::Ours => replace(public, role.as_str(), namespace),
            Self::Original => match parts(public) {
                Some((first, second)) if first != namespace => joined(public, namespace, second),
                Some(_) | None => public.clone(),
            },
        }
    }
}

fn public(pairs: &[Pair], name: &MessageName) -> MessageName {
    pairs.iter().find(|pair| pair.internal == *name).map_or(name, |pair| &pair.public).clone()
}

fn internal(pairs: &[Pair], name: &MessageName) -> MessageName {
    pairs.iter().find(|pair| pair.public == *name).map_or(name, |pair| &pair.internal).clone()
}

/// `source.rest` as `target.rest`; other names unchanged.
fn replace(name: &MessageName, source: &str, target: &str) -> MessageName {
    let rest = name.as_str().strip_prefix(source).and_then(|rest| rest.strip_prefix('.'));
    rest.map_or_else(|| name.clone(), |rest| joined(name, target, rest))
}

/// The first two parts of a name with a dot; what follows a second dot is lost, as in the original.
fn parts(name: &MessageName) -> Option<(&str, &str)> {
    let (first, rest) = name.as_str().split_once('.')?;
    Some((first, rest.split('.').next().unwrap_or_default()))
}

/// A name that would grow over its bound stays as it was.
fn joined(name: &MessageName, prefix: &str, rest: &str) -> MessageName {
    MessageName::parse(&format!("{prefix}.{rest}")).unwrap_or_else(|_| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Subscribing,
        Sending,
        Delivering,
    }
    use Step::{Delivering, Sending, Subscribing};

    /// Role `tweets` with the namespace `text-snippets`.
    fn check(rules: Rules, step: Step, name: &str, expected: &str) {
        check_with(rules, step, &Translation::Namespace("text-snippets".into()), name, expected);
    }

    fn check_with(rules: Rules, step: Step, translation: &Translation, name: &str, expected: &str) {
        let (role, name) = (Role::parse("tweets").unwrap(), MessageName::parse(name).unwrap());
        let translated = match step {
            Subscribing => rules.subscribing(&role, translation, &name),
            Sending => rules.sending(&role, translation, &name),
            Delivering => rules.delivering(&role, translation, &name),
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
            (Subscribing, "create", "tweets create"),
            (Delivering, "tweets create", "create"),
            (Delivering, "other", "create"),
            (Sending, "create.now", "create.now"),
        ] {
            BOTH.into_iter().for_each(|rules| check_with(rules, step, &pairs, name, expected));
        }
    }

    const BOTH: [Rules; 2] = [Rules::Ours, Rules::Original];

    #[test]
    fn without_a_namespace_every_name_is_unchanged() {
        for step in [Subscribing, Sending, Delivering] {
            BOTH.into_iter()
                .for_each(|rules| check_with(rules, step, &Translation::None, "tweets.create", "tweets.create"));
        }
    }

    #[test]
    fn without_a_dot_every_name_is_unchanged() {
        for step in [Subscribing, Sending, Delivering] {
            BOTH.into_iter().for_each(|rules| check(rules, step, "create tweet", "create tweet"));
        }
    }

    #[test]
    fn the_namespace_becomes_the_role_when_subscribing_and_sending() {
        BOTH.into_iter().for_each(|rules| check(rules, Subscribing, "text-snippets.create", "tweets.create"));
        BOTH.into_iter().for_each(|rules| check(rules, Sending, "text-snippets.created", "tweets.created"));
    }

    #[test]
    fn the_role_becomes_the_namespace_when_delivering() {
        BOTH.into_iter().for_each(|rules| check(rules, Delivering, "tweets.create", "text-snippets.create"));
        BOTH.into_iter().for_each(|rules| check(rules, Delivering, "text-snippets.create", "text-snippets.create"));
    }

    #[test]
    fn the_own_role_is_unchanged_when_subscribing_and_sending() {
        BOTH.into_iter().for_each(|rules| check(rules, Subscribing, "tweets.create", "tweets.create"));
        BOTH.into_iter().for_each(|rules| check(rules, Sending, "tweets.create", "tweets.create"));
    }

    #[test]
    fn a_foreign_prefix_is_unchanged_by_ours_and_rewritten_by_the_original() {
        check(Rules::Ours, Subscribing, "users.created", "users.created");
        check(Rules::Original, Subscribing, "users.created", "tweets.created");
        check(Rules::Ours, Delivering, "users.created", "users.created");
        check(Rules::Original, Delivering, "users.created", "text-snippets.created");
        BOTH.into_iter().for_each(|rules| check(rules, Sending, "users.create", "users.create"));
    }

    #[test]
    fn what_follows_a_second_dot_is_kept_by_ours_and_lost_by_the_original() {
        check(Rules::Ours, Subscribing, "text-snippets.create.now", "tweets.create.now");
        check(Rules::Original, Subscribing, "text-snippets.create.now", "tweets.create");
        check(Rules::Ours, Delivering, "tweets.create.now", "text-snippets.create.now");
        check(Rules::Original, Sending, "text-snippets.create.now", "tweets.create");
    }
}
