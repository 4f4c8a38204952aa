//! What only the built binary can show.

#![allow(clippy::unwrap_used)] // Everything here is a test; clippy only knows functions marked as such.

mod command_line;
