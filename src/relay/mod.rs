//! The core: sends, requests, replies, handlers, and dead letters.
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
//! An incoming message goes to the first that takes it: a waiting request, a handler, the webhook, a subscriber; otherwise
//! it is unknown. Callers that wait for its activity receive it as well.
//!
//! Each part owns its state: `outgoing` the outbox and waiting requests, `incoming` the inbox, handlers and subscribers,
//! `presence` the membership of the bus, `dead_letters` what failed. [`Relay`] joins them.

mod config;
mod dead_letters;
mod error;
mod events;
mod identity;
mod incoming;
mod metrics;
mod outgoing;
mod panics;
mod presence;
mod rules;
mod service;

pub use config::Config;
pub use error::Error;
pub use events::{Event, Events};
pub(crate) use identity::Identity;
pub use incoming::Watching;
pub(crate) use incoming::{Subscription, service_envelope};
pub(crate) use metrics::Metrics;
pub(crate) use outgoing::Draft;
pub use outgoing::Replies;
pub(crate) use rules::{Attributed, Cause};
pub use rules::{DeadLetter, DeadLetterId, Direction};
pub use service::{Accepting, Context, Handler, HandlerError, Relay, Replied, Requesting, Sending, handler};
pub(crate) use service::{CloseOnDrop, Fallback, Handlers};
