//! The memory that readers hold together: content that was read from the disk or encoded for them, and that they have not
//! taken yet. A reader that takes nothing holds its part until its connection is closed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Error;

/// Smaller parts are not counted.
const UNCOUNTED_BYTES_MAX: usize = 4 * 1024;

/// Bytes of one permit.
const PERMIT_BYTES: usize = 1024;

/// Time that a reader waits for others to take what they hold.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Reads of the disk that run at the same time, as far as they are long: each has a whole append in memory, whose size is
/// known only then.
const READS_MAX: usize = 4;

/// The memory of all readers. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct ReadBudget {
    held: Arc<Semaphore>,
    bytes_max: usize,
    reads: Arc<Semaphore>,
}

/// A part of the memory of all readers, until it is dropped; `None` for a short part.
pub(super) type Held = Option<OwnedSemaphorePermit>;

impl ReadBudget {
    pub(super) fn new(bytes_max: usize) -> Self {
        let permits = (bytes_max / PERMIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        let (held, reads) = (Arc::new(Semaphore::new(permits)), Arc::new(Semaphore::new(READS_MAX)));
        Self { held, bytes_max: permits * PERMIT_BYTES, reads }
    }

    /// Takes bytes of the memory; `None` if they do not fit now. More than all of it counts as all of it.
    pub(super) fn try_hold(&self, bytes: usize) -> Option<Held> {
        match self.permits(bytes) {
            None => Some(None),
            Some(permits) => Arc::clone(&self.held).try_acquire_many_owned(permits).ok().map(Some),
        }
    }

    /// Waits until bytes of the memory are free, and takes them. Errors: [`Error::ManyReaders`]. Cancel-safe.
    pub(super) async fn hold(&self, bytes: usize) -> Result<Held, Error> {
        let Some(permits) = self.permits(bytes) else { return Ok(None) };
        let waiting = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.held).acquire_many_owned(permits));
        match waiting.await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            Ok(Err(_)) | Err(_) => Err(self.many_readers()),
        }
    }

    /// The error of a reader for which no memory is left.
    pub(super) fn many_readers(&self) -> Error {
        Error::ManyReaders { bytes_max: self.bytes_max }
    }

    /// Waits for permission to read from the disk, and keeps it until it is dropped. Cancel-safe.
    pub(super) async fn read(&self) -> Held {
        Arc::clone(&self.reads).acquire_owned().await.ok()
    }

    fn permits(&self, bytes: usize) -> Option<u32> {
        let bytes = Some(bytes).filter(|bytes| *bytes > UNCOUNTED_BYTES_MAX)?;
        u32::try_from(bytes.min(self.bytes_max).div_ceil(PERMIT_BYTES)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn readers_wait_for_each_other_and_give_up_after_a_while() {
        let budget = ReadBudget::new(100 * 1024);
        let first = budget.try_hold(60 * 1024).unwrap();
        assert!(budget.try_hold(41 * 1024).is_none());
        assert!(budget.try_hold(UNCOUNTED_BYTES_MAX).unwrap().is_none(), "a short part is not counted");
        assert!(matches!(budget.hold(41 * 1024).await, Err(Error::ManyReaders { .. })));
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.hold(usize::MAX).await.map(|held| held.is_some()) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        assert!(waiting.await.unwrap().unwrap(), "more than all of it counts as all of it");
    }
}
