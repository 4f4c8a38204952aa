//! Renders broker traffic as text: a message as one line, an activity as an indented timeline.

use std::collections::HashMap;
use std::fmt::Write;

use super::output::one_line;
use crate::broker::{Activity, ActivityRow, Fate, TrafficRow, Undelivered, UndeliveredRow};
use crate::message::Role;

/// Maximum indentation of a timeline; deeper messages are shown at this depth.
const DEPTH_MAX: usize = 24;

/// Renders a message as the broker logs it: `time sender  --[ name ]->  receivers  ( response time )`.
pub(super) fn line(row: &TrafficRow) -> String {
    let time = row.response_time_ms.map(|ms| format!("  ( {} )", duration(ms))).unwrap_or_default();
    format!("{} {}{time}", row.at, route(row))
}

/// Renders a failed delivery: `time sender  --[ name ]-x  receiver: reason`.
pub(super) fn failure_line(row: &Undelivered) -> String {
    let failure = UndeliveredRow { receiver: row.receiver.clone(), reason: row.reason.clone(), after_ms: 0.0 };
    let sender = row.sender.as_ref().map_or("?", Role::as_str);
    format!("{} {sender}  --[ {} ]-x  {}", row.at, row.name, failed(&failure))
}

/// Renders an activity: each message below the one that it answers or that caused it, after its time since the first
/// message.
pub(super) fn timeline(activity: &Activity) -> String {
    let mut lines = Vec::new();
    for (row, depth) in in_order(&activity.messages) {
        let time = row.message.response_time_ms.filter(|_| row.message.response_to.is_some());
        let time = time.map(|ms| format!("  answered after {}", duration(ms))).unwrap_or_default();
        lines.push((row.after_ms, depth, format!("{}{time}", route(&row.message))));
        lines.extend(
            row.undelivered.iter().map(|failure| (failure.after_ms, depth + 1, format!("x  {}", failed(failure)))),
        );
    }
    let offsets: Vec<String> = lines.iter().map(|(after_ms, ..)| format!("+{}", duration(*after_ms))).collect();
    let width = offsets.iter().map(String::len).max().unwrap_or_default();
    let start = activity.messages.first().map_or("", |row| &row.message.at);
    let count = activity.messages.len();
    let mut text = format!("activity {}: {count} message{}, from {start} on", activity.activity_id, plural(count));
    for (offset, (_, depth, line)) in offsets.iter().zip(&lines) {
        let indent = 2 * (*depth).min(DEPTH_MAX);
        write!(text, "\n{offset:>width$}  {:indent$}{line}", "").expect("writing to a String cannot fail");
    }
    text
}

/// Returns the messages with their depth, each before those below it.
fn in_order(rows: &[ActivityRow]) -> Vec<(&ActivityRow, usize)> {
    let mut indexes: HashMap<&str, usize> = HashMap::new();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); rows.len()];
    let mut open = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let parent = row.parent.as_ref().and_then(|id| indexes.get(id.as_str()));
        match parent {
            Some(parent) => children[*parent].push(index),
            None => open.push((index, 0)),
        }
        indexes.insert(row.message.id.as_str(), index);
    }
    open.reverse();
    let mut ordered = Vec::with_capacity(rows.len());
    while let Some((index, depth)) = open.pop() {
        ordered.push((&rows[index], depth));
        open.extend(children[index].iter().rev().map(|child| (*child, depth + 1)));
    }
    ordered
}

/// Renders `sender  --[ name ]->  receivers`, with one arrow for each name under which receivers get the message.
fn route(row: &TrafficRow) -> String {
    let mut text = row.sender.as_ref().map_or("?", Role::as_str).to_owned();
    let mut arrow = |received: &str, end: &str| match received == row.name.as_str() {
        true => text += &format!("  --[ {received} ]-{end}"),
        false => text += &format!("  --[ {} ]-[ {received} ]-{end}", row.name),
    };
    let stopped = match row.fate {
        Fate::Routed => None,
        Fate::NoReceivers => Some("nobody receives it".to_owned()),
        Fate::Forbidden => Some(one_line(row.detail.as_deref().unwrap_or("forbidden"))),
        Fate::Undelivered => Some("not delivered".to_owned()),
    };
    if let Some(stopped) = stopped {
        arrow(row.public_name.as_str(), &format!("x  {stopped}"));
        return text;
    }
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for receiver in &row.receivers {
        let (name, role) = (receiver.name.as_str(), receiver.role.to_string());
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, roles)) => roles.push(role),
            None => groups.push((name, vec![role])),
        }
    }
    let away: Vec<String> = row.waiting_for.iter().map(|role| format!("{role} (away)")).collect();
    if !away.is_empty() {
        groups.push((row.public_name.as_str(), away));
    }
    if groups.is_empty() {
        groups.push((row.public_name.as_str(), vec!["nobody yet".to_owned()]));
    }
    for (name, roles) in groups {
        arrow(name, &format!(">  {}", roles.join(" and ")));
    }
    match row.left_out {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

fn failed(row: &UndeliveredRow) -> String {
    let reason = one_line(&row.reason);
    row.receiver.as_ref().map(|receiver| format!("{receiver}: {reason}")).unwrap_or(reason)
}

/// Formats a duration with about three digits: `0.04 ms`, `7.6 ms`, `1.24 s`.
pub(super) fn duration(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => format!("{ms:.2} ms"),
        ms if ms < 1_000.0 => format!("{ms:.1} ms"),
        ms => format!("{:.2} s", ms / 1_000.0),
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(extra: &str) -> TrafficRow {
        let json = format!(
            r#"{{"at":"T","id":"1","name":"a.b","publicName":"a.b","sender":"web","activityId":"x","receivers":[],
            "payloadBytes":0,"fate":"routed"{extra}}}"#
        );
        // Through a map, where the last of two equal keys wins.
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        serde_json::from_value(value).unwrap()
    }

    fn check(extra: &str, expected: &str) {
        assert_eq!(line(&row(extra)), format!("T {expected}"));
    }

    fn receivers(list: &[(&str, &str)]) -> String {
        let rows = list.iter().map(|(role, name)| serde_json::json!({ "role": role, "instance": null, "name": name }));
        format!(",\"receivers\":{}", serde_json::Value::from_iter(rows))
    }

    #[test]
    fn a_message_is_one_line_with_its_response_time() {
        let users = receivers(&[("users", "a.b"), ("log", "a.b")]);
        check(&users, "web  --[ a.b ]->  users and log");
        check(&format!("{users},\"responseTimeMs\":7.596"), "web  --[ a.b ]->  users and log  ( 7.6 ms )");
    }

    #[test]
    fn translated_names_are_shown_in_the_arrow() {
        check(&receivers(&[("users", "m.b")]), "web  --[ a.b ]-[ m.b ]->  users");
        let both = receivers(&[("users", "m.b"), ("log", "a.b")]);
        check(&both, "web  --[ a.b ]-[ m.b ]->  users  --[ a.b ]->  log");
    }

    #[test]
    fn absent_receivers_are_marked() {
        let users = receivers(&[("users", "a.b")]);
        check(
            &format!("{users},\"waitingFor\":[\"log\"],\"leftOut\":2"),
            "web  --[ a.b ]->  users  --[ a.b ]->  log (away) and 2 more",
        );
        check("", "web  --[ a.b ]->  nobody yet");
    }

    #[test]
    fn an_undelivered_message_ends_in_a_cross() {
        check(",\"fate\":\"no-receivers\",\"sender\":null", "?  --[ a.b ]-x  nobody receives it");
        check(",\"fate\":\"forbidden\",\"detail\":\"no\\nway\"", "web  --[ a.b ]-x  no way");
        let failure =
            r#"{"id":"1","name":"m","sender":"web","receiver":"users","reason":"away","at":"T","activityId":"x"}"#;
        let failure: Undelivered = serde_json::from_str(failure).unwrap();
        assert_eq!(failure_line(&failure), "T web  --[ m ]-x  users: away");
        let nobody = Undelivered { receiver: None, ..failure };
        assert_eq!(failure_line(&nobody), "T web  --[ m ]-x  away");
    }

    fn activity_row(id: &str, parent: Option<&str>, after_ms: f64, response_time: Option<f64>) -> ActivityRow {
        let mut message = row(&receivers(&[("users", "a.b")]));
        message.id = crate::message::MessageId::parse(id).unwrap();
        message.name = crate::message::MessageName::parse(id).unwrap();
        message.receivers[0].name = message.name.clone();
        message.response_to = response_time.and(parent).map(|id| crate::message::MessageId::parse(id).unwrap());
        message.response_time_ms = response_time;
        let parent = parent.map(|id| crate::message::MessageId::parse(id).unwrap());
        ActivityRow { message, parent, after_ms, undelivered: Vec::new() }
    }

    #[test]
    fn an_activity_is_a_timeline_with_replies_below_their_requests() {
        let mut lost = activity_row("lost", Some("ask"), 8.0, None);
        lost.undelivered = vec![UndeliveredRow { receiver: None, reason: "queue full".into(), after_ms: 1_240.0 }];
        let messages = vec![
            activity_row("ask", None, 0.0, None),
            activity_row("other", None, 0.04, None),
            activity_row("answer", Some("ask"), 7.6, Some(7.6)),
            lost,
            activity_row("thanks", Some("answer"), 12.34, None),
        ];
        let activity = Activity { activity_id: crate::message::ActivityId::parse("x").unwrap(), messages };
        let expected = "\
activity x: 5 messages, from T on
+0.00 ms  web  --[ ask ]->  users
 +7.6 ms    web  --[ answer ]->  users  answered after 7.6 ms
+12.3 ms      web  --[ thanks ]->  users
 +8.0 ms    web  --[ lost ]->  users
 +1.24 s      x  queue full
+0.04 ms  web  --[ other ]->  users";
        assert_eq!(timeline(&activity), expected);
    }

    #[test]
    fn a_long_chain_has_limited_indentation() {
        let id = |number: usize| number.to_string();
        let chain = (0..4_096_usize).map(|number| {
            let parent = number.checked_sub(1).map(id);
            activity_row(&id(number), parent.as_deref(), 0.0, None)
        });
        let activity_id = crate::message::ActivityId::parse("x").unwrap();
        let text = timeline(&Activity { activity_id, messages: chain.collect() });
        assert_eq!(text.lines().count(), 4_097);
        assert!(text.lines().all(|line| line.len() < 120));
    }
}
