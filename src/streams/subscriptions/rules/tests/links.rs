//! Tests of links: the streams that a subscription follows.

use super::harness::{Harness, path};
use crate::streams::subscriptions::rules::{Outcome, Refusal};

const EVENTS: &str = r#""pattern":"events/*""#;

fn paths(harness: &Harness) -> Vec<String> {
    harness.links("s").into_iter().map(|(path, ..)| path).collect()
}

#[test]
fn existing_streams_count_as_read_and_newer_ones_as_unread() {
    let mut harness = Harness::new();
    harness.append("events/old");
    harness.webhook("s", EVENTS).unwrap();
    assert_eq!(harness.links("s"), [("events/old".into(), false, Some(1))]);
    assert!(harness.run_due().is_empty());
    harness.append("events/new");
    harness.append("other/new");
    let attempts = harness.run_due();
    assert_eq!(attempts.len(), 1);
    let announced: Vec<_> = attempts[0].wake.streams.iter().map(|view| (view.path.as_str(), view.pending)).collect();
    assert_eq!(announced, [("events/new", true), ("events/old", false)]);
    assert_eq!(harness.links("s")[0], ("events/new".into(), false, None));
}

#[test]
fn an_empty_stream_wakes_nobody() {
    let mut harness = Harness::new();
    harness.webhook("s", EVENTS).unwrap();
    harness.create("events/a", "text/plain");
    assert!(harness.run_due().is_empty());
    assert_eq!(harness.links("s"), [("events/a".into(), false, None)]);
}

#[test]
fn a_link_by_name_replaces_the_one_of_the_pattern_and_falls_back_to_it() {
    let mut harness = Harness::new();
    harness.append("events/a");
    harness.webhook("s", EVENTS).unwrap();
    harness.add("s", &["events/a", "manual/b"]).unwrap();
    assert_eq!(harness.links("s"), [("events/a".into(), true, Some(1)), ("manual/b".into(), true, None)]);
    harness.add("s", &["events/a"]).unwrap();
    harness.remove("s", "events/a").unwrap();
    harness.remove("s", "manual/b").unwrap();
    harness.remove("s", "never/there").unwrap();
    assert_eq!(harness.links("s"), [("events/a".into(), false, Some(1))]);
    harness.reopen();
    assert_eq!(harness.links("s"), [("events/a".into(), false, Some(1))]);
}

#[test]
fn a_recreated_stream_starts_unread() {
    let mut harness = Harness::new();
    harness.append("events/a");
    harness.append("named");
    harness.webhook("s", r#""pattern":"events/*","streams":["named"]"#).unwrap();
    for name in ["events/a", "named"] {
        harness.delete(name);
    }
    harness.apply_updates();
    assert_eq!(harness.links("s"), [("named".into(), true, None)]);
    for name in ["events/a", "named"] {
        harness.append(name);
    }
    harness.apply_updates();
    assert_eq!(harness.links("s"), [("events/a".into(), false, None), ("named".into(), true, None)]);
    harness.reopen();
    assert_eq!(harness.run_due()[0].wake.streams.iter().filter(|view| view.pending).count(), 2);
}

#[test]
fn a_recreated_stream_starts_unread_after_a_restart_too() {
    let mut harness = Harness::new();
    harness.append("events/a");
    harness.webhook("s", EVENTS).unwrap();
    harness.delete("events/a");
    harness.append("events/a");
    harness.append("events/b");
    harness.reopen();
    assert_eq!(harness.links("s"), [("events/a".into(), false, None), ("events/b".into(), false, None)]);
    assert_eq!(harness.run_due().len(), 1);
}

#[test]
fn a_late_update_of_an_earlier_incarnation_is_ignored() {
    let mut harness = Harness::new();
    harness.append("events/a");
    harness.delete("events/a");
    harness.append("events/a");
    harness.webhook("s", EVENTS).unwrap();
    harness.apply_updates();
    assert_eq!(harness.links("s"), [("events/a".into(), false, Some(1))]);
    assert!(harness.run_due().is_empty());
}

#[test]
fn the_removal_of_an_old_link_does_not_remove_its_successor() {
    let mut harness = Harness::new();
    harness.append("events/a");
    harness.webhook("s", EVENTS).unwrap();
    harness.delete("events/a");
    harness.append("events/a");
    let attempts = harness.run_due();
    harness.record_outcome(&attempts[0], &Outcome::Done);
    harness.run_due();
    harness.reopen();
    assert_eq!(harness.links("s"), [("events/a".into(), false, Some(1))]);
    assert!(harness.run_due().is_empty());
}

#[test]
fn naming_a_stream_keeps_its_unread_data_unread() {
    let mut harness = Harness::new();
    harness.webhook("s", EVENTS).unwrap();
    harness.append("events/a");
    harness.append("other");
    harness.add("s", &["events/a", "other"]).unwrap();
    assert_eq!(harness.links("s"), [("events/a".into(), true, None), ("other".into(), true, Some(1))]);
    assert_eq!(harness.run_due().len(), 1);
}

#[test]
fn no_pattern_matches_a_wake_stream() {
    let mut harness = Harness::new();
    harness.create("wake", "application/json");
    harness.webhook("s", r#""pattern":"**""#).unwrap();
    assert_eq!(paths(&harness), ["wake"]);
    harness.pull("p", "wake", r#""pattern":"**""#).unwrap();
    assert!(paths(&harness).is_empty());
    harness.append("x");
    let attempts = harness.run_due();
    assert_eq!(attempts.len(), 1);
    assert!(harness.tail("wake") > 0, "the wake event is appended");
    harness.record_outcome(&attempts[0], &Outcome::Done);
    assert!(harness.run_due().is_empty(), "the wake event wakes nobody");
    harness.reopen();
    assert!(harness.run_due().is_empty());
    harness.unsubscribe("p");
    assert_eq!(harness.run_due().len(), 1, "now it is a stream like any other");
}

#[test]
fn only_other_subscriptions_can_name_a_wake_stream() {
    let mut harness = Harness::new();
    harness.create("wake", "application/json");
    assert!(matches!(harness.pull("p", "wake", r#""streams":["wake"]"#), Err(Refusal::Invalid(_))));
    harness.pull("p", "wake", EVENTS).unwrap();
    assert_eq!(harness.add("p", &["wake"]), Err(Refusal::OwnWakeStream { path: path("wake") }));
    harness.webhook("s", r#""streams":["wake"]"#).unwrap();
    harness.append("events/a");
    assert_eq!(harness.run_due().len(), 1);
}

#[test]
fn links_are_limited() {
    let mut harness = Harness::with_links_max(2);
    harness.append("events/a");
    harness.append("events/b");
    harness.append("events/c");
    assert_eq!(harness.webhook("s", EVENTS).unwrap_err(), Refusal::TooManyLinks { links_max: 2 });
    harness.delete("events/c");
    harness.webhook("s", EVENTS).unwrap();
    assert_eq!(harness.add("s", &["other"]), Err(Refusal::TooManyLinks { links_max: 2 }));
    harness.append("events/d");
    assert!(harness.apply_updates() > 0, "the number of missing links is reported");
    assert_eq!(paths(&harness), ["events/a", "events/b"]);
    harness.reopen();
    assert_eq!(paths(&harness), ["events/a", "events/b"]);
}

#[test]
fn subscriptions_are_limited() {
    let mut harness = Harness::new();
    for name in ["1", "2", "3", "4"] {
        harness.webhook(name, EVENTS).unwrap();
    }
    assert_eq!(harness.webhook("5", EVENTS).unwrap_err(), Refusal::TooMany { subscriptions_max: 4 });
    assert!(!harness.webhook("1", EVENTS).unwrap().1);
    assert!(matches!(harness.webhook("1", r#""pattern":"else""#), Err(Refusal::Exists { .. })));
}
