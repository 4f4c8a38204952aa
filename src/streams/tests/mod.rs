//! Tests of the streams through their handle and their router: when changes become durable, visible and answered.

mod following;
mod reading;
mod registry;
mod restart;
mod single_writer;
mod text;
mod time;
pub(super) mod world;
mod writing;
