//! Settings.

#[allow(dead_code)]
mod config;

pub use config::*;
