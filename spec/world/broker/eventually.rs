//! The place that waits for something to become true.

use std::time::{Duration, Instant};

/// How long anything may take; long enough for a loaded machine, since nothing waits this long when all is well.
const DEADLINE: Duration = Duration::from_secs(10);

/// Waits until `condition` holds; then `what` is said to have failed.
pub(crate) async fn eventually(what: impl Fn() -> String, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < deadline, "{}", what());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
