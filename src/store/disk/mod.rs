//! Records on disk, in one folder: fjall underneath, group commit and one sync a batch on top.
//!
//! - `tables` holds the tables, and where each log ends.
//! - `tail` holds, for each commit, the records that came with it, whatever their logs: one write, however many there are.
//! - `pages` holds what was the tail once: 64 KiB of one log's records in one piece, so that reading costs the same
//!   whether they came in one append or in a thousand.
//!
//! The records that are in the tail only are in memory, too, so whoever follows a log reads no disk. A log's records move
//! from the tail to a page in the commit that fills the page, or when the tail is to be shortened: all of it or nothing,
//! as everything in a commit. A log costs no file and no descriptor.

mod ahead;
mod answered;
mod cleaner;
mod commit;
mod config;
mod engine;
mod journal;
mod keeper;
mod logs;
mod page;
mod plan;
mod reading;
mod recent;
mod recovery;
mod room;
mod salvage;
#[cfg(test)]
pub(super) mod scratch;
mod store;
#[cfg(test)]
mod tests;

pub use config::{DiskConfig, Durability, DurabilityError};
pub use store::DiskStore;
