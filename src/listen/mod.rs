//! The bus-facing listener, which a broker delivers to. Reference: exo 2.1.
//!
//! ```text
//! $ curl -i -d '{"id":"1","payload":{"name":"world"}}' http://127.0.0.1:4000/run/hello
//! HTTP/1.1 200 OK
//! ```
//!
//! 200 means that the message is accepted; its handler runs afterwards. With `listen.answer = "handled"` the response comes
//! after the handler, as in the original implementations.

mod config;
mod routes;

pub use config::{Answer, Config};
pub use routes::{access, router};
