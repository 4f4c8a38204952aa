//! Durable Streams: append-only streams of bytes or JSON messages, each a URL, that any HTTP client creates, appends to,
//! reads from any offset, and follows.
//!
//! Reference: the Durable Streams protocol, draft 1.0.
//!
//! ```sh
//! exorelay streams
//! curl -X PUT -H 'content-type: application/json' http://127.0.0.1:4437/v1/stream/orders
//! curl -H 'content-type: application/json' -d '{"id":1}' http://127.0.0.1:4437/v1/stream/orders
//! curl 'http://127.0.0.1:4437/v1/stream/orders?offset=-1'
//! curl -N 'http://127.0.0.1:4437/v1/stream/orders?offset=-1&live=sse'
//! ```
//!
//! The stream `__registry__` lists all streams, in the format of the state protocol; only the server writes it.
//! [`Streams::lifecycle`] reports the same events to Rust programs.
//!
//! A command is decided by the rules, committed together with everything else that waits, published to readers, and only
//! then answered. No client and no reader sees what could still be lost.

mod before_body;
mod clock;
mod commit;
mod config;
mod error;
mod event_cache;
mod fork_point;
#[cfg(test)]
mod fuzz;
mod lifecycle;
mod metrics;
mod opening;
mod publisher;
mod read_budget;
mod read_view;
mod reader;
mod recovery;
pub mod routes;
mod rules;
mod segments;
mod service;
mod shared;
mod single_writer;
mod subscriptions;
mod sweeper;
#[cfg(test)]
mod tests;
mod verify;
mod wire;
mod writer;

pub use config::{Cache, Config, StoreKind};
pub use error::Error;
pub use lifecycle::{LifecycleEvents, Missed};
pub(crate) use opening::open_store;
pub use reader::{Reader, Slice};
pub use routes::router;
pub use rules::{Appended, Created, Effect, Happened, LifecycleEvent, Refusal};
pub use service::{Description, Streams};
pub use verify::{Verified, verify};
pub use wire::{
    AppendRequest, Begin, ContentType, CreateRequest, ForkRequest, JsonError, Kind, Lifetime, Live, Offset, PathError,
    ProducerStamp, ReadRequest, RequestError, StreamPath, header,
};
