//! Tests of the relay's end against scripted brokers.

mod ends;
mod originals;
mod ours;
mod peer;
