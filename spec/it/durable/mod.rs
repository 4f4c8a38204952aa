//! Durable streams on bad days: real processes, on disk.

mod bodies;
mod client;
mod damaged;
mod full;
mod killed;
mod readers;
