//! Steps about files, brokers that read them, and commands that run in their folder.

use std::process::{Output, Stdio};
use std::time::Duration;

use cucumber::gherkin::Step;
use cucumber::{given, then, when};
use regex::Regex;
use serde_json::Value;
use tokio::process::Command;

use crate::world::World;
use crate::world::eventually::eventually;

/// Timeout for a command.
const PATIENCE: Duration = Duration::from_secs(20);

#[given(regex = r#"^the file "([^"]+)":$"#)]
#[when(regex = r#"^the file "([^"]+)" becomes:$"#)]
async fn file(world: &mut World, step: &Step, name: String) {
    let path = world.file(&name);
    std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder can be made");
    std::fs::write(path, text(step)).expect("a file can be written");
}

#[given(regex = r#"^the file "([^"]+)" is not there$"#)]
#[when(regex = r#"^the file "([^"]+)" is deleted$"#)]
async fn deleted(world: &mut World, name: String) {
    std::fs::remove_file(world.file(&name)).expect("it was there");
}

#[given(regex = r"^the setting (\w+) is:$")]
async fn setting(world: &mut World, step: &Step, name: String) {
    world.settings.insert(name, text(step));
}

#[then(regex = r#"^the broker's log says "([^"]+)"(?: with (.+))?$"#)]
async fn logs(world: &mut World, words: String, fields: String) {
    let pattern = Regex::new(r#"(\w+) (\d+|"[^"]*")"#).expect("a fixed pattern");
    let fields: Vec<_> = pattern.captures_iter(&fields).map(|field| field.extract::<2>().1).collect();
    let folder = world.folder().display().to_string();
    let broker = world.process("broker");
    let fits = |line: &str| {
        let Ok(line) = serde_json::from_str::<Value>(&line.replace(&folder, "{folder}")) else { return false };
        let has = |[name, value]: &[&str; 2]| match &line[*name] {
            Value::String(text) => text.replace('"', "'") == value.trim_matches('"'),
            other => serde_json::from_str(value).is_ok_and(|value: Value| value == *other),
        };
        line["message"].as_str().is_some_and(|message| message.contains(&words)) && fields.iter().all(has)
    };
    eventually((&words, &fields, &broker), || async { broker.log().lines().any(fits).then_some(()) }).await;
}

#[when(regex = r"^I run `exorelay ([^`]+)` in the folder$")]
async fn run(world: &mut World, line: String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exorelay"));
    command.args(line.split_whitespace()).current_dir(world.folder()).env_clear().envs(&world.settings);
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let finished = tokio::time::timeout(PATIENCE, running).await.expect("the command ends in time");
    world.finished = Some(finished.expect("the command can be started"));
}

#[then(regex = r"^it exits with (\d+) and prints:$")]
async fn prints(world: &mut World, step: &Step, status: i32) {
    let finished = finished(world, status);
    assert_eq!(String::from_utf8_lossy(&finished.stdout), text(step));
}

#[then(regex = r"^it exits with (\d+) and prints nothing$")]
async fn prints_nothing(world: &mut World, status: i32) {
    let finished = finished(world, status);
    assert!(finished.stdout.is_empty() && finished.stderr.is_empty(), "{finished:?}");
}

#[then(regex = r#"^it exits with (\d+) and complains on one line: (.+)$"#)]
async fn complains(world: &mut World, status: i32, complaint: String) {
    let finished = finished(world, status);
    assert_eq!(finished.stdout, b"", "{finished:?}");
    let stderr = String::from_utf8_lossy(&finished.stderr);
    // A server writes it as a line of its log.
    let said = match serde_json::from_str::<serde_json::Value>(&stderr) {
        Ok(line) => line["message"].as_str().unwrap_or_default().to_owned(),
        Err(_) => stderr.strip_prefix("exorelay: ").unwrap_or(&stderr).trim_end_matches('\n').to_owned(),
    };
    assert_eq!((said, stderr.lines().count()), (complaint, 1));
}

fn finished(world: &World, status: i32) -> &Output {
    let finished = world.finished.as_ref().expect("a command has run");
    assert_eq!(finished.status.code(), Some(status), "{finished:?}");
    finished
}

/// The text below the step, without the line break before it.
fn text(step: &Step) -> String {
    step.docstring().expect("there is a text below the step").trim_start_matches('\n').to_owned()
}
