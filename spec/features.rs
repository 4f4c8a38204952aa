//! Runs the scenarios of `features/`: what a user sees, in the user's words.
//!
//! A step without a meaning is a failure, and so is a scenario that does not hold; then the exit status is not 0.
//! `cargo test --test features -- --name "offline"` runs those whose name matches.

#![allow(clippy::unwrap_used, reason = "a step that cannot go on has failed, and says so by its panic")]

mod steps;
mod world;

use std::process::ExitCode;

use cucumber::cli;
use cucumber::tag::Ext as _;
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
    let brokers = run::<world::broker::World>(SOCKETS_AT_ONCE, |room| room == "broker").await;
    let drop_ins = run::<world::exocom::World>(PROCESSES_AT_ONCE, |room| room == "exocom").await;
    let streams = run::<world::streams::World>(SOCKETS_AT_ONCE, |room| room == "streams").await;
    let others = run::<world::World>(PROCESSES_AT_ONCE, |room| !["broker", "exocom", "streams"].contains(&room)).await;
    match brokers && drop_ins && streams && others {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Runs those scenarios of the rooms in question that the command line asks for; whether all of them hold.
async fn run<World>(at_once: usize, is_asked: impl Fn(&str) -> bool + 'static) -> bool
where
    World: cucumber::World + cucumber::codegen::WorldInventory + std::fmt::Debug,
{
    let mut options = cli::Opts::<_, _, _>::parsed();
    // What the command line asks for would count instead of the filter below.
    let (name, tags) = (options.re_filter.take(), options.tags_filter.take());
    let ended = World::cucumber()
        .max_concurrent_scenarios(at_once)
        .fail_on_skipped()
        .with_cli(options)
        .filter_run(concat!(env!("CARGO_MANIFEST_DIR"), "/features"), move |feature, rule, scenario| {
            let room = feature.path.as_deref().and_then(|path| path.parent()?.file_name()?.to_str());
            let all_tags = feature.tags.iter().chain(rule.iter().flat_map(|rule| &rule.tags)).chain(&scenario.tags);
            room.is_some_and(&is_asked)
                && name.as_ref().is_none_or(|name| name.is_match(&scenario.name))
                && tags.as_ref().is_none_or(|tags| tags.eval(all_tags.clone()))
        })
        .await;
    !ended.execution_has_failed()
}
