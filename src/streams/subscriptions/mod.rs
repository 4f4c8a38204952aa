//! Subscriptions: whoever wants to know of new data in some streams is woken, by a webhook or by an event in a stream
//! that workers read, and acknowledges how far it has got.
//!
//! Reference: the Durable Streams protocol, draft 1.0, reserved paths below `__ds`.
//!
//! ```sh
//! base=http://127.0.0.1:4437/v1/stream
//! curl -X PUT $base/__ds/subscriptions/mail -H 'content-type: application/json' -d '{
//!   "type": "webhook", "pattern": "orders/**", "webhook": {"url": "http://127.0.0.1:3000/wake"}}'
//! curl -X PUT -H 'content-type: application/json' -d '{"id":1}' $base/orders/1
//! curl $base/__ds/subscriptions/mail
//! ```
//!
//! **Durable.** Subscriptions, acknowledged offsets, wakes, leases, planned retries and secrets are written by the
//! streams' own writer before anybody hears of them. What is pending is never written: it is what the tails of the
//! streams and the acknowledged offsets say, so a crash between an append and its wake loses no wake.
//!
//! **Links.** Streams that exist when they are linked count as read; one that comes later counts as unread from its
//! first byte, whatever created it. A stream that is deleted takes its acknowledged offset along; a stream of the same
//! name starts afresh.
//!
//! **Wake streams wake nobody.** A stream that is the `wake_stream` of a subscription is matched by no pattern as long
//! as that subscription is there, `**` included: its events would make more events without end. Who wants to be woken
//! by one names it in `streams`; a subscription's own wake stream is refused there. `__registry__` is a stream like any
//! other.

mod delivery;
mod error;
mod keys;
mod notices;
mod recovery;
pub(super) mod routes;
mod rules;
mod runner;
mod service;
#[cfg(test)]
mod tests;
mod wire;

pub(super) use delivery::{Courier, Post};
pub(super) use notices::Notices;
pub(super) use service::{Running, Subscriptions};
