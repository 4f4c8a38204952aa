//! The rules, one idea a test, and all of them against a naive model.

mod against_model;
mod model;
mod registry;
pub(super) mod stage;
