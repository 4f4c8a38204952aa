//! Messages of a landscape without a sender or a receiver. exo 5.5.

use std::collections::HashSet;

use super::rules::TranslationRules;
use super::wire::{Landscape, RoleRoutes};
use crate::message::{MessageName, Role};

/// Prefixes of messages that the broker itself sends or receives.
const BROKER_PREFIXES: [&str; 2] = ["exocom.", "__"];

/// A message as one role sends or receives it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Spoken {
    /// Role that sends or receives it.
    pub role: Role,
    /// Public name of the message.
    pub public: MessageName,
}

/// Messages of a landscape without a counterpart, in landscape order and without duplicates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unmatched {
    /// Sent, but not received by any role.
    pub sent: Vec<Spoken>,
    /// Received, but not sent by any role.
    pub received: Vec<Spoken>,
}

impl Unmatched {
    /// Returns true if every message has a sender and a receiver.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.received.is_empty()
    }
}

impl Landscape {
    /// Returns the messages that roles send, by public name.
    pub fn sent(&self) -> Vec<Spoken> {
        self.spoken(|routes| &routes.sends, TranslationRules::public_when_sent)
    }

    /// Returns the messages that roles receive, by public name.
    pub fn received(&self) -> Vec<Spoken> {
        self.spoken(|routes| &routes.receives, TranslationRules::public_when_received)
    }

    /// Returns the messages without a counterpart. The broker is the counterpart of the security adapter and of its own
    /// messages.
    pub fn unmatched(&self) -> Unmatched {
        let (sent, received) = (self.sent(), self.received());
        Unmatched { sent: self.missing(&sent, &received), received: self.missing(&received, &sent) }
    }

    fn missing(&self, ours: &[Spoken], theirs: &[Spoken]) -> Vec<Spoken> {
        let known: HashSet<_> = theirs.iter().map(|spoken| &spoken.public).collect();
        let guards: HashSet<_> = self.roles.iter().filter(|routes| routes.is_security()).map(|it| &it.role).collect();
        let of_the_broker = |name: &MessageName| BROKER_PREFIXES.iter().any(|start| name.as_str().starts_with(start));
        let lonely = |spoken: &&Spoken| {
            !known.contains(&spoken.public) && !guards.contains(&spoken.role) && !of_the_broker(&spoken.public)
        };
        ours.iter().filter(lonely).cloned().collect()
    }

    fn spoken(&self, names: fn(&RoleRoutes) -> &[MessageName], public: Translate) -> Vec<Spoken> {
        let mut known = HashSet::new();
        let all = self.roles.iter().flat_map(|routes| {
            let public = |internal| public(TranslationRules::Current, &routes.role, &routes.translation, internal);
            names(routes).iter().map(move |internal| Spoken { role: routes.role.clone(), public: public(internal) })
        });
        all.filter(|spoken| known.insert(spoken.clone())).collect()
    }
}

type Translate = fn(TranslationRules, &Role, &super::wire::Translation, &MessageName) -> MessageName;

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the unmatched messages of a landscape in the form of `SERVICE_DATA`.
    fn check(landscape: &str, sent: &[&str], received: &[&str]) {
        let landscape = Landscape::from_json(&landscape.to_owned().into()).unwrap();
        let text = |list: Vec<Spoken>| -> Vec<_> {
            list.into_iter().map(|spoken| format!("{}: {}", spoken.role, spoken.public)).collect()
        };
        let unmatched = landscape.unmatched();
        assert_eq!(unmatched.is_empty(), sent.is_empty() && received.is_empty());
        assert_eq!((text(unmatched.sent), text(unmatched.received)), (texts(sent), texts(received)));
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_message_with_both_ends_is_matched_by_its_public_name() {
        check(r#"{"web":{"sends":["a"]},"users":{"receives":["a"]}}"#, &[], &[]);
        check(
            r#"{"web":{"sends":["a"]},"users":{"receives":["b"],"translations":[{"public":"a","internal":"b"}]}}"#,
            &[],
            &[],
        );
        check(
            r#"[{"role":"web","sends":["users.a"]},{"role":"users","receives":["mongo.a"],"namespace":"mongo"}]"#,
            &[],
            &[],
        );
    }

    #[test]
    fn an_unmatched_message_is_listed_once_per_role() {
        check(
            r#"{"web":{"sends":["a","a"]},"tv":{"sends":["a"]},"users":{"receives":["b"]}}"#,
            &["web: a", "tv: a"],
            &["users: b"],
        );
    }

    #[test]
    fn unmatched_messages_are_listed_by_public_name() {
        let landscape = r#"{"users":{"sends":["b"],"receives":["c"],
            "translations":[{"public":"users b","internal":"b"},{"public":"users c","internal":"c"}]}}"#;
        check(landscape, &["users: users b"], &["users: users c"]);
    }

    #[test]
    fn the_broker_is_the_counterpart_of_the_security_adapter() {
        check(r#"{"security":{},"web":{"receives":["message unauthorized"]}}"#, &[], &[]);
        check(r#"{"web":{"receives":["message unauthorized"]}}"#, &[], &["web: message unauthorized"]);
    }

    #[test]
    fn the_broker_is_the_counterpart_of_its_own_messages() {
        check(r#"{"web":{"receives":["exocom.undelivered","__status"],"sends":["__status-ok"]}}"#, &[], &[]);
    }
}
