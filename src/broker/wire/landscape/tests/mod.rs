//! Tests of all landscape forms: meaning, refused input, and equivalence.

mod application;
mod changes;
mod json;
mod ours;
mod stage;
