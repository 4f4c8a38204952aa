//! Roles that left recently, and the messages they received. They are expected back, after a restart for example.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use crate::message::{MessageName, Role};

/// Subscriptions of departed roles that are remembered, and the bytes of their names.
const DEPARTED_MAX: usize = 65_536;
const DEPARTED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The roles expected back, and the end of that expectation.
#[derive(Default)]
pub(crate) struct Departed {
    by_name: HashMap<MessageName, BTreeMap<Role, Instant>>,
    by_role: HashMap<Role, Vec<MessageName>>,
    count: usize,
    /// Bytes of the names.
    bytes: usize,
}

impl Departed {
    /// Records that the last instance of `role` that received `public` has left and is expected back before `until`.
    /// Ignored once too many subscriptions are remembered.
    pub(crate) fn left(&mut self, role: &Role, public: MessageName, until: Instant) {
        if let Some(known) = self.by_name.get_mut(&public).and_then(|roles| roles.get_mut(role)) {
            *known = until;
        } else if self.count < DEPARTED_MAX && self.bytes < DEPARTED_BYTES_MAX {
            self.bytes += public.as_str().len();
            self.by_name.entry(public.clone()).or_default().insert(role.clone(), until);
            self.by_role.entry(role.clone()).or_default().push(public);
            self.count += 1;
        }
    }

    /// Records that the role is back.
    pub(crate) fn returned(&mut self, role: &Role) {
        for public in self.by_role.remove(role).unwrap_or_default() {
            self.count -= 1;
            self.bytes -= public.as_str().len();
            let Some(roles) = self.by_name.get_mut(&public) else { continue };
            roles.remove(role);
            if roles.is_empty() {
                self.by_name.remove(&public);
            }
        }
    }

    /// Returns the roles that received `public` and are expected back.
    pub(crate) fn expected(&self, now: Instant, public: &MessageName) -> Vec<Role> {
        let roles = self.by_name.get(public).into_iter().flatten();
        roles.filter(|(_, until)| now < **until).map(|(role, _)| role.clone()).collect()
    }

    /// Forgets the roles that did not come back in time.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let mut count = 0;
        self.by_name.retain(|_, roles| {
            roles.retain(|_, until| now < *until);
            count += roles.len();
            !roles.is_empty()
        });
        if count < self.count {
            let Self { by_name, by_role, .. } = self;
            by_role.retain(|role, names| {
                names.retain(|public| by_name.get(public).is_some_and(|roles| roles.contains_key(role)));
                !names.is_empty()
            });
            self.count = count;
            self.bytes = by_role.values().flatten().map(|public| public.as_str().len()).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);

    fn role(text: &str) -> Role {
        Role::parse(text).unwrap()
    }

    fn name(text: &str) -> MessageName {
        MessageName::parse(text).unwrap()
    }

    #[test]
    fn a_role_that_left_is_expected_back_for_a_while() {
        let (mut departed, now) = (Departed::default(), Instant::now());
        departed.left(&role("users"), name("hello"), now + WINDOW);
        assert_eq!(departed.expected(now, &name("hello")), [role("users")]);
        assert!(departed.expected(now + WINDOW, &name("hello")).is_empty());
        departed.returned(&role("users"));
        assert!(departed.expected(now, &name("hello")).is_empty());
    }

    #[test]
    fn the_bytes_of_their_names_are_bounded() {
        let (mut departed, now) = (Departed::default(), Instant::now());
        let long = |number: usize| name(&format!("{number}{}", "x".repeat(1_000)));
        let count = 2 * DEPARTED_BYTES_MAX / 1_000;
        (0..count).for_each(|number| departed.left(&role("users"), long(number), now + WINDOW));
        assert!(departed.bytes < DEPARTED_BYTES_MAX + 1_024 && departed.count < count, "{}", departed.bytes);
        departed.returned(&role("users"));
        assert_eq!((departed.bytes, departed.count), (0, 0));
        departed.left(&role("users"), long(1), now + WINDOW);
        departed.sweep(now + WINDOW);
        assert_eq!(departed.bytes, 0);
    }

    #[test]
    fn the_number_of_expected_roles_is_bounded() {
        let (mut departed, now) = (Departed::default(), Instant::now());
        let roles: Vec<Role> = (0..=DEPARTED_MAX / 16).map(|number| role(&number.to_string())).collect();
        let names: Vec<MessageName> = (0..16).map(|number| name(&number.to_string())).collect();
        for _ in 0..2 {
            for role in &roles {
                names.iter().for_each(|name| departed.left(role, name.clone(), now + WINDOW));
            }
            assert_eq!(departed.expected(now, &names[0]).len(), DEPARTED_MAX / 16);
        }
        departed.returned(&roles[0]);
        departed.left(&roles[DEPARTED_MAX / 16], names[0].clone(), now + WINDOW * 2);
        assert_eq!(departed.expected(now, &names[0]).len(), DEPARTED_MAX / 16);
        departed.sweep(now + WINDOW);
        assert_eq!((departed.count, departed.by_name.len(), departed.by_role.len()), (1, 1, 1));
        departed.sweep(now + WINDOW * 2);
        assert_eq!((departed.count, departed.by_name.len(), departed.by_role.len()), (0, 0, 0));
    }
}
