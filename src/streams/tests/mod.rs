//! The streams as their handle and their router show them: when things are written, seen and answered.

mod alone;
mod following;
mod registry;
mod restart;
mod time;
pub(super) mod world;
mod writing;
