//! Delivers incoming messages to a service over HTTP. Reference: exo 2.1; CloudEvents 1.0.2 with its HTTP binding;
//! Standard Webhooks 1.0.
//!
//! The webhook is the relay's fallback handler: it gets every message that has no handler in this process. A service
//! takes messages at `POST {forward}/run/{message}` and answers when it has handled one:
//!
//! ```text
//! POST /run/users.create HTTP/1.1                    HTTP/1.1 200 OK
//! content-type: application/json               ->    content-type: application/json
//!
//! {"id":"1","name":"users.create",                   {"reply":{"name":"users.created","payload":{"id":456}}}
//!  "payload":{"name":"Will"},"sender":"web"}
//! ```
//!
//! What the relay does, a shell can do: `curl -H 'content-type: application/json' -d '{"id":"1"}'
//! http://localhost:3000/run/users.create`. Sending the reply in the answer is optional; a service of the HTTP era, which
//! answers with an empty body and sends its replies itself, works as it is.
//!
//! | the service's answer | what becomes of the message |
//! |---|---|
//! | `2xx` with an empty body, or one that is not JSON | handled |
//! | `2xx` with `{"reply":{…}}` or `{"replies":[…]}` | handled; the replies are sent in this order, in its conversation |
//! | `2xx` whose reply has the wrong shape or is too long | a dead letter that names the field; never called again for it |
//! | `5xx`, `408`, `425`, `429`, none at all | tried again, up to `deadline_ms` in all; `Retry-After` is honoured |
//! | `3xx`, other `4xx` | a dead letter with the status and the start of the body; redirects are never followed |
//!
//! A message that waits takes no place from the others: not while it waits for its next try, and not while the breaker
//! holds all calls back because the service fails.

mod config;
mod error;
mod metrics;
mod request;
mod rules;
mod service;
#[cfg(test)]
mod tests;
mod way;
mod wire;

pub use config::{Config, Format};
pub use error::Error;
pub(crate) use metrics::Metrics;
pub use service::Webhook;
pub use wire::{AnswerError, SecretError};
