//! Calls under an idempotency key: made once, answered as often as they are repeated.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use super::rules::{Keys, Mismatch};
use crate::message::{ActivityId, Message, MessageId};
use crate::relay::Error;
use crate::sync::lock;

/// A call under an idempotency key. Its message has the same id in every attempt, so that receivers recognise a repeated
/// one even if the outcome of the first attempt is unknown.
pub(super) struct Call {
    pub(super) id: MessageId,
    pub(super) activity_id: ActivityId,
    /// Set once the message is accepted. Concurrent callers wait for the first one.
    pub(super) accepted: OnceCell<()>,
    /// The reply, once there is one. Concurrent callers wait for the first one's.
    pub(super) reply: OnceCell<Message>,
}

/// Recent calls by their key.
pub(super) struct Calls(Mutex<Keys<Arc<Call>>>);

impl Calls {
    pub(super) fn new(keys_max: usize, window: Duration) -> Self {
        Self(Mutex::new(Keys::new(keys_max, window)))
    }

    /// Returns the call under `key`: an earlier one with this fingerprint, or a new one for `message`.
    /// Errors: [`Error::IdempotencyMismatch`].
    pub(super) fn enter(&self, key: &str, fingerprint: u64, message: &Message) -> Result<Arc<Call>, Error> {
        let call = Arc::new(Call {
            id: message.id.clone(),
            activity_id: message.conversation(),
            accepted: OnceCell::new(),
            reply: OnceCell::new(),
        });
        lock(&self.0)
            .enter(key, fingerprint, call, Instant::now())
            .map_err(|Mismatch| Error::IdempotencyMismatch { key: key.to_owned() })
    }
}
