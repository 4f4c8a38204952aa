//! The rights of new files that name none themselves, such as those of the store's engine.

use std::sync::{Mutex, OnceLock};

use rustix::fs::Mode;
use rustix::process::umask;

use crate::sync::lock;

/// Leaves a new file to its owner alone.
const PRIVATE: Mode = Mode::from_raw_mode(0o077);

/// The umask that the process was started with, as soon as it has another one. A process has one umask for all of its threads.
static INHERITED: OnceLock<Mode> = OnceLock::new();

/// Held while the process has the umask it was started with.
static STARTING: Mutex<()> = Mutex::new(());

/// Keeps the files that this process creates from other users, whatever umask it was started with. Commands that it starts have
/// that umask nevertheless. For programs, not for libraries.
pub fn create_private_files() {
    INHERITED.get_or_init(|| umask(PRIVATE));
}

/// Starts a command, with the umask that this process was started with.
pub(super) fn with_inherited<A>(start: impl FnOnce() -> A) -> A {
    let Some(inherited) = INHERITED.get() else { return start() };
    let _one = lock(&STARTING);
    umask(*inherited);
    let started = start();
    umask(PRIVATE);
    started
}
