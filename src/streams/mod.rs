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
//! The stream `__registry__` tells which streams there are, in the words of the state protocol; nobody but the server
//! writes it. [`Streams::lifecycle`] tells the same to programs in Rust.
//!
//! A command is decided by the rules, written with everything else that waits in one batch, shown to readers, and only
//! then answered. Nobody sees what could still be lost.

mod clock;
mod commit;
mod config;
mod error;
mod lifecycle;
mod metrics;
mod publisher;
mod read_view;
mod reading;
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
mod wire;
mod writer;

pub use config::{Cache, Config, Kept};
pub use error::Error;
pub use lifecycle::{LifecycleEvents, Missed};
pub use reading::{Reader, Slice};
pub use routes::router;
pub use rules::{Appended, Created, Effect, Happened, LifecycleEvent, Refusal};
pub use service::{Description, Streams};
pub use wire::{
    AppendRequest, Begin, ContentType, CreateRequest, ForkRequest, JsonError, Kind, Lifetime, Live, Offset, PathError,
    ProducerStamp, ReadRequest, RequestError, StreamPath, header,
};
