//! The service-facing listener: how a service in any language sends, requests, replies and subscribes.
//!
//! ```text
//! $ curl -d '{"name":"world"}' http://127.0.0.1:4001/request/hello
//! {"text":"Hello, world!"}
//! ```
//!
//! The body is the payload; correlation travels in headers. `/openapi.json` has every call, and a test holds it to the
//! running server.

mod config;
mod dead_letters;
mod headers;
mod messages;
mod openapi;
mod operations;
mod routes;

pub use config::{Config, Envelope};
pub use routes::{Operations, router};
