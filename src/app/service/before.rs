//! What runs before the first message is taken, and the gate that keeps messages waiting for it.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::relay::{Handler, HandlerError, Relay, handler};

/// One hook, as it is kept until it runs.
pub(super) type Hook = Box<dyn FnOnce(Relay) -> BoxFuture<'static, Result<(), HandlerError>> + Send>;

/// Whether handlers may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Not yet.
    Closed,
    /// Everything that comes first has been done.
    Open,
}

/// Lets `inner` wait until the gate opens. If it is torn down instead, the message has failed.
pub(super) fn behind(gate: watch::Receiver<Gate>, inner: Handler) -> Handler {
    handler(move |message, context| {
        let (mut gate, inner) = (gate.clone(), inner.clone());
        async move {
            if gate.wait_for(|gate| *gate == Gate::Open).await.is_err() {
                return Err("the service did not get to its first message".into());
            }
            inner(message, context).await
        }
    })
}

/// Runs the hooks one after the other. Errors: the reason why one of them failed, or its panic.
pub(super) async fn run(hooks: Vec<Hook>, relay: &Relay) -> Result<(), String> {
    for hook in hooks {
        let running = AssertUnwindSafe(async { hook(relay.clone()).await });
        match running.catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("it panicked".to_owned()),
        }
    }
    Ok(())
}
