//! Durable Streams on bad days: the real server, on disk, and what happens to it.

mod client;
mod dice;
mod kills;
mod model;
mod writer;
