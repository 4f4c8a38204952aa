//! Durable records: trait [`Store`], its implementations in memory and on disk, and one contract suite for all.
//!
//! A store has **logs** (records one after the other, addressed by the position of their first byte) and **tables**
//! (keys in order, each with a value). One [`Batch`] changes any number of both, all of it or nothing. Each log and table
//! belongs to one [`Owner`], so several systems can share a store. A [`Committer`] makes the decisions of a state machine
//! durable, many in one batch.
//!
//! ```
//! use exorelay::store::{Batch, MemoryStore, Owner, Store};
//!
//! let (store, log) = (MemoryStore::default(), Owner::Outbox.log(1));
//! let mut batch = Batch::default();
//! batch.append(log, 0, "hello, ".into());
//! batch.append(log, 7, "world".into());
//! store.commit(batch)?;
//! let run = store.read(log, 7..12, 1024)?;
//! assert_eq!((run.chunks.concat().as_slice(), run.end), (&b"world"[..], 12));
//! # Ok::<(), exorelay::store::Error>(())
//! ```

mod batch;
mod chunk;
mod committer;
#[cfg(test)]
mod contract;
mod disk;
mod error;
mod log;
mod memory;
mod obstacle;
mod owner;
mod record;
mod records;
mod reservation;
#[cfg(test)]
pub(crate) mod test_store;

pub use batch::{Batch, LogId, Table, Write};
pub use committer::{CommitError, CommitOn, Committer, CommitterConfig, Failure, Machine, Submission};
pub use disk::{BackupError, BackupOutcome, BackupProgress, BackupRequest};
pub use disk::{ClosedFolder, DiskConfig, DiskStore, Durability, DurabilityError, OfflineStore};
pub use error::{Cause, Error};
pub use memory::MemoryStore;
pub use obstacle::Obstacle;
pub use owner::Owner;
pub use record::{Record, checksum_of};
pub use records::{Gap, Pace, Run, Store};
pub use reservation::{Reservation, Reservations};
