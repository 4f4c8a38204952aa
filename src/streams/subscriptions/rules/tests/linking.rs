//! Which streams a subscription hears of.

use super::stage::{Stage, path};
use crate::streams::subscriptions::rules::{Outcome, Refusal};

const EVENTS: &str = r#""pattern":"events/*""#;

fn paths(stage: &Stage) -> Vec<String> {
    stage.links("s").into_iter().map(|(path, ..)| path).collect()
}

#[test]
fn what_is_there_counts_as_read_and_what_comes_later_does_not() {
    let mut stage = Stage::new();
    stage.append("events/old");
    stage.webhook("s", EVENTS).unwrap();
    assert_eq!(stage.links("s"), [("events/old".into(), false, Some(1))]);
    assert!(stage.turn().is_empty());
    stage.append("events/new");
    stage.append("other/new");
    let attempts = stage.turn();
    assert_eq!(attempts.len(), 1);
    let told: Vec<_> = attempts[0].wake.streams.iter().map(|view| (view.path.as_str(), view.pending)).collect();
    assert_eq!(told, [("events/new", true), ("events/old", false)]);
    assert_eq!(stage.links("s")[0], ("events/new".into(), false, None));
}

#[test]
fn an_empty_stream_wakes_nobody() {
    let mut stage = Stage::new();
    stage.webhook("s", EVENTS).unwrap();
    stage.create("events/a", "text/plain");
    assert!(stage.turn().is_empty());
    assert_eq!(stage.links("s"), [("events/a".into(), false, None)]);
}

#[test]
fn a_name_wins_over_the_pattern_and_leaves_its_link_to_it() {
    let mut stage = Stage::new();
    stage.append("events/a");
    stage.webhook("s", EVENTS).unwrap();
    stage.add("s", &["events/a", "manual/b"]).unwrap();
    assert_eq!(stage.links("s"), [("events/a".into(), true, Some(1)), ("manual/b".into(), true, None)]);
    stage.add("s", &["events/a"]).unwrap();
    stage.remove("s", "events/a").unwrap();
    stage.remove("s", "manual/b").unwrap();
    stage.remove("s", "never/there").unwrap();
    assert_eq!(stage.links("s"), [("events/a".into(), false, Some(1))]);
    stage.reopen();
    assert_eq!(stage.links("s"), [("events/a".into(), false, Some(1))]);
}

#[test]
fn a_stream_of_the_same_name_starts_afresh() {
    let mut stage = Stage::new();
    stage.append("events/a");
    stage.append("named");
    stage.webhook("s", r#""pattern":"events/*","streams":["named"]"#).unwrap();
    for name in ["events/a", "named"] {
        stage.delete(name);
    }
    stage.tell();
    assert_eq!(stage.links("s"), [("named".into(), true, None)]);
    for name in ["events/a", "named"] {
        stage.append(name);
    }
    stage.tell();
    assert_eq!(stage.links("s"), [("events/a".into(), false, None), ("named".into(), true, None)]);
    stage.reopen();
    assert_eq!(stage.turn()[0].wake.streams.iter().filter(|view| view.pending).count(), 2);
}

#[test]
fn the_same_holds_when_nobody_was_told() {
    let mut stage = Stage::new();
    stage.append("events/a");
    stage.webhook("s", EVENTS).unwrap();
    stage.delete("events/a");
    stage.append("events/a");
    stage.append("events/b");
    stage.reopen();
    assert_eq!(stage.links("s"), [("events/a".into(), false, None), ("events/b".into(), false, None)]);
    assert_eq!(stage.turn().len(), 1);
}

#[test]
fn a_late_notice_of_a_former_life_changes_nothing() {
    let mut stage = Stage::new();
    stage.append("events/a");
    stage.delete("events/a");
    stage.append("events/a");
    stage.webhook("s", EVENTS).unwrap();
    stage.tell();
    assert_eq!(stage.links("s"), [("events/a".into(), false, Some(1))]);
    assert!(stage.turn().is_empty());
}

#[test]
fn a_forgotten_link_does_not_take_its_successor_along() {
    let mut stage = Stage::new();
    stage.append("events/a");
    stage.webhook("s", EVENTS).unwrap();
    stage.delete("events/a");
    stage.append("events/a");
    let attempts = stage.turn();
    stage.delivered(&attempts[0], &Outcome::Done);
    stage.turn();
    stage.reopen();
    assert_eq!(stage.links("s"), [("events/a".into(), false, Some(1))]);
    assert!(stage.turn().is_empty());
}

#[test]
fn naming_a_stream_that_the_pattern_has_as_unread_reads_nothing() {
    let mut stage = Stage::new();
    stage.webhook("s", EVENTS).unwrap();
    stage.append("events/a");
    stage.append("other");
    stage.add("s", &["events/a", "other"]).unwrap();
    assert_eq!(stage.links("s"), [("events/a".into(), true, None), ("other".into(), true, Some(1))]);
    assert_eq!(stage.turn().len(), 1);
}

#[test]
fn wake_streams_are_matched_by_no_pattern() {
    let mut stage = Stage::new();
    stage.create("wake", "application/json");
    stage.webhook("s", r#""pattern":"**""#).unwrap();
    assert_eq!(paths(&stage), ["wake"]);
    stage.pull("p", "wake", r#""pattern":"**""#).unwrap();
    assert!(paths(&stage).is_empty());
    stage.append("x");
    let attempts = stage.turn();
    assert_eq!(attempts.len(), 1);
    assert!(stage.tail("wake") > 0, "the worker is told");
    stage.delivered(&attempts[0], &Outcome::Done);
    assert!(stage.turn().is_empty(), "nobody is woken by the wake");
    stage.reopen();
    assert!(stage.turn().is_empty());
    stage.unsubscribe("p");
    assert_eq!(stage.turn().len(), 1, "now it is a stream like any other");
}

#[test]
fn a_wake_stream_can_be_named_by_others_only() {
    let mut stage = Stage::new();
    stage.create("wake", "application/json");
    assert!(matches!(stage.pull("p", "wake", r#""streams":["wake"]"#), Err(Refusal::Invalid(_))));
    stage.pull("p", "wake", EVENTS).unwrap();
    assert_eq!(stage.add("p", &["wake"]), Err(Refusal::OwnWakeStream { path: path("wake") }));
    stage.webhook("s", r#""streams":["wake"]"#).unwrap();
    stage.append("events/a");
    assert_eq!(stage.turn().len(), 1);
}

#[test]
fn links_have_a_bound() {
    let mut stage = Stage::with_links_max(2);
    stage.append("events/a");
    stage.append("events/b");
    stage.append("events/c");
    assert_eq!(stage.webhook("s", EVENTS).unwrap_err(), Refusal::TooManyLinks { links_max: 2 });
    stage.delete("events/c");
    stage.webhook("s", EVENTS).unwrap();
    assert_eq!(stage.add("s", &["other"]), Err(Refusal::TooManyLinks { links_max: 2 }));
    stage.append("events/d");
    assert!(stage.tell() > 0, "somebody is told what is left out");
    assert_eq!(paths(&stage), ["events/a", "events/b"]);
    stage.reopen();
    assert_eq!(paths(&stage), ["events/a", "events/b"]);
}

#[test]
fn subscriptions_have_a_bound() {
    let mut stage = Stage::new();
    for name in ["1", "2", "3", "4"] {
        stage.webhook(name, EVENTS).unwrap();
    }
    assert_eq!(stage.webhook("5", EVENTS).unwrap_err(), Refusal::TooMany { subscriptions_max: 4 });
    assert!(!stage.webhook("1", EVENTS).unwrap().1);
    assert!(matches!(stage.webhook("1", r#""pattern":"else""#), Err(Refusal::Exists { .. })));
}
