//! The service-facing listener: how a service in any language sends, requests, replies and subscribes.
//!
//! ```text
//! $ curl -d '{"name":"world"}' http://127.0.0.1:4001/request/hello
//! {"text":"Hello, world!"}
//! ```
//!
//! The body is the payload; correlation is in headers. `/openapi.json` describes every call, and a test checks it against
//! the running server.

mod config;
mod dead_letters;
mod following;
mod headers;
mod messages;
mod openapi;
mod operations;
mod routes;
mod state;

pub use config::{Config, Envelope};
pub(crate) use following::{FOLLOWERS_HEADER, NOT_RECEIVED_HEADER, ROLE_HEADER};
pub use routes::{access, router};
pub use state::Operations;
