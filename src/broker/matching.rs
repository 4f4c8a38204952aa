//! Which messages of a landscape have nobody at their other end. exo 5.5.

use std::collections::HashSet;

use super::rules::TranslationRules;
use super::wire::{Landscape, RoleRoutes};
use crate::message::{MessageName, Role};

/// What names begin with that belong to the broker, which sends and receives them itself.
const OF_THE_BROKER: [&str; 2] = ["exocom.", "__"];

/// A message as one role sends or receives it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Spoken {
    /// Who sends or receives it.
    pub role: Role,
    /// What everybody else calls the message.
    pub public: MessageName,
}

/// The messages of a landscape that have only one end, each list in the landscape's order and without repetitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unmatched {
    /// Sent by a role, and received by none.
    pub sent: Vec<Spoken>,
    /// Received by a role, and sent by none.
    pub received: Vec<Spoken>,
}

impl Unmatched {
    /// Whether every message has both ends.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.received.is_empty()
    }
}

impl Landscape {
    /// What the roles send, by public names.
    pub fn sent(&self) -> Vec<Spoken> {
        self.spoken(|routes| &routes.sends, TranslationRules::public_when_sent)
    }

    /// What the roles receive, by public names.
    pub fn received(&self) -> Vec<Spoken> {
        self.spoken(|routes| &routes.receives, TranslationRules::public_when_received)
    }

    /// The messages with only one end. The other end of the security adapter, and of what a broker says by itself, is
    /// the broker.
    pub fn unmatched(&self) -> Unmatched {
        let (sent, received) = (self.sent(), self.received());
        Unmatched { sent: self.missing(&sent, &received), received: self.missing(&received, &sent) }
    }

    fn missing(&self, ours: &[Spoken], theirs: &[Spoken]) -> Vec<Spoken> {
        let known: HashSet<_> = theirs.iter().map(|spoken| &spoken.public).collect();
        let guards: HashSet<_> = self.roles.iter().filter(|routes| routes.is_security()).map(|it| &it.role).collect();
        let of_the_broker = |name: &MessageName| OF_THE_BROKER.iter().any(|start| name.as_str().starts_with(start));
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

    /// What is sent, and what is received, with nobody at the other end; by a landscape as `SERVICE_DATA` has it.
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
    fn a_message_with_one_end_is_told_once_for_each_role() {
        check(
            r#"{"web":{"sends":["a","a"]},"tv":{"sends":["a"]},"users":{"receives":["b"]}}"#,
            &["web: a", "tv: a"],
            &["users: b"],
        );
    }

    #[test]
    fn it_is_told_by_its_public_name() {
        let landscape = r#"{"users":{"sends":["b"],"receives":["c"],
            "translations":[{"public":"users b","internal":"b"},{"public":"users c","internal":"c"}]}}"#;
        check(landscape, &["users: users b"], &["users: users c"]);
    }

    #[test]
    fn the_broker_is_the_other_end_of_the_security_adapter() {
        check(r#"{"security":{},"web":{"receives":["message unauthorized"]}}"#, &[], &[]);
        check(r#"{"web":{"receives":["message unauthorized"]}}"#, &[], &["web: message unauthorized"]);
    }

    #[test]
    fn the_broker_is_the_other_end_of_what_it_says_by_itself() {
        check(r#"{"web":{"receives":["exocom.undelivered","__status"],"sends":["__status-ok"]}}"#, &[], &[]);
    }
}
