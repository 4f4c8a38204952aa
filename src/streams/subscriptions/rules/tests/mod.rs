//! Tests of the rules of subscriptions, without clock and store.

mod against_model;
mod harness;
mod links;
mod random;
mod wakes;
