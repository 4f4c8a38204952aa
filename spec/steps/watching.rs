//! Steps about the commands that watch a broker.

use cucumber::gherkin::Step;
use cucumber::{given, then};
use regex::Regex;
use serde_json::Value;

use crate::world::World;
use crate::world::eventually::eventually;
use crate::world::process::Process;

/// Line that `tail` prints each time it follows a broker.
const FOLLOWING: &str = "following the traffic of";

#[given(regex = r"^`exorelay (tail [^`]+)` follows along$")]
async fn follows(world: &mut World, line: String) {
    let line = world.fill_in(&line).await;
    let arguments = line.split_whitespace().map(str::to_owned).collect();
    let process = Process::start(env!("CARGO_BIN_EXE_exorelay"), arguments, world.settings.clone());
    world.processes.push(("run".into(), process));
    follows_times(world, 1).await;
}

#[then("it follows along again")]
async fn follows_again(world: &mut World) {
    follows_times(world, 2).await;
}

async fn follows_times(world: &mut World, times: usize) {
    let process = world.process("run");
    eventually((FOLLOWING, times), || async { (process.log().matches(FOLLOWING).count() >= times).then_some(()) })
        .await;
}

#[then(regex = r"^it prints a line of JSON each for: (.+)$")]
async fn prints_each(world: &mut World, names: String) {
    let names: Vec<_> = names.split(", ").collect();
    let process = world.process("run");
    let lines = eventually((&names, "one line each"), || async {
        Some(process.lines()).filter(|lines| lines.len() >= names.len())
    });
    let name = |line: &String| serde_json::from_str::<Value>(line).expect("JSON")["name"].clone();
    assert_eq!(lines.await.iter().map(name).collect::<Vec<_>>(), names);
}

#[then(regex = r#"^it prints this timeline of "([^"]+)":$"#)]
async fn prints_timeline(world: &mut World, activity: String, step: &Step) {
    let expected: Vec<&str> =
        step.docstring.as_deref().expect("the step has a text").trim_matches('\n').lines().collect();
    let process = world.process("run");
    assert_eq!(process.wait().await, 0, "{}", process.log());
    let story = eventually(&activity, || async { Some(process.lines()).filter(|lines| lines.len() > expected.len()) });
    let failures = expected.iter().filter(|line| line.trim_start().starts_with("x ")).count();
    let (story, count) = (story.await, expected.len() - failures);
    assert!(story[0].starts_with(&format!("activity {activity}: {count} messages, from ")), "{story:#?}");
    let (offset, while_) = (pattern(r"^ *\+[\d.]+ m?s  "), pattern(r"answered after [\d.]+ m?s"));
    let plain = |line: &String| {
        assert!(offset.is_match(line), "{line}");
        while_.replace(&offset.replace(line, ""), "answered after a while").into_owned()
    };
    assert_eq!(story[1..].iter().map(plain).collect::<Vec<_>>(), expected);
}

#[then(regex = r"^every answer in it came at least (\d+) ms after its request$")]
async fn answered_after(world: &mut World, least: f64) {
    let time = pattern(r"answered after ([\d.]+) (m?s)$");
    let lines = world.process("run").lines();
    let times: Vec<f64> = lines
        .iter()
        .filter_map(|line| time.captures(line))
        .map(|found| found[1].parse::<f64>().expect("a number") * if &found[2] == "s" { 1_000.0 } else { 1.0 })
        .collect();
    assert!(!times.is_empty() && times.iter().all(|time| *time >= least), "{times:?} in {lines:#?}");
}

#[then(regex = r#"^it fails with one line that says "(.+)"$"#)]
async fn fails(world: &mut World, words: String) {
    let process = world.process("run");
    assert_eq!(process.wait().await, 1);
    eventually("a line on stderr", || async { (!process.log().is_empty()).then_some(()) }).await;
    let log = process.log();
    assert!(log.lines().count() == 1 && log.contains(&words), "{log}");
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern of ours")
}
