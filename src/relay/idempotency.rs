//! Calls under an idempotency key: made once, answered as often as they are asked for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::OnceCell;

use super::{Draft, Error, Relay};
use crate::message::{ActivityId, Message, MessageId};

/// One call, by its key. Its message keeps one id over all tries, so that even a try whose fate is unknown is not
/// handled twice.
pub(super) struct Call {
    pub(super) id: MessageId,
    pub(super) activity_id: ActivityId,
    sent: Mutex<bool>,
    /// The reply, once there is one; concurrent callers wait for the first one's.
    pub(super) reply: OnceCell<Message>,
}

impl Call {
    /// Runs `send` unless an earlier run succeeded. `send` must not wait.
    pub(super) fn send_once(&self, send: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if !*sent {
            send()?;
            *sent = true;
        }
        Ok(())
    }
}

impl Relay {
    /// The call that goes by the draft's key. Errors: [`Error::IdempotencyMismatch`].
    pub(super) fn call_for(&self, draft: &Draft) -> Result<Arc<Call>, Error> {
        let key = draft.idempotency_key.as_deref().unwrap_or_default();
        let opening = self.compose(draft.clone(), None);
        let fresh = Arc::new(Call {
            activity_id: opening.conversation(),
            id: opening.id,
            sent: Mutex::new(false),
            reply: OnceCell::new(),
        });
        self.keys()
            .enter(key, draft.fingerprint(), fresh, Instant::now())
            .map_err(|_| Error::IdempotencyMismatch { key: key.to_owned() })
    }
}
