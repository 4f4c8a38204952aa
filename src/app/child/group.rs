//! All processes of a command.

use std::io;

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid};
use tokio::process::{Child, Command};

use crate::app::umask::with_inherited;

/// The processes that a command has started, and those that they have started. Ended with SIGKILL on drop.
pub(crate) struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    /// Starts `command` in a group of its own: Ctrl-C in the terminal does not reach it.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<(Child, Self)> {
        let child = with_inherited(|| command.process_group(0).kill_on_drop(true).spawn())?;
        let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok((child, Self(id)))
    }

    /// Sends a signal to all of them.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // Fails if all of them have ended.
            kill_process_group(group, signal).ok();
        }
    }

    /// Returns true while one of them runs, once the first one has ended.
    pub(crate) fn is_running(&self) -> bool {
        let Some(group) = self.0 else { return false };
        // The first process of a container inherits those whose parent has ended.
        while let Ok(Some(_)) = waitpgid(group, WaitOptions::NOHANG) {}
        test_kill_process_group(group).is_ok()
    }

    /// Lets those that still run go on.
    pub(crate) fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
