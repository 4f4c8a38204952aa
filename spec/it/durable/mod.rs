//! Durable streams on bad days: real processes, on disk.

mod bodies;
mod client;
mod damaged;
mod deleted;
mod full;
mod killed;
mod lives;
mod many;
mod readers;
mod subscribed;
