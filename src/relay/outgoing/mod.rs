//! Messages from the service to the bus: the outbox, requests that wait for replies, and idempotency keys.

mod dispatch;
mod draft;
mod idempotency;
mod notices;
mod outbox;
mod publisher;
mod replies;
mod requests;
mod rules;
#[cfg(test)]
mod tests;

pub(super) use dispatch::Outgoing;
pub(crate) use draft::{Draft, Sent};
pub(super) use outbox::Log;
pub(super) use publisher::publish_all;
pub use replies::Replies;
pub(super) use requests::ReplyOutcome;
pub(super) use rules::Late;
