//! The bus-facing listener: where a broker delivers. Reference: exo 2.1.
//!
//! ```text
//! $ curl -i -d '{"id":"1","payload":{"name":"world"}}' http://127.0.0.1:4000/run/hello
//! HTTP/1.1 200 OK
//! ```
//!
//! The 200 says that the message has its place; the handler runs behind it. `listen.answer = "handled"` answers after the
//! handler instead, as the originals did.

mod config;
mod routes;

pub use config::{Answer, Config};
pub use routes::router;
