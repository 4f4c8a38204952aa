//! A store whose commits tests control.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use bytes::Bytes;

use super::{Batch, Error, LogId, MemoryStore, Pace, Run, Store, Table};
use crate::sync::lock;

/// Outcome of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnCommit {
    Succeed,
    /// Blocks until the test chooses otherwise.
    Hold,
    Fail,
    Panic,
}

/// A store in memory that blocks while it commits.
pub(crate) struct TestStore {
    inner: MemoryStore,
    on_commit: Mutex<OnCommit>,
    changed: Condvar,
    /// The name of the thread of each commit.
    threads: Mutex<Vec<String>>,
}

impl TestStore {
    pub(crate) fn new() -> Arc<Self> {
        let on_commit = Mutex::new(OnCommit::Succeed);
        Arc::new(Self { inner: MemoryStore::default(), on_commit, changed: Condvar::new(), threads: Mutex::default() })
    }

    pub(crate) fn on_commit(&self, on_commit: OnCommit) {
        *lock(&self.on_commit) = on_commit;
        self.changed.notify_all();
    }

    /// The number of commits that have begun.
    pub(crate) fn commits(&self) -> usize {
        lock(&self.threads).len()
    }

    /// The names of the threads that made the commits, in their order.
    pub(crate) fn threads(&self) -> Vec<String> {
        lock(&self.threads).clone()
    }

    fn wait_while_held(&self) -> MutexGuard<'_, OnCommit> {
        self.changed
            .wait_while(lock(&self.on_commit), |on_commit| *on_commit == OnCommit::Hold)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for TestStore {
    fn pace(&self) -> Pace {
        Pace::Blocking
    }

    fn commit(&self, batch: Batch) -> Result<(), Error> {
        lock(&self.threads).push(thread::current().name().unwrap_or_default().to_owned());
        let on_commit = *self.wait_while_held();
        match on_commit {
            OnCommit::Succeed | OnCommit::Hold => self.inner.commit(batch),
            OnCommit::Fail => {
                Err(Error::Journal { path: "journal".into(), source: io::Error::other("the disk is full") })
            }
            OnCommit::Panic => panic!("this test lets a commit panic"),
        }
    }

    fn read(&self, log: LogId, range: Range<u64>, bytes_max: usize) -> Result<Run, Error> {
        self.inner.read(log, range, bytes_max)
    }

    fn read_now(&self, _: LogId, _: Range<u64>, _: usize) -> Option<Result<Run, Error>> {
        None
    }

    fn end(&self, log: LogId) -> Result<Option<u64>, Error> {
        self.inner.end(log)
    }

    fn record_start(&self, log: LogId, position: u64) -> Result<u64, Error> {
        self.inner.record_start(log, position)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.inner.get(table, key)
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, count_max: usize) -> Result<Vec<(Bytes, Bytes)>, Error> {
        self.inner.scan(table, after, count_max)
    }
}
