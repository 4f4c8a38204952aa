//! The security service, from one function that decides: [`adapter`]. Reference: exo 3.6, 5.3.
//!
//! A broker with a service of the role `security` asks it about every message before anybody gets it. This is that
//! service; the function says yes or no, and may ask other services first.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use exorelay::Message;
//! use exorelay::security::{self, Requester};
//!
//! /// Only administrators send messages, and they say so in a session.
//! async fn may_pass(message: Message, ask: Requester) -> bool {
//!     let Some(auth) = message.auth else { return false };
//!     let session = ask.request("retrieve user session", auth.to_string(), Duration::from_secs(2)).await;
//!     session.is_ok_and(|session| session.name.as_str() == "user session retrieved")
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), exorelay::app::Error> {
//!     security::adapter(may_pass).run_from_env().await
//! }
//! ```

mod requester;
#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::json;

pub use self::requester::{Error, Requester};
use super::Service;
use crate::message::{Message, MessageName, Role};
use crate::relay::{Context, HandlerError};

/// The role that a broker asks. exo 3.6.
const ROLE: &str = "security";

/// What a broker asks, and what it is answered.
const AUTHORIZE: &str = "authorize message";
const AUTHORIZED: &str = "message authorized";
const UNAUTHORIZED: &str = "message unauthorized";

/// What a deciding function may return: `true` lets the message pass; `false` and every error refuse it.
pub trait Decision: Send {
    /// Whether the message passes. Errors: why that could not be found out.
    fn passes(self) -> Result<bool, HandlerError>;
}

impl Decision for bool {
    fn passes(self) -> Result<bool, HandlerError> {
        Ok(self)
    }
}

impl Decision for Result<bool, HandlerError> {
    fn passes(self) -> Result<bool, HandlerError> {
        self
    }
}

/// A service of the role `security` that answers every `authorize message` by what `decide` says about the message in it:
/// `message authorized` or `message unauthorized`, with the payload `{}`, in the same activity.
///
/// It fails closed: a decision that is `false`, fails, panics, or takes longer than the relay's `request_timeout_ms` (30 s
/// unless set with [`Service::config`]), and a question without a readable message in it, are all `message unauthorized`;
/// every one of them but a plain `false` is logged as a warning, without payload. Many decisions run at once.
pub fn adapter<F, Fut>(decide: F) -> Service
where
    F: Fn(Message, Requester) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Decision> + Send + 'static,
{
    let decide = Arc::new(decide);
    Service::new(ROLE).on(AUTHORIZE, move |question: Message, context: Context| {
        let decide = decide.clone();
        async move {
            let name = match judge(&*decide, &question, &context).await {
                Ok(true) => AUTHORIZED,
                Ok(false) => UNAUTHORIZED,
                Err(Doubt { about, sender, reason }) => {
                    tracing::warn!(?about, ?sender, reason, "a message is unauthorized because nobody could decide");
                    UNAUTHORIZED
                }
            };
            context.reply(name, json!({})).await?;
            Ok(())
        }
    })
}

/// Why there is no decision, and about which message.
struct Doubt {
    about: Option<MessageName>,
    sender: Option<Role>,
    reason: String,
}

async fn judge<F, Fut>(decide: &F, question: &Message, context: &Context) -> Result<bool, Doubt>
where
    F: Fn(Message, Requester) -> Fut,
    Fut: Future<Output: Decision>,
{
    let message = requester::inner(question).map_err(|error| Doubt {
        about: None,
        sender: None,
        reason: format!("its question holds no message: {error}"),
    })?;
    let (about, sender) = (Some(message.name.clone()), message.sender.clone());
    let doubt = |reason: String| Doubt { about, sender, reason };
    let requester = Requester::new(context.relay().clone(), question.conversation());
    let limit = context.relay().config().request_timeout();
    // The call itself may panic too, before there is a future.
    let deciding = AssertUnwindSafe(async { decide(message, requester).await }).catch_unwind();
    match tokio::time::timeout(limit, deciding).await {
        Ok(Ok(decision)) => decision.passes().map_err(|error| doubt(error.to_string())),
        Ok(Err(_)) => Err(doubt("the decision panicked".into())),
        Err(_) => Err(doubt(format!("there was no decision within {} ms", limit.as_millis()))),
    }
}
