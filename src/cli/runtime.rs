//! What commands run on.

use std::io;
use std::time::Duration;

use tokio::runtime::Builder;

use super::Threads;

/// How long the end waits for work that cannot be cancelled, such as a name being looked up.
const LAST_GRACE: Duration = Duration::from_millis(500);

/// Runs `work` to its end on a runtime of its own. Errors: the system refuses the runtime's threads or its poll.
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
    runtime.shutdown_timeout(LAST_GRACE);
    Ok(outcome)
}
