//! Test support for services: [`MockBroker`] replaces the broker, records what a service sends, and sends the messages
//! that a test asks for.
//!
//! It listens on a free loopback port and speaks both eras of ExoCom: HTTP, where relays register with a lease and the
//! test registers services that cannot, and the WebSocket protocol of 2017 at `/services`. Reference: exo 5.2.
//!
//! ```
//! use exorelay::testing::MockBroker;
//! use exorelay::{Context, Message, Relay};
//! use serde_json::json;
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = MockBroker::start().await?;
//!
//! // The service under test.
//! let relay = Relay::builder("greeter").bus(broker.url()).connect().await?;
//! relay.on("greet", |message: Message, context: Context| async move {
//!     let name: String = message.payload()?;
//!     context.reply("greeting", format!("Hello, {name}!")).await?;
//!     Ok(())
//! })?;
//!
//! broker.send("greeter", "greet").payload("world").activity("visit-1").await?;
//! let greeting = broker.wait_until_received("greeting").await?;
//! assert_eq!(greeting.payload::<String>()?, "Hello, world!");
//! assert_eq!(greeting.conversation().as_str(), "visit-1");
//! # Ok(()) }
//! ```
//!
//! The test supplies the replies to a service's own requests:
//!
//! ```
//! # use exorelay::testing::MockBroker;
//! # use exorelay::Relay;
//! # use serde_json::json;
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let broker = MockBroker::start().await?;
//! # let relay = Relay::builder("web").bus(broker.url()).connect().await?;
//! broker.reply_to("users.create", "users.created", json!({ "id": 456 }))?;
//! let created = relay.request("users.create", json!({ "name": "Will" })).await?;
//! assert_eq!(created.payload::<serde_json::Value>()?["id"], 456);
//! # Ok(()) }
//! ```
//!
//! Every wait has a timeout; its error lists what was received instead.

mod broker;
mod error;
mod record;
mod routes;
mod send;
mod service;
mod shared;
mod socket;
#[cfg(test)]
mod tests;

pub use broker::MockBroker;
pub use error::Error;
pub use send::Sending;
