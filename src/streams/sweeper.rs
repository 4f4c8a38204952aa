//! Ends streams when their time is over, used or not.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::writer::Writer;

/// How many streams one turn looks at, so that others get theirs.
const STREAMS_PER_TURN: usize = 256;

/// Sleeps until the next stream is due, or an earlier one comes.
pub(super) async fn sweep_when_due(writer: Arc<Writer>, stop: CancellationToken) {
    while writer.failure().is_none() {
        let earlier = writer.sweep_earlier.notified();
        let wait = writer.plan_sweep().map(|at_ms| Duration::from_millis(at_ms.saturating_sub(writer.clock.now_ms())));
        let due = async {
            match wait {
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
            ledger.sweep(now_ms, STREAMS_PER_TURN, changes);
            Ok(())
        });
        if let Err(error) = swept.await {
            tracing::warn!(%error, "expired streams stay for now");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
