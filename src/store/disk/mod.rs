//! The store on disk: a journal of our own, and fjall behind it, in one data directory.
//!
//! A commit is written to the [`journal`] as one frame with one sync, however many logs and tables it changes, and added to
//! the [`memtable`], from which readers at the end of a log are served without the disk. When the journal has grown, its
//! contents are flushed ([`flusher`]): sorted, and ingested into fjall past fjall's own journal. fjall holds two keyspaces:
//!
//! - `tables`, with the keys of all tables,
//! - `pages`, with the records of logs in pages of up to 64 KiB, so that reading costs the same however they were appended;
//!   and the end of each log.
//!
//! After a flush, the old segments of the journal are reused. A segment full of large records is [`retained`] instead, and
//! the pages refer to it. Opening the store replays what was not flushed. A log takes no file and no descriptor.

mod acknowledged;
mod availability;
mod backup;
mod blob_merging;
mod closed_folder;
mod commit;
mod config;
mod descriptors;
mod engine;
mod flusher;
mod folder;
mod free_space;
mod garbage_collector;
mod generation;
mod journal;
mod keys;
mod keyspaces;
mod leb128;
mod maintenance;
mod manifests;
mod memtable;
mod offline;
mod overlay;
mod page;
mod page_cache;
mod page_merge;
mod private;
mod reading;
mod recovery;
mod retained;
mod store;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

pub use backup::{BackupError, BackupOutcome, BackupProgress, BackupRequest};
pub use closed_folder::ClosedFolder;
pub use config::{DiskConfig, Durability, DurabilityError};
pub use offline::OfflineStore;
pub use store::DiskStore;
