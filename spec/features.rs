//! Runs `features/` as written. A step without a meaning fails.

mod steps;
mod world;

use cucumber::World as _;

/// Scenarios at once: real processes on a small machine.
const SCENARIOS_AT_ONCE: usize = 4;

#[tokio::main]
async fn main() {
    rustls::crypto::ring::default_provider().install_default().expect("nothing else has installed one");
    world::World::cucumber()
        .max_concurrent_scenarios(SCENARIOS_AT_ONCE)
        .fail_on_skipped()
        .run_and_exit("features")
        .await;
}
