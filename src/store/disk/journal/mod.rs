//! The journal: a commit is written here first, as one frame with one sync.
//!
//! It is a directory of segments. One is written to; the earlier ones are released once their commits are in the database and
//! synced. Usually there are two files, the current segment and one that is being flushed or is the spare. A segment full of
//! large records is retained as their only location.
//!
//! At the start everything is read. A commit that is torn at the end and was not acknowledged is discarded. Damage elsewhere
//! costs the commits that it hits, or only a large record if it hits that; what was lost is reported as far as it can be read.

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
pub(super) use spare::SpareSegment;
pub(super) use writing::{Journal, SealedSegments, journal_dir, replay_of, sync};
