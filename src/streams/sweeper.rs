//! Removes streams that have expired, and has the registry compacted.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::writer::Writer;

/// Streams that one submission looks at, so that other submissions are not held up.
const STREAMS_PER_SWEEP: usize = 256;

/// Sweeps whenever a stream is due, until `stop` is cancelled or the store fails.
pub(super) async fn sweep_when_due(writer: Arc<Writer>, stop: CancellationToken) {
    while writer.failure().is_none() {
        let earlier = writer.sweep_earlier.notified();
        let wait = writer.plan_sweep().map(|at_ms| Duration::from_millis(at_ms.saturating_sub(writer.clock.now_ms())));
        let due = async {
            match wait {
                Some(Duration::ZERO) => {}
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = earlier => continue,
            () = due => {}
        }
        let swept = writer.submit(|ledger, now_ms, changes| {
            ledger.sweep(now_ms, STREAMS_PER_SWEEP, changes);
            Ok(())
        });
        if let Err(error) = swept.await {
            tracing::warn!(%error, "cannot remove expired streams, trying again");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
