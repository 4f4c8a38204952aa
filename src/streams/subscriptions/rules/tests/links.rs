//! Tests of links: the streams that a subscription follows.

use super::harness::{Harness, id, path};
use crate::streams::subscriptions::rules::{Outcome, Refusal};
use crate::streams::subscriptions::wire::Page;

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
    assert_eq!(announced, [("events/new", true)], "a stream without news is not in the wake");
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
    assert_eq!(harness.links("s"), [("named".into(), true, None)]);
    for name in ["events/a", "named"] {
        harness.append(name);
    }
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
fn a_stream_of_a_pattern_has_a_link_only_while_something_is_unread() {
    let mut harness = Harness::new();
    for number in 0..40 {
        harness.append(&format!("events/{number}"));
    }
    harness.webhook("s", EVENTS).unwrap();
    assert_eq!((harness.stored_links(), harness.links("s").len()), (0, 40), "all count as read");
    harness.append("events/7");
    harness.append("events/7");
    harness.append("other");
    assert_eq!(harness.stored_links(), 1);
    let attempt = harness.run_due().remove(0);
    assert_eq!(attempt.wake.streams.len(), 1);
    assert_eq!(attempt.wake.streams[0].acked.map(|offset| offset.position()), Some(1), "it was read up to there");
    harness.record_outcome(&attempt, &Outcome::Done);
    assert_eq!((harness.stored_links(), harness.set.budget.used().links), (0, 0));
    assert!(harness.links("s").iter().all(|(.., acked)| acked.is_some()));
}

#[test]
fn links_are_limited_for_all_subscriptions_together_and_each_has_a_share() {
    let mut harness = Harness::with_links_max(8);
    harness.webhook("greedy", r#""pattern":"**""#).unwrap();
    harness.webhook("s", EVENTS).unwrap();
    for number in 0..9 {
        harness.append(&format!("other/{number}"));
    }
    assert_eq!((harness.stored_links(), harness.left_out), (4, 5), "half of them are for all alike");
    harness.append("events/a");
    harness.append("events/b");
    harness.append("events/c");
    assert_eq!(harness.stored_links(), 6, "and of the other half each has a share");
    let names = r#""streams":["1","2","3"]"#;
    assert_eq!(
        harness.webhook("named", names).unwrap_err(),
        Refusal::TooManyLinks { links_max: 8, bytes_max: 1_000_000 }
    );
    harness.reopen();
    assert_eq!(harness.stored_links(), 6);
    harness.unsubscribe("greedy");
    harness.append("events/c");
    let attempt = harness.run_due().remove(0);
    assert_eq!(attempt.wake.streams.len(), 3, "what was left out is linked when it grows, once there is space");
    assert_eq!(harness.set.budget.used().links, 3);
}

#[test]
fn texts_of_subscriptions_are_limited() {
    let mut harness = Harness::with_links_max(1_000);
    let long = |name: &str| {
        format!(
            r#""streams":[{}]"#,
            (0..60).map(|n| format!("\"{name}{}{n}\"", "x".repeat(1000))).collect::<Vec<_>>().join(",")
        )
    };
    harness.webhook("1", &long("a")).unwrap();
    let refused = harness.webhook("2", &long("b")).unwrap_err();
    assert!(matches!(refused, Refusal::TooManyLinks { .. }), "{refused}");
    harness.unsubscribe("1");
    assert_eq!(harness.set.budget.used().bytes, 0);
    harness.webhook("2", &long("b")).unwrap();
}

#[test]
fn a_view_has_pages() {
    let mut harness = Harness::new();
    for name in ["a/1", "events/1", "events/2", "events/3", "events/4", "z"] {
        harness.append(name);
    }
    harness.webhook("s", r#""pattern":"events/*","streams":["a/0","events/2","zz"]"#).unwrap();
    harness.append("events/3");
    let mut page = Page { after: None, limit: 2 };
    let mut pages = Vec::new();
    loop {
        let view = harness.set.view((harness.now_ms, &harness.ledger), &id("s"), &page).unwrap();
        pages.push(view.streams.iter().map(|view| view.path.to_string()).collect::<Vec<_>>());
        match view.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(pages, [vec!["a/0", "events/1"], vec!["events/2", "events/3"], vec!["events/4", "zz"]]);
}

#[test]
fn a_subscription_of_an_earlier_version_keeps_what_it_has_not_read() {
    let mut harness = Harness::new();
    for name in ["events/read", "events/unread", "events/again"] {
        harness.append(name);
    }
    harness.webhook("s", EVENTS).unwrap();
    let logs = ["events/read", "events/unread", "events/again"].map(|name| harness.log(name));
    harness.append("events/unread");
    harness.delete("events/again");
    harness.append("events/again");
    harness.append("events/newer");
    harness.store_as_before(
        "s",
        &[("events/read", logs[0], Some(1)), ("events/unread", logs[1], Some(1)), ("events/again", logs[2], Some(1))],
    );
    harness.reopen();
    let expected = [("again", None), ("newer", None), ("read", Some(1)), ("unread", Some(1))];
    let expected = expected.map(|(name, acked)| (format!("events/{name}"), false, acked));
    assert_eq!(harness.links("s"), expected);
    assert_eq!(harness.run_due()[0].wake.streams.len(), 3);
    harness.reopen();
    assert_eq!((harness.links("s"), harness.stored_links()), (expected.to_vec(), 3));
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
