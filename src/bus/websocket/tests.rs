//! The relay's end against brokers that do exactly what a test tells them.

mod ends;
mod originals;
mod ours;
mod peer;
