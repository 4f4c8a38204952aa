//! The heart: sends, requests, replies, handlers, and what is done with a message that nobody takes.
//!
//! ```no_run
//! # async fn example() -> Result<(), exorelay::Error> {
//! use exorelay::{Context, Message, Relay};
//! use serde_json::json;
//!
//! let relay = Relay::builder("greeter").bus("http://localhost:3100").listen("127.0.0.1:4000").connect().await?;
//! relay.on("hello", |message: Message, context: Context| async move {
//!     let name: String = message.payload()?;
//!     context.reply("greeting", json!({ "text": format!("Hello, {name}!") })).await?;
//!     Ok(())
//! })?;
//! # Ok(()) }
//! ```
//!
//! The same from a shell, through the service-facing listener:
//! `curl -d '"world"' http://127.0.0.1:4001/request/hello`.
//!
//! Matching order for an incoming message: a waiting request, a handler, the webhook, subscribers, else unknown. Who
//! waits for its activity gets it besides.

mod config;
mod context;
mod dead_letters;
mod error;
mod events;
mod idempotency;
mod membership;
mod metrics;
mod outbox;
mod receive;
mod request;
mod rules;
mod send;
mod service;
mod subscribers;
mod takers;
mod watch;

pub use config::Config;
pub use context::{Context, Handler, HandlerError, handler};
pub use error::Error;
pub use events::{Event, Events};
pub(crate) use metrics::Metrics;
pub(crate) use receive::Refused;
pub use request::{Replies, Requesting};
pub use rules::{DeadLetter, DeadLetterId, Direction};
pub(crate) use send::Draft;
pub use send::{Replied, Sending};
pub(crate) use service::Identity;
pub use service::Relay;
pub(crate) use subscribers::Subscription;
pub(crate) use takers::{Fallback, Takers};
pub use watch::Watching;
