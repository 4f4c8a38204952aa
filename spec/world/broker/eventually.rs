//! The place that waits for something to become true.

use std::time::{Duration, Instant};

/// Timeout for anything; generous for a loaded machine, because only failures wait this long.
const DEADLINE: Duration = Duration::from_secs(10);

/// Waits until `condition` holds; then `what` is said to have failed.
pub(crate) async fn eventually(what: impl Fn() -> String, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < deadline, "{}", what());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
