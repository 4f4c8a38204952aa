//! Runs the scenarios of `features/`: what a user sees, in the user's words.
//!
//! A step without an implementation is a failure, and so is a scenario that does not hold; then the exit status is
//! not 0. `cargo test --test features -- --name "offline"` runs those whose name matches.

#![allow(clippy::unwrap_used, reason = "a step that cannot go on has failed, and says so by its panic")]

use cucumber::World as _;

mod steps;
mod world;

/// Scenarios wait for sockets more than they compute; more of them at once would only blur their timings.
const SCENARIOS_CONCURRENT_MAX: usize = 16;

#[tokio::main]
async fn main() {
    world::World::cucumber()
        .max_concurrent_scenarios(SCENARIOS_CONCURRENT_MAX)
        .fail_on_skipped()
        .run_and_exit(concat!(env!("CARGO_MANIFEST_DIR"), "/features"))
        .await;
}
