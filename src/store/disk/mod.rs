//! Records on disk, in one folder: a journal of ours, and fjall behind it.
//!
//! A commit is written to the [`journal`] in one piece, with one sync, however many logs and tables it is about. From then
//! on it is in memory, where whoever follows a log reads it without the disk ([`unsettled`]). When the journal has grown, all
//! that it holds is settled as a generation ([`settler`]): put in order and handed to fjall, past its own journal. There,
//!
//! - `tables` holds the last values of keys,
//! - `pages` holds what logs have got: 64 KiB of one log's records in one piece, so that reading costs the same whether they
//!   came in one append or in a thousand; and where each log ends.
//!
//! Then that part of the journal is not needed any more, and its blocks on the disk are used again; unless it is full of large
//! records, which stay where they were written, and `pages` tells the place ([`kept`]). At the start, what is in
//! the journal is read and done again. A log costs no file and no descriptor.

mod answered;
mod cleaner;
mod commit;
mod config;
mod engine;
mod joining;
mod journal;
mod keeper;
mod kept;
mod keyspaces;
mod leb128;
mod manifests;
mod page;
mod reading;
mod recent;
mod recovery;
mod room;
#[cfg(test)]
pub(super) mod scratch;
mod settler;
mod store;
#[cfg(test)]
mod tests;
mod unsettled;

pub use config::{DiskConfig, Durability, DurabilityError};
pub use store::DiskStore;
