//! The registry: its expected rows, and the state that they add up to.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::model::{Model, Naive};
use super::stage::{Command, REGISTRY, Stage, name};
use crate::streams::rules::{Content, Happened, Ledger, Limits};
use crate::streams::wire::{CreateRequest, Lifetime};

/// The expected row about a stream.
pub(super) fn row(now_ms: u64, operation: &str, path: &str, stream: &Naive, reason: &str) -> String {
    let lifetime = match &stream.lifetime {
        Lifetime::Unlimited => String::new(),
        Lifetime::Idle { ttl_s } => format!(r#","ttlSeconds":{ttl_s}"#),
        Lifetime::Until { text, .. } => format!(r#","expiresAt":"{text}""#),
    };
    let fork = stream.forked.as_ref().map_or(String::new(), |(source, position, sub_offset)| {
        let more = if *sub_offset > 0 { format!(r#","forkSubOffset":{sub_offset}"#) } else { String::new() };
        format!(r#","forkedFrom":"{source}","forkOffset":"0000000000000000_{position:016}"{more}"#)
    });
    let reason = if reason.is_empty() { String::new() } else { format!(r#","reason":"{reason}""#) };
    let value = if reason.is_empty() { "value" } else { "old_value" };
    let (content_type, created, closed) = (stream.content_type.as_str(), stream.created_ms, stream.closed);
    // The model's time passes in the first hour of 1970.
    let (minute, second, ms) = (now_ms / 60_000, now_ms / 1000 % 60, now_ms % 1000);
    format!(
        r#"{{"type":"stream","key":"{path}","{value}":{{"path":"{path}","contentType":"{content_type}","createdAt":{created},"closed":{closed}{lifetime}{fork}{reason}}},"headers":{{"operation":"{operation}","timestamp":"1970-01-01T00:{minute:02}:{second:02}.{ms:03}Z"}}}},"#
    )
}

/// The messages of the registry, verbatim.
fn rows(stage: &Stage) -> Vec<Box<RawValue>> {
    if stage.ledger.stream(&name(REGISTRY)).is_none() {
        return Vec::new();
    }
    let text = String::from_utf8(stage.content(REGISTRY)).unwrap();
    serde_json::from_str(&format!("[{}]", text.strip_suffix(',').unwrap())).unwrap()
}

/// The state protocol, chapter "Materialisation".
fn materialised(rows: &[Box<RawValue>]) -> BTreeMap<String, Value> {
    let mut state = BTreeMap::new();
    for row in rows {
        let row: Value = serde_json::from_str(row.get()).unwrap();
        assert_eq!(row["type"], "stream");
        let key = row["key"].as_str().unwrap().to_owned();
        match row["headers"]["operation"].as_str().unwrap() {
            "insert" => assert_eq!(state.insert(key, row["value"].clone()), None, "{row}: inserted twice"),
            "update" => drop(state.insert(key, row["value"].clone()).expect("it exists")),
            "delete" => drop(state.remove(&key).expect("it exists")),
            other => panic!("unknown operation {other}"),
        }
    }
    state
}

/// Checks that the rows are those of the model, in any order within one command, and that they add up to what exists.
pub(super) fn agree(stage: &Stage, model: &Model, seen: &mut usize) {
    let rows = rows(stage);
    let mut new: Vec<String> = rows[*seen..].iter().map(|row| format!("{},", without_era(row.get()))).collect();
    let mut expected = model.registry[*seen..].to_vec();
    new.sort();
    expected.sort();
    assert_eq!(new, expected);
    *seen = rows.len();
    let state = materialised(&rows);
    let live = model.streams.iter().filter(|(_, stream)| !stream.deleted);
    let live: Vec<(&str, bool)> = live.map(|(path, stream)| (path.as_str(), stream.closed)).collect();
    let listed = state.iter().filter(|(path, _)| *path != REGISTRY);
    let listed: Vec<(&str, bool)> =
        listed.map(|(path, row)| (path.as_str(), row["closed"].as_bool().unwrap())).collect();
    assert_eq!(listed, live);
    assert_eq!(state.contains_key(REGISTRY), !rows.is_empty(), "it lists itself, too");
    // Listeners get the same, except for the registry itself.
    assert_eq!(stage.events.len(), rows.len().saturating_sub(1));
    let end = stage.ledger.stream(&name(REGISTRY)).map(|registry| registry.next());
    assert_eq!(stage.events.last().and_then(|event| event.registry_next), end);
}

/// Replaces the era of the fork offset in a row with 0: the model knows positions only.
fn without_era(row: &str) -> String {
    let Some((before, offset)) = row.split_once(r#""forkOffset":""#) else { return row.to_owned() };
    format!(r#"{before}"forkOffset":"0000000000000000{}"#, &offset[16..])
}

fn created(path: &'static str, lifetime: Option<Lifetime>) -> Command {
    Command::Create { path, request: CreateRequest { lifetime, ..CreateRequest::default() }, body: "" }
}

fn events(stage: &Stage) -> Vec<(&str, &Happened)> {
    stage.events.iter().map(|event| (event.path.as_str(), &event.happened)).collect()
}

#[test]
fn the_expiry_of_a_stream_is_recorded_once() {
    let short = || Some(Lifetime::Idle { ttl_s: 1 });
    for notice in [Command::Sweep, created("a", None)] {
        let mut stage = Stage::new();
        stage.run(&created("a", short()));
        stage.run(&Command::Pass { ms: 1_000 });
        assert_eq!(stage.run(&Command::Read { path: "a" }).0, 404);
        stage.run(&notice);
        stage.run(&Command::Sweep);
        let expired = events(&stage).into_iter().filter(|(_, happened)| **happened == Happened::Expired).count();
        assert_eq!(expired, 1, "{notice:?}");
    }
}

#[test]
fn a_full_server_still_closes_and_deletes_and_records_that() {
    let mut ledger = Ledger::new(Limits { content_bytes_max: 1, ..super::stage::LIMITS }, 1, 1);
    let mut changes = Vec::new();
    let empty = || (Content::new(Bytes::new()), None);
    ledger.create(0, &name("a"), &CreateRequest::default(), empty(), &mut changes).unwrap();
    assert!(ledger.create(0, &name("b"), &CreateRequest::default(), empty(), &mut changes).is_err());
    let close = crate::streams::wire::AppendRequest { closed: true, ..Default::default() };
    ledger.append(0, &name("a"), &close, Content::new(Bytes::new()), &mut changes).unwrap();
    ledger.delete(0, &name("a"), &mut changes).unwrap();
    assert_eq!(changes.iter().filter(|change| matches!(change, super::super::Change::Happened(_))).count(), 3);
}

#[test]
fn switching_it_off_removes_it_and_switching_it_on_lists_what_exists() {
    let mut stage = Stage::new();
    for path in ["b", "a", "c"] {
        stage.run(&created(path, None));
    }
    stage.run(&Command::Delete { path: "c" });
    stage.reconcile_registry(false);
    assert_eq!(stage.run(&Command::Read { path: REGISTRY }).0, 404);
    stage.run(&Command::Delete { path: "b" });
    stage.run(&created("d", None));
    assert_eq!(rows(&stage).len(), 0);
    stage.reconcile_registry(true);
    let keys: Vec<String> = materialised(&rows(&stage)).into_keys().collect();
    assert_eq!(keys, [REGISTRY, "a", "d"]);
    stage.reconcile_registry(true);
    assert_eq!(rows(&stage).len(), 3, "a second time changes nothing");
}

#[test]
fn rows_of_streams_that_are_gone_leave_after_their_time_in_a_new_life() {
    let mut stage = Stage::new();
    stage.ledger.limits.registry_gone_ms = 5_000;
    stage.reconcile_registry(true);
    for path in ["a", "b"] {
        stage.run(&created(path, None));
    }
    let before = stage.ledger.stream(&name(REGISTRY)).unwrap().entry.log;
    stage.run(&Command::Delete { path: "a" });
    stage.run(&Command::Pass { ms: 4_999 });
    stage.run(&Command::Sweep);
    assert_eq!(rows(&stage).len(), 4, "it is too early");
    stage.run(&Command::Pass { ms: 1 });
    stage.run(&Command::Sweep);
    let keys: Vec<String> = rows(&stage).iter().map(|row| row.get().to_owned()).collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(!keys.concat().contains("\"a\""), "{keys:?}");
    assert!(stage.ledger.stream(&name(REGISTRY)).unwrap().entry.log > before);
    // Without further ends there is no further compaction.
    assert_eq!(stage.ledger.next_sweep_ms(), None);
    stage.run(&Command::Delete { path: "b" });
    assert_eq!(stage.ledger.next_sweep_ms(), Some(stage.now_ms + 5_000));
}

#[test]
fn streams_that_come_and_go_do_not_fill_the_server() {
    let mut stage = Stage::new();
    stage.ledger.limits.registry_gone_bytes_max = 1_000;
    stage.run(&created("a", None));
    for round in 0..500 {
        assert_eq!(stage.run(&created("b", None)).0, 201, "round {round}");
        assert_eq!(stage.run(&Command::Delete { path: "b" }).0, 204);
        stage.run(&Command::Sweep);
    }
    assert!(stage.ledger.content_bytes() < 2_500, "{}", stage.ledger.content_bytes());
    let keys: Vec<String> = materialised(&rows(&stage)).into_keys().collect();
    assert_eq!(keys, [REGISTRY, "a"]);
}
