//! The journal: every commit is written here first, in one piece, and is on the disk with one sync.
//!
//! It is a folder of segments. One is written to; those before it go when everything in them is settled: in fjall, and
//! synced. Two files are usually there, one that is written to and one that is being settled or is the next. A segment that
//! is full of large records stays where it is, as the place of these records.
//!
//! At the start all of it is read. A commit that is torn at the end and was not answered is missed by nobody. Damage in the
//! middle costs the commits it is in, and not those behind it; of a large record, it costs that one. What was lost is told as
//! far as it can be read.

mod blocks;
mod frame;
mod replay;
mod scan;
mod segment;
mod spare;
#[cfg(test)]
mod tests;
mod writing;

pub(super) use frame::{Change, changes_in, changes_in_parts};
pub(super) use replay::Replay;
pub(super) use spare::Spare;
pub(super) use writing::{Journal, Old, journal_dir, sync};
