//! The command line: one file per command. A command reads its flags, calls the module that does the work, and prints.
//!
//! ```text
//! exorelay dev                                    broker, sidecar, edge and a greeter in one process
//! exorelay request hello '{"name":"world"}'       send a request and print the reply
//! exorelay lint                                   list messages without a sender or a receiver
//! exorelay tail --broker localhost:3100           follow the broker's traffic
//! exorelay stream follow orders                   follow a durable stream
//! ```
//!
//! Exit codes are a contract: 0 success, 1 failure, 64 wrong usage, 78 wrong configuration. The drop-in [`Exocom`] has
//! those of the original.

mod access;
mod activity;
mod broker;
mod completions;
mod config;
mod dead_letters;
mod dev;
mod drain;
mod duration;
mod error;
mod exec;
mod exocom;
mod follow;
mod health;
mod lint;
mod options;
mod output;
mod payload;
mod process;
mod ps;
mod rendering;
mod request;
mod retry;
mod run;
mod runtime;
mod send;
mod server;
mod server_kind;
mod similar;
mod stream;
mod streams;
mod table;
mod tail;
mod token;
mod traffic;

pub use error::{Error, USAGE};
pub use exocom::{Exocom, ExocomError};
pub use options::Options;
pub use runtime::{Threads, block_on};
pub use server_kind::ServerKind;
