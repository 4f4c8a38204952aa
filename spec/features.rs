//! Runs the scenarios of `features/`: what a user sees, in the user's words.
//!
//! A step without a meaning is a failure, and so is a scenario that does not hold; then the exit status is not 0.
//! `cargo test --test features -- --name "offline"` runs those whose name matches.

#![allow(clippy::unwrap_used, reason = "a step that cannot go on has failed, and says so by its panic")]

mod steps;
mod world;

use std::process::ExitCode;

use cucumber::World as _;
use cucumber::writer::Stats as _;

/// Scenarios of the broker and of streams wait for sockets more than they compute.
const SOCKETS_AT_ONCE: usize = 16;

/// The others start real processes, on a small machine.
const PROCESSES_AT_ONCE: usize = 4;

#[tokio::main]
async fn main() -> ExitCode {
    // Services that are written in Rust run in this program too, each in a process of its own.
    if let Some(ended) = world::samples::run_asked().await {
        return ended;
    }
    rustls::crypto::ring::default_provider().install_default().expect("nothing else has installed one");
    let features = concat!(env!("CARGO_MANIFEST_DIR"), "/features");
    let stands_in = |feature: &cucumber::gherkin::Feature, room: &str| {
        feature.path.as_ref().is_some_and(|path| path.parent().is_some_and(|folder| folder.ends_with(room)))
    };
    let brokers = world::broker::World::cucumber()
        .max_concurrent_scenarios(SOCKETS_AT_ONCE)
        .fail_on_skipped()
        .filter_run(features, move |feature, _, _| stands_in(feature, "broker"))
        .await;
    let drop_ins = world::exocom::World::cucumber()
        .max_concurrent_scenarios(PROCESSES_AT_ONCE)
        .fail_on_skipped()
        .filter_run(features, move |feature, _, _| stands_in(feature, "exocom"))
        .await;
    let streams = world::streams::World::cucumber()
        .max_concurrent_scenarios(SOCKETS_AT_ONCE)
        .fail_on_skipped()
        .filter_run(features, move |feature, _, _| stands_in(feature, "streams"))
        .await;
    let others = world::World::cucumber()
        .max_concurrent_scenarios(PROCESSES_AT_ONCE)
        .fail_on_skipped()
        .filter_run(features, move |feature, _, _| {
            !["broker", "exocom", "streams"].iter().any(|room| stands_in(feature, room))
        })
        .await;
    let failed = [
        brokers.execution_has_failed(),
        drop_ins.execution_has_failed(),
        streams.execution_has_failed(),
        others.execution_has_failed(),
    ];
    match failed.contains(&true) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}
