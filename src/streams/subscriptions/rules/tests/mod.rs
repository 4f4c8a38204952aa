//! The rules of subscriptions, driven without a clock and without a store.

mod linking;
mod random;
mod stage;
mod waking;
