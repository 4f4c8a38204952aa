//! The one place that waits for something to become true.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// Timeout for anything on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until `ask` gives a value. Panics with `what` when that takes too long.
pub async fn eventually<T, F, Fut>(what: impl Debug, mut ask: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ask().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for: {what:?}");
        pause(5).await;
    }
}

/// Lets time pass: for services that are slow on purpose.
pub async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
