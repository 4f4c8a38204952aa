//! The runtime and the number of threads that a command runs on.

use std::io;
use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::runtime::Builder;

use super::Error;

/// The variable that sets the number of threads of a server.
const WORKER_THREADS: &str = "TOKIO_WORKER_THREADS";

/// Maximum wait at the end for work that cannot be cancelled, such as a DNS lookup.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(100);

/// The threads of a command's runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// A tool, or a server whose connections have worker threads of their own.
    One,
    /// A server with this many threads.
    Many(NonZeroUsize),
}

/// Runs `work` to its end on a new runtime. Errors: the system refuses a thread or the I/O driver.
pub fn block_on<T>(threads: Threads, work: impl Future<Output = T>) -> io::Result<T> {
    let mut builder = match threads {
        Threads::One => Builder::new_current_thread(),
        Threads::Many(threads) if threads.get() == 1 => Builder::new_current_thread(),
        Threads::Many(threads) => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(threads.get());
            builder
        }
    };
    let runtime = builder.enable_all().build()?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    Ok(outcome)
}

/// Returns the number of threads for a process that shares the machine with its service: `TOKIO_WORKER_THREADS`, else
/// half of the available cores.
pub(super) fn sidecar_threads() -> Result<NonZeroUsize, Error> {
    let half = || NonZeroUsize::new(cores().get() / 2).unwrap_or(NonZeroUsize::MIN);
    Ok(configured_threads()?.unwrap_or_else(half))
}

/// Returns the number of threads for a process that has the machine to itself: `TOKIO_WORKER_THREADS`, else one per
/// available core.
pub(super) fn server_threads() -> Result<NonZeroUsize, Error> {
    Ok(configured_threads()?.unwrap_or_else(cores))
}

fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn configured_threads() -> Result<Option<NonZeroUsize>, Error> {
    worker_threads(std::env::var(WORKER_THREADS).ok().as_deref())
}

fn worker_threads(text: Option<&str>) -> Result<Option<NonZeroUsize>, Error> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Error::WorkerThreads { variable: WORKER_THREADS, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_threads_are_a_number_of_at_least_one() {
        assert_eq!(worker_threads(Some("3")).unwrap(), NonZeroUsize::new(3));
        assert_eq!(worker_threads(None).unwrap(), None);
        assert!(worker_threads(Some("0")).is_err());
        assert!(worker_threads(Some("many")).is_err());
    }
}
