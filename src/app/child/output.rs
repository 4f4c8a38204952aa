//! Passes the output of a service on.

use std::io::{self, Write};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;

use super::lines::Lines;

/// Size of one read.
const CHUNK_BYTES: usize = 8 * 1024;

/// Time to read what a service has printed, once it has ended: processes that it left behind may keep its output open.
const END_GRACE: Duration = Duration::from_millis(200);

/// The tasks that pass the output of one process on. Ended on drop.
pub(super) struct Output([AbortOnDropHandle<()>; 2]);

/// A stream of this process.
#[derive(Debug, Clone, Copy)]
enum Target {
    Stdout,
    Stderr,
}

impl Target {
    /// Writes whole lines, blocking. Returns false if the stream is closed.
    fn write(self, lines: &[u8]) -> bool {
        let written = match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(lines).and_then(|()| out.flush())
            }
            Self::Stderr => io::stderr().lock().write_all(lines),
        };
        written.is_ok()
    }
}

impl Output {
    /// Passes stdout and stderr on to those of this process, each line after the role.
    pub(super) fn pass_on(child: &mut Child, role: &str) -> Self {
        let out = tokio::spawn(copy(child.stdout.take(), Lines::new(role), Target::Stdout));
        let err = tokio::spawn(copy(child.stderr.take(), Lines::new(role), Target::Stderr));
        Self([AbortOnDropHandle::new(out), AbortOnDropHandle::new(err)])
    }

    /// Waits for the last lines of a process that has ended.
    pub(super) async fn end(self) {
        let [out, err] = self.0;
        // After that time, the rest belongs to processes that are ended, too.
        drop(tokio::time::timeout(END_GRACE, async { (out.await, err.await) }).await);
    }
}

/// Copies lines until the end of `source`. A target that is closed does not end the service: what it prints is dropped.
async fn copy(source: Option<impl AsyncRead + Unpin>, mut lines: Lines, target: Target) {
    let Some(mut source) = source else { return };
    let (mut chunk, mut is_open) = (vec![0; CHUNK_BYTES], true);
    loop {
        let read = source.read(&mut chunk).await.unwrap_or(0);
        let mut out = Vec::new();
        match read {
            0 => lines.end(&mut out),
            _ => lines.push(&chunk[..read], &mut out),
        }
        if is_open && !out.is_empty() {
            // Not here: a terminal or a pipe may not take it at once.
            is_open = spawn_blocking(move || target.write(&out)).await.unwrap_or(false);
        }
        if read == 0 {
            return;
        }
    }
}
