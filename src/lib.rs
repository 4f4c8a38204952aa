//! ExoRelay connects a service written in any language to a message bus: a sidecar next to the service, the broker
//! between the sidecars, and this crate for services written in Rust. One binary, nothing else to install.
//!
//! ```no_run
//! use exorelay::{Context, Message, Relay};
//! use serde_json::json;
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let relay = Relay::builder("greeter").bus("http://localhost:3100").listen("127.0.0.1:4000").connect().await?;
//!
//! relay.on("hello", |message: Message, context: Context| async move {
//!     let name: String = message.payload()?;
//!     context.reply("greeting", json!({ "text": format!("Hello, {name}!") })).await?;
//!     Ok(())
//! })?;
//!
//! relay.send("hello", "world").await?;
//! let reply = relay.request("hello", "world").await?;
//! relay.send("hello", "world").on_reply(|reply, _| async move { println!("{}", reply.name) }).await?;
//! # Ok(()) }
//! ```
//!
//! # Modules
//!
//! Each module is named after what it does for the user. A module imports only modules of later lines, and systems never
//! import each other; `app` joins them.
//!
//! | module | what it does |
//! |---|---|
//! | [`cli`] | the commands, one file each |
//! | [`app`] | configuration, wiring, start and drain in order |
//! | [`testing`] | a broker for tests of services: records, sends, answers |
//! | [`listen`] | the bus-facing listener, where a broker delivers |
//! | [`api`] | the service-facing listener: send, request, reply, follow |
//! | [`webhook`] | delivers incoming messages to a service over HTTP |
//! | [`streams`] | Durable Streams: append, read and follow over HTTP |
//! | [`relay`] | send, request, reply, handlers, outbox, dead letters |
//! | [`bus`] | how a relay reaches the others: a broker in the same process, or one over HTTP or WebSocket |
//! | [`broker`] | ExoCom: roster, routing, permissions, queues, leases, translation; HTTP and WebSocket |
//! | [`http`] | shared by all listeners and outgoing calls: server, drain, limits, problem answers, client |
//! | [`store`] | durable records: logs and tables, changed in batches; in memory or on disk |
//! | [`message`] | the vocabulary: message, payload, names and ids, the envelope. Pure |
//!
//! # Invariants
//!
//! - Outside text becomes a type once, at the edge; payloads stay the bytes that their sender wrote.
//! - Every queue, body, wait and map has a bound with a unit in its name and a documented behaviour at the bound.
//! - A message that was accepted is handled, kept as a dead letter, or reported; never dropped silently.
//! - Delivery is at least once; receivers recognize duplicates by the message's id.
//! - Order is kept per sender and receiving instance up to the receiver's inbox. Behind it handlers run concurrently,
//!   unless `relay.handlers_concurrent_max` is 1.
//! - Rules are pure: time, ids and bytes are arguments, effects are return values.
//!
//! The [`guide`] explains the product topic by topic; [`guide::delivery`] lists what happens to a message at every moment
//! of start, stop, outage and crash.

pub mod api;
pub mod app;
pub mod broker;
pub mod bus;
mod chain;
pub mod cli;
pub mod guide;
pub mod http;
pub mod listen;
mod log_limit;
mod memory;
pub mod message;
mod metrics;
#[cfg(test)]
mod mutation;
pub mod relay;
pub mod store;
pub mod streams;
mod sync;
pub mod testing;
mod time;
pub mod webhook;

pub use app::{Builder, Service, security};
pub use chain::chain;
pub use memory::Budget;
pub use message::{Message, MessageId, MessageName, Payload, Role};
pub use relay::{
    Config, Context, DeadLetter, DeadLetterId, Direction, Error, Event, Events, Handler, HandlerError, Relay, Replied,
    Replies, Requesting, Sending, Watching, handler,
};

/// Compiles the snippets of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
