//! Delivers incoming messages to a service over HTTP. Reference: exo 2.1; CloudEvents 1.0.2 with its HTTP binding;
//! Standard Webhooks 1.0.
//!
//! The webhook is the relay's fallback handler: it receives every message without a handler in this process
//! that its role receives. A service
//! accepts messages at `POST {forward}/run/{message}` and answers when it has handled one:
//!
//! ```text
//! POST /run/users.create HTTP/1.1                    HTTP/1.1 200 OK
//! content-type: application/json               ->    content-type: application/json
//!
//! {"id":"1","name":"users.create",                   {"reply":{"name":"users.created","payload":{"id":456}}}
//!  "payload":{"name":"Will"},"sender":"web"}
//! ```
//!
//! You can make the same call from a shell: `curl -H 'content-type: application/json' -d '{"id":"1"}'
//! http://localhost:3000/run/users.create`. Sending the reply in the answer is optional; an original HTTP-era
//! service, which answers with an empty body and sends its replies itself, works unchanged.
//!
//! | service's answer | result |
//! |---|---|
//! | `2xx` with an empty body | handled |
//! | `2xx` with `{"reply":{…}}` or `{"replies":[…]}`, of any content type | handled; the replies are sent in this order, in its conversation |
//! | `2xx` with anything else | handled, without a reply; a warning now and then says what was expected |
//! | `2xx` whose reply has the wrong shape or is too long, or with more than `answer_replies_max` | dead letter that names the field; not retried |
//! | `5xx`, `408`, `425`, `429`, no answer | retried until `deadline_ms` has passed; `Retry-After` is honoured, and one beyond the deadline makes a dead letter at once |
//! | `3xx`, other `4xx` | dead letter with the status and the start of the body; redirects are never followed |
//!
//! A waiting message does not count towards `concurrent_max`, neither between attempts nor while the circuit breaker
//! pauses calls because the service is not responding.

mod absence;
mod attempts;
mod config;
mod error;
mod gate;
mod metrics;
mod request;
mod rules;
mod service;
#[cfg(test)]
mod tests;
mod unsent;
mod watch;
mod wire;

pub use config::{Config, Format};
pub use error::Error;
pub(crate) use metrics::Metrics;
pub use service::Webhook;
pub use wire::{AnswerError, SecretError};
pub(crate) use wire::{Meaning, Reply, meaning};
