//! Records that outlive whoever wrote them: one [`Store`], several ways to keep it, one contract suite for all.
//!
//! A store has **logs** (records one after the other, addressed by the position of their first byte) and **tables**
//! (keys in order, each with a value). One [`Batch`] changes any number of both, all of it or nothing.
//!
//! ```
//! use exorelay::store::{Batch, LogId, MemoryStore, Store};
//!
//! let store = MemoryStore::default();
//! let mut batch = Batch::default();
//! batch.append(LogId(1), 0, "hello, ".into());
//! batch.append(LogId(1), 7, "world".into());
//! store.commit(batch)?;
//! let run = store.read(LogId(1), 7..12, 1024)?;
//! assert_eq!((run.chunks.concat().as_slice(), run.end), (&b"world"[..], 12));
//! # Ok::<(), exorelay::store::Error>(())
//! ```

mod batch;
mod chunk;
#[cfg(test)]
mod contract;
mod disk;
mod error;
mod log;
mod memory;
mod record;
mod records;

pub use batch::{Batch, LogId, Table, Write};
pub use disk::{DiskConfig, DiskStore, Durability, DurabilityError};
pub use error::Error;
pub use memory::MemoryStore;
pub use record::Record;
pub use records::{Gap, Pace, Run, Store};
