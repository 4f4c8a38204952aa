//! Tests of the command line: output and exit codes.

mod configuration;
mod exec;
mod program;
mod samples;
mod service;
mod sidecar;
mod stream;
mod tail;
mod terminal;
mod tools;
mod watching;

use std::process::Command;

use program::{Finished, exorelay};

/// Runs `exorelay ARGUMENTS` and checks the exit code and that stdout or stderr contains `text`.
fn check(arguments: &[&str], code: i32, text: &str) -> Finished {
    let finished = exorelay(arguments).finish();
    finished.check(code, text);
    finished
}

#[test]
fn help_goes_to_stdout_and_ends_with_an_example() {
    for command in
        ["dev", "run", "broker", "send", "request", "tail", "activity", "ps", "lint", "health", "completions"]
    {
        assert_eq!(check(&[command, "--help"], 0, "\nExample").stderr, "");
    }
    for command in ["create", "append", "read", "follow", "close", "ls", "rm"] {
        check(&["stream", command, "--help"], 0, "\nExample");
    }
    for command in ["ls", "show", "replay", "discard"] {
        check(&["dead-letters", command, "--help"], 0, "\nExample");
    }
    check(&["--help"], 0, "Exit codes: 0 success, 1 failure, 64 wrong usage, 78 wrong configuration");
    check(&["config", "show", "--help"], 0, "Example: ");
    check(&["config", "check", "--help"], 0, "Example: ");
}

#[test]
fn help_groups_flags_and_shows_defaults() {
    // Lines are wrapped to the width of the terminal, so whitespace is ignored.
    let help = check(&["run", "--help"], 0, "").stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in [
        "Service: --role <NAME>",
        "Bus: --bus <URL>",
        "Process: --config <FILE>",
        "[default: http://127.0.0.1:3100]",
        "[default: accepted] [possible values: accepted, handled]",
    ] {
        assert!(help.contains(text), "{text}");
    }
}

#[test]
fn the_version_is_the_one_of_the_crate() {
    let version = check(&["--version"], 0, "");
    assert_eq!(version.stdout, format!("exorelay {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_exits_with_64_and_explains_on_stderr() {
    for (arguments, text) in [
        (&[][..], "Usage: exorelay"),
        (&["sned"], "'send'"),
        (&["run", "--rolle", "x"], "'--role'"),
        (&["run", "--register", "maybe"], "[possible values: auto, off]"),
        (&["request", "hello", "--timeout", "soon"], "expected seconds, or a time with its unit"),
        (&["tail", "--count", "0"], "'--count <N>'"),
        (&["send", "", "--api", "localhost:1"], "the message name is empty"),
        (&["send", "hello", "--api", "ftp://localhost"], "--api is \"ftp://localhost\": expected a URL"),
        (&["tail", "--role", "users"], "--broker <URL>"),
        (&["tail", "--broker", "localhost:1", "--no-ack"], "cannot be used with"),
        (&["tail", "--broker", "localhost:1", "--message", ""], "the message name is empty"),
        (&["tail", "--broker", "ftp://localhost"], "--broker is \"ftp://localhost\": expected a URL"),
        (&["stream", "read"], "<NAME>"),
        (&["stream", "create", "a", "--ttl", "1h", "--expires-at", "x"], "cannot be used with"),
        (&["stream", "append", "", "x", "--url", "localhost:1"], "is not the URL of a stream"),
        (&["activity"], "<ID>"),
        (&["activity", "a\nb"], "has a control character"),
        (&["completions", "tcsh"], "[possible values: bash, zsh, fish]"),
    ] {
        assert_eq!(check(arguments, 64, text).stdout, "", "{arguments:?}");
    }
}

#[test]
fn completions_are_valid_shell_scripts() {
    let bash = check(&["completions", "bash"], 0, "complete -F _exorelay").stdout;
    let checked = Command::new("bash").args(["-n", "-c", &bash]).status().unwrap();
    assert!(checked.success());
    check(&["completions", "zsh"], 0, "#compdef exorelay");
    check(&["completions", "fish"], 0, "complete -c exorelay");
}

#[test]
fn closing_stdout_early_is_not_an_error() {
    let mut running = exorelay(&["config", "show"]).start();
    drop(running.stdout());
    running.finish().check(0, "");
}

#[test]
fn an_invalid_number_of_threads_is_a_configuration_error() {
    let finished = exorelay(&["dev"]).env("TOKIO_WORKER_THREADS", "many").finish();
    finished.check(78, "exorelay: TOKIO_WORKER_THREADS is \"many\": expected a number of threads, at least 1\n");
}
