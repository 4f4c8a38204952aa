//! Subscriptions: a webhook call, or an event in a stream that workers read, announces new data in the streams a
//! subscription follows; the receiver then acknowledges the offsets it has processed.
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
//! **Durable.** Subscriptions, acknowledged offsets, wakes, leases, planned retries and secrets are committed by the
//! streams' own writer before anything acts on them. The pending state is never stored: it follows from the tails of the
//! streams and the acknowledged offsets, so a crash between an append and its wake loses no wake.
//!
//! **Links.** A stream that exists when a subscription begins to follow it counts as read; one created later counts as unread
//! from its first byte. A stream that only the pattern matches has a link as long as it has something unread: the append
//! makes it, in the same commit, and the acknowledgement removes it. So creating a subscription looks at no stream, and what
//! it costs is bounded by what it has not read. Deleting a stream drops its acknowledged offset; a new stream of the same name
//! starts from the beginning.
//!
//! **Wake streams wake nobody.** While a subscription uses a stream as its `wake_stream`, no pattern matches that stream,
//! not even `**`: its events would cause more events endlessly. A subscription that should be woken by one names it in
//! `streams`; its own wake stream is refused there. `__registry__` is a stream like any other.

mod error;
#[cfg(test)]
mod fuzz;
mod keys;
mod observer;
mod recovery;
pub(super) mod routes;
mod rules;
mod runner;
mod service;
mod subscriber;
#[cfg(test)]
mod tests;
mod webhook_client;
mod wire;

pub(super) use observer::Observer;
pub(super) use service::{RecoveredSubscriptions, SubscriptionService};
pub(super) use webhook_client::{HttpWebhookClient, WebhookClient};
