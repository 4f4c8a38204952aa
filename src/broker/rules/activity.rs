//! Reconstructs an activity from the records of its messages: their order, and which message caused which.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::{FailedDelivery, TimedRecord};
use crate::broker::wire::{Activity, ActivityRow, TrafficRow, UndeliveredRow, millis};
use crate::message::{ActivityId, MessageId};

/// Returns the activity of these records and failed deliveries, given in any order; `None` if there are none.
pub(crate) fn activity(
    activity_id: ActivityId,
    records: &[TimedRecord],
    failures: &[FailedDelivery],
) -> Option<Activity> {
    let mut rows: Vec<(Instant, TrafficRow)> = records.iter().map(|timed| (timed.record.at, timed.row())).collect();
    let mut failures: Vec<&FailedDelivery> = failures.iter().collect();
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
    let mut causes = Causes::default();
    let mut messages: Vec<ActivityRow> = Vec::with_capacity(rows.len());
    for (position, (at, mut row)) in rows.iter().cloned().enumerate() {
        let parent = causes.parent(&row);
        if let (Some(parent), Some(_), None) = (parent, &row.response_to, row.response_time_ms) {
            // Conversations are forgotten sooner than records.
            row.response_time_ms = Some(millis(at.saturating_duration_since(rows[parent].0)));
        }
        causes.add(position, &row);
        let parent = parent.map(|parent| messages[parent].message.id.clone());
        messages.push(ActivityRow { message: row, parent, after_ms: after(at), undelivered: Vec::new() });
    }
    for failure in failures {
        // The same id may have been sent twice: the last time before the failure counts.
        let is_message = |row: &&mut ActivityRow| row.message.id == failure.row.id;
        let until = rows.partition_point(|(at, _)| *at <= failure.at);
        if let Some(row) = messages[..until].iter_mut().rev().find(is_message) {
            let (receiver, reason) = (failure.row.receiver.clone(), failure.row.reason.clone());
            row.undelivered.push(UndeliveredRow { receiver, reason, after_ms: after(failure.at) });
        }
    }
    Some(Activity { activity_id, messages })
}

/// The possible causes of the next message, as positions in the list of messages.
#[derive(Default)]
struct Causes {
    by_id: HashMap<String, usize>,
    /// The last message each instance received.
    received_by_instance: HashMap<String, usize>,
    /// The last message each role received.
    received_by_role: HashMap<String, usize>,
}

impl Causes {
    /// Returns the request of a reply; for any other message the last one that its sender received, its presumed cause.
    fn parent(&self, row: &TrafficRow) -> Option<usize> {
        if let Some(request) = &row.response_to {
            return self.by_id.get(request.as_str()).copied();
        }
        let instance = row.instance.as_ref().and_then(|instance| self.received_by_instance.get(instance.as_str()));
        // Records do not name the instance that got a message which waited for its role.
        let role = || self.received_by_role.get(row.sender.as_ref()?.as_str());
        instance.or_else(role).copied()
    }

    fn add(&mut self, position: usize, row: &TrafficRow) {
        self.by_id.insert(row.id.to_string(), position);
        for receiver in &row.receivers {
            self.received_by_role.insert(receiver.role.to_string(), position);
            if let Some(instance) = &receiver.instance {
                self.received_by_instance.insert(instance.to_string(), position);
            }
        }
        for role in &row.waiting_for {
            self.received_by_role.insert(role.to_string(), position);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::super::Record;
    use super::super::record::Receiver;
    use super::*;
    use crate::broker::wire::{Fate, Undelivered};
    use crate::message::{InstanceId, MessageName, Role};

    /// The record of a message from one role to another; each role has one instance, as in `users-1`.
    fn record(
        start: Instant,
        micros: u64,
        (id, sender, receiver): (&str, &str, &str),
        answers: Option<&str>,
    ) -> TimedRecord {
        let (role, name) = (|text: &str| Role::parse(text).unwrap(), MessageName::parse("m").unwrap());
        let instance = |role: &str| InstanceId::parse(&format!("{role}-1")).ok();
        let receiver = Receiver { role: role(receiver), instance: instance(receiver), name: name.clone() };
        let record = Record {
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
            absent: Vec::new(),
            left_out: 0,
            payload_bytes: 0,
            fate: Fate::Routed,
            detail: None,
        };
        TimedRecord { wall: SystemTime::UNIX_EPOCH, record }
    }

    fn failure(start: Instant, micros: u64, id: &str, receiver: &str) -> FailedDelivery {
        let row = Undelivered {
            id: MessageId::parse(id).unwrap(),
            name: MessageName::parse("m").unwrap(),
            sender: None,
            receiver: Role::parse(receiver).ok(),
            reason: format!("{receiver} is away"),
            at: "1970-01-01T00:00:00Z".into(),
            activity_id: ActivityId::parse("a").unwrap(),
        };
        let (at, receiver_name) = (start + Duration::from_micros(micros), MessageName::parse("m").unwrap());
        FailedDelivery { at, row, receiver_name, response_to: None, payload_bytes: 0 }
    }

    fn rows_of(records: &[TimedRecord], failures: &[FailedDelivery]) -> Vec<ActivityRow> {
        activity(ActivityId::parse("a").unwrap(), records, failures).map_or(Vec::new(), |activity| activity.messages)
    }

    /// Expects messages with these ids, parents and response times.
    fn check(rows: &[ActivityRow], expected: &[(&str, Option<&str>, Option<f64>)]) {
        let parent = |row: &ActivityRow| row.parent.as_ref().map(ToString::to_string);
        let actual: Vec<_> =
            rows.iter().map(|row| (row.message.id.to_string(), parent(row), row.message.response_time_ms)).collect();
        let expected: Vec<_> =
            expected.iter().map(|(id, parent, ms)| ((*id).to_owned(), parent.map(str::to_owned), *ms)).collect();
        assert_eq!(actual, expected);
    }

    #[test]
    fn without_records_there_is_no_activity() {
        assert_eq!(activity(ActivityId::parse("a").unwrap(), &[], &[]), None);
    }

    #[test]
    fn the_parent_of_a_reply_is_its_request_and_its_response_time_counts_from_there() {
        let start = Instant::now();
        let rows = rows_of(
            &[
                record(start, 9_000, ("4", "users", "web"), Some("1")),
                record(start, 0, ("1", "web", "users"), None),
                record(start, 2_000, ("2", "web", "log"), None),
                record(start, 7_600, ("3", "log", "web"), Some("2")),
            ],
            &[],
        );
        check(&rows, &[("1", None, None), ("2", None, None), ("3", Some("2"), Some(5.6)), ("4", Some("1"), Some(9.0))]);
        assert_eq!(rows.iter().map(|row| row.after_ms).collect::<Vec<_>>(), [0.0, 2.0, 7.6, 9.0]);
    }

    #[test]
    fn the_parent_of_any_other_message_is_the_last_one_its_sender_received() {
        let start = Instant::now();
        let mut by_role = record(start, 3, ("4", "log", "web"), None);
        by_role.record.origin = None;
        let rows = rows_of(
            &[
                record(start, 0, ("1", "web", "users"), None),
                record(start, 1, ("2", "users", "log"), None),
                record(start, 2, ("3", "web", "mail"), None),
                by_role,
            ],
            &[],
        );
        check(&rows, &[("1", None, None), ("2", Some("1"), None), ("3", None, None), ("4", Some("2"), None)]);
    }

    #[test]
    fn a_message_without_a_record_is_no_parent() {
        let start = Instant::now();
        check(&rows_of(&[record(start, 0, ("2", "users", "web"), Some("1"))], &[]), &[("2", None, None)]);
        check(&rows_of(&[record(start, 0, ("2", "users", "users"), Some("2"))], &[]), &[("2", None, None)]);
    }

    #[test]
    fn failed_deliveries_are_listed_with_their_message() {
        let start = Instant::now();
        let again = record(start, 30, ("1", "web", "users"), None);
        let messages = [record(start, 0, ("1", "web", "users"), None), again];
        let rows = rows_of(&messages, &[failure(start, 40, "1", "users"), failure(start, 20, "1", "log")]);
        let reasons: Vec<Vec<_>> =
            rows.iter().map(|row| row.undelivered.iter().map(|row| row.reason.as_str()).collect()).collect();
        assert_eq!(reasons, [["log is away"], ["users is away"]]);
        assert_eq!(rows[1].undelivered[0].after_ms, 0.04);
    }

    #[test]
    fn a_message_without_a_record_is_known_from_its_failures() {
        let start = Instant::now();
        let rows = rows_of(
            &[record(start, 0, ("1", "web", "users"), None)],
            &[failure(start, 20, "2", "users"), failure(start, 10, "2", "log")],
        );
        check(&rows, &[("1", None, None), ("2", None, None)]);
        assert_eq!((rows[1].message.fate, rows[1].undelivered.len(), rows[1].after_ms), (Fate::Undelivered, 2, 0.01));
    }

    proptest! {
        #[test]
        fn parents_precede_their_children_and_times_do_not_run_backwards(
            list in proptest::collection::vec((0_u64..9, 0..5, 0..3, 0..3, proptest::option::of(0..5)), 1..12),
        ) {
            let start = Instant::now();
            let text = |number: i32| number.to_string();
            let records: Vec<TimedRecord> = list
                .iter()
                .map(|(at, id, from, to, answers)| {
                    let answers = answers.map(text);
                    record(start, *at, (&text(*id), &text(*from), &text(*to)), answers.as_deref())
                })
                .collect();
            let rows = rows_of(&records, &[failure(start, 4, "3", "users"), failure(start, 9, "9", "users")]);
            prop_assert_eq!(rows.len(), records.len() + 1 + usize::from(list.iter().all(|entry| entry.1 != 3)));
            for (position, row) in rows.iter().enumerate() {
                let before = &rows[..position];
                prop_assert!(row.parent.as_ref().is_none_or(|id| before.iter().any(|other| other.message.id == *id)));
                prop_assert!(before.last().is_none_or(|other| other.after_ms <= row.after_ms));
            }
        }
    }
}
