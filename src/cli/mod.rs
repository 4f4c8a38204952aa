//! The command line: one file per command. A command reads its flags, calls the room that does the work, and prints.
//!
//! ```text
//! exorelay dev                                    broker, sidecar and a greeter in one process
//! exorelay request hello '{"name":"world"}'       ask, and print the answer
//! exorelay lint                                   which messages have nobody at their other end
//! exorelay tail --broker localhost:3100           see what goes through the broker
//! exorelay stream follow orders                   see what is appended to a durable stream
//! ```
//!
//! Exit codes are a contract: 0 done, 1 failed, 64 wrong usage, 78 wrong configuration. The drop-in [`Exocom`] has those of
//! the original.

mod activity;
mod broker;
mod completions;
mod config;
mod dev;
mod error;
mod exocom;
mod follow;
mod health;
mod lint;
mod options;
mod output;
mod payload;
mod process;
mod request;
mod run;
mod runtime;
mod send;
mod server;
mod story;
mod stream;
mod streams;
mod tail;
mod traffic;

pub use error::{Error, USAGE};
pub use exocom::{Exocom, ExocomError};
pub use options::{Options, Threads};
pub use runtime::block_on;
pub use server::Side;
