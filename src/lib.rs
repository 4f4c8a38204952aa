//! ExoRelay puts a service written in any language on a message bus: a sidecar beside the service, the broker between
//! the sidecars, and this crate for services written in Rust. One binary, nothing else to install.
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
//! # The house
//!
//! Each room is a folder named after what the product does. Arrows point down, nothing points up, and systems never
//! import each other; `app` joins them.
//!
//! | room | what it does |
//! |---|---|
//! | [`message`] | the vocabulary: message, payload, names and ids, the envelope. Pure |
//! | [`http`] | what every listener and every call shares: server, workers and drain, limits, problem answers, the client |
//! | [`store`] | durable records: logs and tables, changed batch by batch; in memory or on disk |
//! | [`broker`] | ExoCom: who is there, who gets what, who may what, queues, leases, translation; HTTP and WebSocket |
//! | [`bus`] | how a relay reaches the others: a broker of this process, or one over HTTP or WebSocket |
//! | [`relay`] | the heart: send, request, reply, handlers, outbox, dead letters |
//! | [`listen`] | the bus-facing listener, where a broker delivers |
//! | [`api`] | the service-facing listener: send, request, reply, follow |
//! | [`webhook`] | brings incoming messages to a service over HTTP |
//! | [`streams`] | Durable Streams: append, read and follow over HTTP |
//! | [`app`] | configuration, wiring, start and drain in order |
//! | [`testing`] | a broker for tests of services: records, sends, answers |
//! | [`cli`] | one file per command |
//!
//! # What holds everywhere
//!
//! - Outside text becomes a type once, at the edge; payloads stay the bytes their sender wrote.
//! - Everything has a bound with a unit in its name, and says what happens there.
//! - A message that was accepted is handled, kept as a dead letter, or reported; never dropped in silence.
//! - Delivery is at least once; receivers know duplicates by the message's id.
//! - Order is kept per sender and receiving instance up to the receiver's door. Behind it handlers run concurrently,
//!   unless `relay.handlers_concurrent_max` is 1.
//! - Rules are pure: time, ids and bytes come in as arguments, effects go out as values.
//!
//! [`lifecycle`] tells what happens to a message at every moment of start, stop, outage and crash.

pub mod api;
pub mod app;
pub mod broker;
pub mod bus;
pub mod cli;
pub mod http;
#[doc = include_str!("lifecycle.md")]
pub mod lifecycle {}
pub mod listen;
pub mod message;
pub mod relay;
pub mod store;
pub mod streams;
mod sync;
pub mod testing;
pub mod webhook;

pub use app::{Builder, Service, security};
pub use message::{Message, MessageId, MessageName, Payload, Role};
pub use relay::{
    Config, Context, DeadLetter, DeadLetterId, Direction, Error, Event, Events, Handler, HandlerError, Relay, Replied,
    Replies, Requesting, Sending, Watching, handler,
};
