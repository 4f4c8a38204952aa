//! One activity as a story: its messages in order, each with the one before it.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::Seen;
use crate::broker::wire::{Activity, ActivityRow, Fate, TrafficRow, Undelivered, UndeliveredRow, millis};
use crate::message::{ActivityId, MessageId, MessageName};

/// One message that one role did not get.
#[derive(Debug, Clone)]
pub(crate) struct GivenUp {
    /// When it was given up.
    pub(crate) at: Instant,
    /// What others get to see of it.
    pub(crate) row: Undelivered,
    /// What the receiver would have called it.
    pub(crate) called: MessageName,
    /// The message it answers.
    pub(crate) response_to: Option<MessageId>,
    pub(crate) payload_bytes: usize,
}

impl GivenUp {
    /// The message, where this report is all that is known of it.
    fn message(&self) -> TrafficRow {
        let Undelivered { id, name, sender, at, activity_id, receiver: _, reason: _ } = &self.row;
        TrafficRow {
            at: at.clone(),
            id: id.clone(),
            name: name.clone(),
            public_name: name.clone(),
            sender: sender.clone(),
            instance: None,
            activity_id: activity_id.clone(),
            response_to: self.response_to.clone(),
            response_time_ms: None,
            receivers: Vec::new(),
            waiting_for: Vec::new(),
            left_out: 0,
            payload_bytes: self.payload_bytes,
            fate: Fate::Undelivered,
            detail: None,
        }
    }
}

/// Tells the activity from what is known of its messages; `None` if that is nothing. Both lists in any order.
pub(crate) fn activity(activity_id: ActivityId, seen: &[Seen], given_up: &[GivenUp]) -> Option<Activity> {
    let mut rows: Vec<(Instant, TrafficRow)> = seen.iter().map(|seen| (seen.passage.at, seen.row())).collect();
    let mut failures: Vec<&GivenUp> = given_up.iter().collect();
    failures.sort_by_key(|failure| failure.at);
    let mut known: HashSet<MessageId> = rows.iter().map(|(_, row)| row.id.clone()).collect();
    for failure in &failures {
        if known.insert(failure.row.id.clone()) {
            rows.push((failure.at, failure.message()));
        }
    }
    rows.sort_by_key(|(at, _)| *at);
    let start = rows.first()?.0;
    let after = |at: Instant| millis(at.saturating_duration_since(start));
    let mut story = Story::default();
    let mut messages: Vec<ActivityRow> = Vec::with_capacity(rows.len());
    for (place, (at, mut row)) in rows.iter().cloned().enumerate() {
        let parent = story.parent(&row);
        if let (Some(parent), Some(_), None) = (parent, &row.response_to, row.response_time_ms) {
            // The rules forget a request sooner than the record does.
            row.response_time_ms = Some(millis(at.saturating_duration_since(rows[parent].0)));
        }
        story.enter(place, &row);
        let parent = parent.map(|parent| messages[parent].message.id.clone());
        messages.push(ActivityRow { message: row, parent, after_ms: after(at), undelivered: Vec::new() });
    }
    for failure in failures {
        // A message that was sent twice under one id: its last sending before the failure.
        let is_it = |row: &&mut ActivityRow| row.message.id == failure.row.id;
        let until = rows.partition_point(|(at, _)| *at <= failure.at);
        if let Some(row) = messages[..until].iter_mut().rev().find(is_it) {
            let (receiver, reason) = (failure.row.receiver.clone(), failure.row.reason.clone());
            row.undelivered.push(UndeliveredRow { receiver, reason, after_ms: after(failure.at) });
        }
    }
    Some(Activity { activity_id, messages })
}

/// What has happened so far, as places in the list of messages.
#[derive(Default)]
struct Story {
    by_id: HashMap<String, usize>,
    /// What an instance got last.
    got_by_instance: HashMap<String, usize>,
    /// What a role got last.
    got_by_role: HashMap<String, usize>,
}

impl Story {
    /// The message that this one answers; if it answers none, the last that its sender had got, which is taken for its
    /// cause.
    fn parent(&self, row: &TrafficRow) -> Option<usize> {
        if let Some(request) = &row.response_to {
            return self.by_id.get(request.as_str()).copied();
        }
        let instance = row.instance.as_ref().and_then(|instance| self.got_by_instance.get(instance.as_str()));
        // Which instance got what waited for its role is not on record.
        let role = || self.got_by_role.get(row.sender.as_ref()?.as_str());
        instance.or_else(role).copied()
    }

    fn enter(&mut self, place: usize, row: &TrafficRow) {
        self.by_id.insert(row.id.to_string(), place);
        for receiver in &row.receivers {
            self.got_by_role.insert(receiver.role.to_string(), place);
            if let Some(instance) = &receiver.instance {
                self.got_by_instance.insert(instance.to_string(), place);
            }
        }
        for role in &row.waiting_for {
            self.got_by_role.insert(role.to_string(), place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::super::Passage;
    use super::super::passage::Receiver;
    use super::*;
    use crate::message::{InstanceId, Role};

    /// One instance of each role: `users` is `users-1`.
    fn seen(start: Instant, micros: u64, (id, sender, receiver): (&str, &str, &str), answers: Option<&str>) -> Seen {
        let (role, name) = (|text: &str| Role::parse(text).unwrap(), MessageName::parse("m").unwrap());
        let instance = |role: &str| InstanceId::parse(&format!("{role}-1")).ok();
        let receiver = Receiver { role: role(receiver), instance: instance(receiver), name: name.clone() };
        let passage = Passage {
            at: start + Duration::from_micros(micros),
            id: MessageId::parse(id).unwrap(),
            name: name.clone(),
            public: name,
            sender: Some(role(sender)),
            origin: instance(sender),
            activity: ActivityId::parse("a").unwrap(),
            response_to: answers.map(|id| MessageId::parse(id).unwrap()),
            response_time: None,
            receivers: vec![receiver],
            awaited: Vec::new(),
            left_out: 0,
            payload_bytes: 0,
            fate: Fate::Routed,
            detail: None,
        };
        Seen { wall: SystemTime::UNIX_EPOCH, passage }
    }

    fn given_up(start: Instant, micros: u64, id: &str, receiver: &str) -> GivenUp {
        let row = Undelivered {
            id: MessageId::parse(id).unwrap(),
            name: MessageName::parse("m").unwrap(),
            sender: None,
            receiver: Role::parse(receiver).ok(),
            reason: format!("{receiver} is away"),
            at: "1970-01-01T00:00:00Z".into(),
            activity_id: ActivityId::parse("a").unwrap(),
        };
        let (at, called) = (start + Duration::from_micros(micros), MessageName::parse("m").unwrap());
        GivenUp { at, row, called, response_to: None, payload_bytes: 0 }
    }

    fn told(seen: &[Seen], given_up: &[GivenUp]) -> Vec<ActivityRow> {
        activity(ActivityId::parse("a").unwrap(), seen, given_up).map_or(Vec::new(), |activity| activity.messages)
    }

    /// Each line is a message, the one before it, and how long after it the message answered.
    fn check(rows: &[ActivityRow], expected: &[(&str, Option<&str>, Option<f64>)]) {
        let parent = |row: &ActivityRow| row.parent.as_ref().map(ToString::to_string);
        let story: Vec<_> =
            rows.iter().map(|row| (row.message.id.to_string(), parent(row), row.message.response_time_ms)).collect();
        let expected: Vec<_> =
            expected.iter().map(|(id, parent, ms)| ((*id).to_owned(), parent.map(str::to_owned), *ms)).collect();
        assert_eq!(story, expected);
    }

    #[test]
    fn nothing_known_is_nothing_told() {
        assert_eq!(activity(ActivityId::parse("a").unwrap(), &[], &[]), None);
    }

    #[test]
    fn an_answer_stands_below_its_request_and_counts_from_it() {
        let start = Instant::now();
        let rows = told(
            &[
                seen(start, 9_000, ("4", "users", "web"), Some("1")),
                seen(start, 0, ("1", "web", "users"), None),
                seen(start, 2_000, ("2", "web", "log"), None),
                seen(start, 7_600, ("3", "log", "web"), Some("2")),
            ],
            &[],
        );
        check(&rows, &[("1", None, None), ("2", None, None), ("3", Some("2"), Some(5.6)), ("4", Some("1"), Some(9.0))]);
        assert_eq!(rows.iter().map(|row| row.after_ms).collect::<Vec<_>>(), [0.0, 2.0, 7.6, 9.0]);
    }

    #[test]
    fn a_message_that_answers_nothing_stands_below_what_its_sender_got_last() {
        let start = Instant::now();
        let mut by_role = seen(start, 3, ("4", "log", "web"), None);
        by_role.passage.origin = None;
        let rows = told(
            &[
                seen(start, 0, ("1", "web", "users"), None),
                seen(start, 1, ("2", "users", "log"), None),
                seen(start, 2, ("3", "web", "mail"), None),
                by_role,
            ],
            &[],
        );
        check(&rows, &[("1", None, None), ("2", Some("1"), None), ("3", None, None), ("4", Some("2"), None)]);
    }

    #[test]
    fn what_is_off_the_record_is_nobodys_parent() {
        let start = Instant::now();
        check(&told(&[seen(start, 0, ("2", "users", "web"), Some("1"))], &[]), &[("2", None, None)]);
        check(&told(&[seen(start, 0, ("2", "users", "users"), Some("2"))], &[]), &[("2", None, None)]);
    }

    #[test]
    fn who_did_not_get_a_message_stands_with_it() {
        let start = Instant::now();
        let again = seen(start, 30, ("1", "web", "users"), None);
        let messages = [seen(start, 0, ("1", "web", "users"), None), again];
        let rows = told(&messages, &[given_up(start, 40, "1", "users"), given_up(start, 20, "1", "log")]);
        let reasons: Vec<Vec<_>> =
            rows.iter().map(|row| row.undelivered.iter().map(|row| row.reason.as_str()).collect()).collect();
        assert_eq!(reasons, [["log is away"], ["users is away"]]);
        assert_eq!(rows[1].undelivered[0].after_ms, 0.04);
    }

    #[test]
    fn a_message_that_was_never_routed_is_told_by_its_failures() {
        let start = Instant::now();
        let rows = told(
            &[seen(start, 0, ("1", "web", "users"), None)],
            &[given_up(start, 20, "2", "users"), given_up(start, 10, "2", "log")],
        );
        check(&rows, &[("1", None, None), ("2", None, None)]);
        assert_eq!((rows[1].message.fate, rows[1].undelivered.len(), rows[1].after_ms), (Fate::Undelivered, 2, 0.01));
    }

    proptest! {
        #[test]
        fn a_parent_stands_before_its_child_and_times_do_not_run_back(
            list in proptest::collection::vec((0_u64..9, 0..5, 0..3, 0..3, proptest::option::of(0..5)), 1..12),
        ) {
            let start = Instant::now();
            let text = |number: i32| number.to_string();
            let seen: Vec<Seen> = list
                .iter()
                .map(|(at, id, from, to, answers)| {
                    let answers = answers.map(text);
                    seen(start, *at, (&text(*id), &text(*from), &text(*to)), answers.as_deref())
                })
                .collect();
            let rows = told(&seen, &[given_up(start, 4, "3", "users"), given_up(start, 9, "9", "users")]);
            prop_assert_eq!(rows.len(), seen.len() + 1 + usize::from(list.iter().all(|entry| entry.1 != 3)));
            for (place, row) in rows.iter().enumerate() {
                let before = &rows[..place];
                prop_assert!(row.parent.as_ref().is_none_or(|id| before.iter().any(|other| other.message.id == *id)));
                prop_assert!(before.last().is_none_or(|other| other.after_ms <= row.after_ms));
            }
        }
    }
}
