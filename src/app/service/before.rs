//! The `before_all` hooks, and the gate that holds messages back until a service is ready for them.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::chain::chain;
use crate::relay::{Handler, HandlerError, Relay, handler};

/// A hook to run once.
pub(super) type Hook = Box<dyn FnOnce(Relay) -> BoxFuture<'static, Result<(), HandlerError>> + Send>;

/// The state of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum Gate {
    /// Messages wait.
    Closed,
    /// Handlers may run.
    Open,
}

/// Returns a handler that waits for the gate before it calls `inner`. It fails if the gate is dropped instead.
pub(in crate::app) fn behind(gate: watch::Receiver<Gate>, inner: Handler) -> Handler {
    handler(move |message, context| {
        let (mut gate, inner) = (gate.clone(), inner.clone());
        async move {
            if gate.wait_for(|gate| *gate == Gate::Open).await.is_err() {
                return Err("the service stopped before it handled its first message".into());
            }
            inner(message, context).await
        }
    })
}

/// Runs the hooks one after the other. Errors: the first hook's error, or that it panicked.
pub(super) async fn run(hooks: Vec<Hook>, relay: &Relay) -> Result<(), String> {
    for hook in hooks {
        let running = AssertUnwindSafe(async { hook(relay.clone()).await });
        match running.catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(chain(&*error)),
            Err(_) => return Err("it panicked".to_owned()),
        }
    }
    Ok(())
}
