//! A security service built from one authorization function: [`adapter`]. Reference: exo 3.6, 5.3.
//!
//! A broker with a service of the role `security` asks it to authorize every message before delivery. The function returns
//! true or false, and may ask other services first.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use exorelay::Message;
//! use exorelay::security::{self, Requester};
//!
//! /// Authorizes messages of users with a session.
//! async fn authorize(message: Message, ask: Requester) -> bool {
//!     let Some(auth) = message.auth else { return false };
//!     let session = ask.request("retrieve user session", auth.to_string(), Duration::from_secs(2)).await;
//!     session.is_ok_and(|session| session.name.as_str() == "user session retrieved")
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), exorelay::app::Error> {
//!     security::adapter(authorize).run_from_env().await
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

/// The role of the security service. exo 3.6.
const ROLE: &str = "security";

/// The broker's request and the two replies.
const AUTHORIZE: &str = "authorize message";
const AUTHORIZED: &str = "message authorized";
const UNAUTHORIZED: &str = "message unauthorized";

/// The result of an authorization function: `true` authorizes the message; `false` and every error refuse it.
pub trait Decision: Send {
    /// Returns true if the message is authorized. Errors: the reason why there is no decision.
    fn into_result(self) -> Result<bool, HandlerError>;
}

impl Decision for bool {
    fn into_result(self) -> Result<bool, HandlerError> {
        Ok(self)
    }
}

impl Decision for Result<bool, HandlerError> {
    fn into_result(self) -> Result<bool, HandlerError> {
        self
    }
}

/// Returns a service of the role `security` that calls `decide` with the message inside each `authorize message`, and
/// replies `message authorized` or `message unauthorized`, with the payload `{}`, in the same activity.
///
/// It fails closed: the reply is `message unauthorized` if the decision is `false`, fails, panics or takes longer than the
/// relay's `request_timeout_ms` (30 s unless set with [`Service::config`]), or if the request holds no readable message.
/// All of these but a plain `false` are logged as warnings, without the payload. Decisions run concurrently.
pub fn adapter<F, Fut>(decide: F) -> Service
where
    F: Fn(Message, Requester) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Decision> + Send + 'static,
{
    let decide = Arc::new(decide);
    Service::new(ROLE).on(AUTHORIZE, move |question: Message, context: Context| {
        let decide = decide.clone();
        async move {
            let name = match authorize(&*decide, &question, &context).await {
                Ok(true) => AUTHORIZED,
                Ok(false) => UNAUTHORIZED,
                Err(Undecided { message, sender, reason }) => {
                    tracing::warn!(?message, ?sender, reason, "message unauthorized: the decision failed");
                    UNAUTHORIZED
                }
            };
            context.reply(name, json!({})).await?;
            Ok(())
        }
    })
}

/// The reason why there is no decision.
struct Undecided {
    /// The name of the message in question.
    message: Option<MessageName>,
    sender: Option<Role>,
    reason: String,
}

async fn authorize<F, Fut>(decide: &F, question: &Message, context: &Context) -> Result<bool, Undecided>
where
    F: Fn(Message, Requester) -> Fut,
    Fut: Future<Output: Decision>,
{
    let message = requester::inner(question).map_err(|error| Undecided {
        message: None,
        sender: None,
        reason: format!("the request holds no message: {error}"),
    })?;
    let (name, sender) = (Some(message.name.clone()), message.sender.clone());
    let undecided = |reason: String| Undecided { message: name, sender, reason };
    let requester = Requester::new(context.relay().clone(), question.conversation());
    let limit = context.relay().config().request_timeout();
    // The call itself may panic too, before it returns a future.
    let deciding = AssertUnwindSafe(async { decide(message, requester).await }).catch_unwind();
    match tokio::time::timeout(limit, deciding).await {
        Ok(Ok(decision)) => decision.into_result().map_err(|error| undecided(error.to_string())),
        Ok(Err(_)) => Err(undecided("the decision panicked".into())),
        Err(_) => Err(undecided(format!("no decision within {} ms", limit.as_millis()))),
    }
}
