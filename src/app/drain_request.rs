//! Requests to drain that come as calls and not as signals.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Lets listeners drain their process. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub(super) struct DrainRequest(Arc<Inner>);

struct Inner {
    requested: CancellationToken,
    /// Number of unfinished messages, once the process has drained.
    unfinished: watch::Sender<Option<usize>>,
}

impl Default for DrainRequest {
    fn default() -> Self {
        let unfinished = watch::Sender::new(None);
        Self(Arc::new(Inner { requested: CancellationToken::new(), unfinished }))
    }
}

impl DrainRequest {
    /// Asks the process to drain, and waits until it has. Returns the number of messages that it could not finish or hand
    /// over. A process that drains already is only waited for. Cancel-safe: the process drains all the same.
    pub(super) async fn drain(&self) -> usize {
        self.0.requested.cancel();
        let mut unfinished = self.0.unfinished.subscribe();
        // Fails only if the sender is dropped, which `self` prevents.
        let drained = unfinished.wait_for(Option::is_some).await;
        drained.ok().and_then(|count| *count).unwrap_or_default()
    }

    /// Waits for the first request. Cancel-safe.
    pub(super) async fn requested(&self) {
        self.0.requested.cancelled().await;
    }

    /// Answers all requests.
    pub(super) fn complete(&self, unfinished: usize) {
        self.0.unfinished.send_replace(Some(unfinished));
    }
}
