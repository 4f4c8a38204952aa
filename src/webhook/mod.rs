//! Settings.

mod config;

pub use config::*;
