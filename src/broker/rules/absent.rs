//! Roles that are not there: those that left a moment ago, and those that a broker which has just started does not know
//! of yet.
//!
//! Without this a restart would lose messages: that of a service those sent to it meanwhile, that of the broker those
//! sent before everybody has registered again.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::bytes_of;
use crate::message::{InstanceId, Message, MessageName, Role};

/// How many messages are remembered as wanted by a role that has left, counted for each such role.
const DEPARTED_MAX: usize = 65_536;

/// What is remembered about the absent.
pub(crate) struct Absent {
    /// When the roster counts as complete; `None` once it does, or until the first call.
    settles: Option<Instant>,
    settle: Duration,
    started: bool,
    early: VecDeque<Early>,
    early_max: usize,
    early_bytes: usize,
    early_bytes_max: usize,
    departed: HashMap<MessageName, Vec<(Role, Instant)>>,
    departed_count: usize,
}

/// A message of the time before the roster was complete.
#[derive(Debug, Clone)]
pub(crate) struct Early {
    pub(crate) message: Message,
    pub(crate) public: MessageName,
    pub(crate) origin: Option<InstanceId>,
    pub(crate) accepted: Instant,
    /// The roles that have it already.
    pub(crate) roles: Vec<Role>,
}

impl Absent {
    /// A roster that is complete `settle` after the first message or registration. Keeps `early_max` messages of
    /// `early_bytes_max` bytes until then.
    pub(crate) fn new(settle: Duration, early_max: usize, early_bytes_max: usize) -> Self {
        let (early, departed) = (VecDeque::new(), HashMap::new());
        Self {
            settles: None,
            settle,
            started: false,
            early,
            early_max,
            early_bytes: 0,
            early_bytes_max,
            departed,
            departed_count: 0,
        }
    }

    /// Whether the roster is still filling.
    pub(crate) fn is_settling(&mut self, now: Instant) -> bool {
        if !self.started {
            self.started = true;
            self.settles = Some(now + self.settle).filter(|_| !self.settle.is_zero());
        }
        self.settles.is_some_and(|settles| now < settles)
    }

    /// Keeps a message for roles that join late. `false` if there is no room.
    pub(crate) fn keep(&mut self, early: Early) -> bool {
        let bytes = self.early_bytes.saturating_add(bytes_of(&early.message));
        let room = self.early.len() < self.early_max && bytes <= self.early_bytes_max;
        if room {
            self.early_bytes = bytes;
            self.early.push_back(early);
        }
        room
    }

    /// The messages that `role` has missed among those `wanted`, oldest first; it counts as having them from now on.
    pub(crate) fn missed(&mut self, role: &Role, wanted: impl Fn(&MessageName) -> bool) -> Vec<Early> {
        let mut missed = Vec::new();
        for early in &mut self.early {
            if wanted(&early.public) && !early.roles.contains(role) {
                early.roles.push(role.clone());
                missed.push(early.clone());
            }
        }
        missed
    }

    /// Once the roster is complete: the messages that nobody came for.
    pub(crate) fn settle(&mut self, now: Instant) -> Vec<Early> {
        if self.settles.is_none_or(|settles| now < settles) {
            return Vec::new();
        }
        self.settles = None;
        self.early_bytes = 0;
        std::mem::take(&mut self.early).into_iter().filter(|early| early.roles.is_empty()).collect()
    }

    /// The last instance of `role` that received `public` has left; it is expected back before `until`. Those who leave
    /// when too many are expected already are not.
    pub(crate) fn left(&mut self, role: &Role, public: MessageName, until: Instant) {
        let known = self.departed.get_mut(&public).and_then(|roles| roles.iter_mut().find(|(known, _)| known == role));
        match known {
            Some(known) => known.1 = until,
            None if self.departed_count < DEPARTED_MAX => {
                self.departed.entry(public).or_default().push((role.clone(), until));
                self.departed_count += 1;
            }
            None => {}
        }
    }

    /// The role is there again.
    pub(crate) fn returned(&mut self, role: &Role) {
        self.keep_departed(|known, _| known != role);
    }

    /// The roles that received `public` and are expected back.
    pub(crate) fn expected(&self, now: Instant, public: &MessageName) -> Vec<Role> {
        let roles = self.departed.get(public).map(Vec::as_slice).unwrap_or_default();
        roles.iter().filter(|(_, until)| now < *until).map(|(role, _)| role.clone()).collect()
    }

    /// Forgets roles that did not come back in time.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.keep_departed(|_, until| now < until);
    }

    fn keep_departed(&mut self, keep: impl Fn(&Role, Instant) -> bool) {
        let mut count = 0;
        self.departed.retain(|_, roles| {
            roles.retain(|(role, until)| keep(role, *until));
            count += roles.len();
            !roles.is_empty()
        });
        self.departed_count = count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageId;

    const SETTLE: Duration = Duration::from_secs(5);

    fn role(text: &str) -> Role {
        Role::parse(text).unwrap()
    }

    fn name(text: &str) -> MessageName {
        MessageName::parse(text).unwrap()
    }

    fn early(text: &str, now: Instant) -> Early {
        let message = Message::new(MessageId::parse("1").unwrap(), name(text));
        Early { message, public: name(text), origin: None, accepted: now, roles: Vec::new() }
    }

    #[test]
    fn a_role_that_joins_late_gets_what_it_missed_once() {
        let (mut absent, now) = (Absent::new(SETTLE, 9, 99), Instant::now());
        assert!(absent.is_settling(now));
        assert!(absent.keep(early("hello", now)));
        let missed = |absent: &mut Absent| absent.missed(&role("users"), |public| public.as_str() == "hello").len();
        assert_eq!([missed(&mut absent), missed(&mut absent)], [1, 0]);
        assert!(absent.settle(now + SETTLE).is_empty());
    }

    #[test]
    fn a_message_nobody_came_for_is_given_up_when_the_roster_is_complete() {
        let (mut absent, now) = (Absent::new(SETTLE, 1, 99), Instant::now());
        assert!(absent.is_settling(now));
        assert!(absent.keep(early("hello", now)));
        assert!(!absent.keep(early("hello", now)));
        assert!(absent.settle(now).is_empty());
        assert_eq!(absent.settle(now + SETTLE).len(), 1);
        assert!(!absent.is_settling(now + SETTLE));
    }

    #[test]
    fn without_a_settling_time_the_roster_is_complete_at_once() {
        assert!(!Absent::new(Duration::ZERO, 9, 99).is_settling(Instant::now()));
    }

    #[test]
    fn no_more_roles_are_expected_than_can_be_remembered() {
        let (mut absent, now) = (Absent::new(SETTLE, 9, 99), Instant::now());
        let roles: Vec<Role> = (0..=DEPARTED_MAX / 16).map(|number| role(&number.to_string())).collect();
        let names: Vec<MessageName> = (0..16).map(|number| name(&number.to_string())).collect();
        for _ in 0..2 {
            roles.iter().for_each(|role| names.iter().for_each(|name| absent.left(role, name.clone(), now + SETTLE)));
            assert_eq!(absent.expected(now, &names[0]).len(), DEPARTED_MAX / 16);
        }
        absent.returned(&roles[0]);
        absent.left(&roles[DEPARTED_MAX / 16], names[0].clone(), now + SETTLE);
        assert_eq!(absent.expected(now, &names[0]).len(), DEPARTED_MAX / 16);
        absent.sweep(now + SETTLE);
        assert_eq!((absent.departed_count, absent.departed.len()), (0, 0));
    }

    #[test]
    fn a_role_that_left_is_expected_for_a_while() {
        let (mut absent, now) = (Absent::new(SETTLE, 9, 99), Instant::now());
        absent.left(&role("users"), name("hello"), now + SETTLE);
        assert_eq!(absent.expected(now, &name("hello")), [role("users")]);
        assert!(absent.expected(now + SETTLE, &name("hello")).is_empty());
        absent.returned(&role("users"));
        assert!(absent.expected(now, &name("hello")).is_empty());
    }
}
