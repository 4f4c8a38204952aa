//! `exorelay streams backup`

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::super::Error;
use super::super::output::{print_line, warn};
use super::data_dir;
use crate::store::{BackupError, BackupOutcome, BackupProgress, BackupRequest, DiskConfig, DiskStore, Durability};

/// Interval in which the progress is read.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Copy the data folder of a server while it runs, or of a stopped one
#[derive(Debug, Args)]
#[command(after_help = "\
Example: copy the data of a running server, and check the copy
  exorelay streams backup --data-dir /var/lib/exorelay /backup/monday
  exorelay streams verify /backup/monday
  docker exec streams exorelay streams backup /backup/monday

The copy holds everything that was acknowledged before, and is used as a data folder itself: exorelay streams --data-dir COPY.
The running server writes it, so DIR is a path as that server sees it. A copy that was interrupted never opens.")]
pub(in crate::cli) struct Backup {
    /// Folder to create the copy in; new or empty
    #[arg(value_name = "DIR")]
    target: PathBuf,
    /// Data folder to copy [default: the configured streams.data_dir]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Backup {
    pub(in crate::cli) async fn run(self) -> Result<(), Error> {
        let dir = data_dir(self.data_dir)?;
        let outcome = match BackupRequest::post(&dir, &self.target)? {
            Some(request) => follow(&request).await?,
            None => copy_closed(dir, self.target.clone()).await?,
        };
        for file in &outcome.damaged {
            warn(&format!("{} is damaged, in the copy too", file.display()));
        }
        let BackupOutcome { files, bytes, damaged } = outcome;
        print_line(&format!("{}: {files} files, {:.1} MiB", self.target.display(), mib(bytes)))?;
        match damaged.is_empty() {
            true => Ok(()),
            false => Err(Error::Damaged { dir: self.target, faults: damaged.len() }),
        }
    }
}

/// Waits for the copy that a server makes, and shows its progress on a terminal.
async fn follow(request: &BackupRequest) -> Result<BackupOutcome, BackupError> {
    let visible = io::stderr().is_terminal();
    let show = |text: &str| {
        if visible {
            // A closed stderr does not matter.
            drop(write!(io::stderr(), "\r\x1b[K{text}"));
        }
    };
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let progress = request.progress().inspect_err(|_| show(""))?;
        match progress {
            BackupProgress::Done(outcome) => {
                show("");
                return Ok(outcome);
            }
            BackupProgress::Copying { done_bytes, all_bytes } if all_bytes > 0 => {
                let percent = done_bytes.saturating_mul(100) / all_bytes;
                show(&format!("{percent} %, {:.1} of {:.1} MiB", mib(done_bytes), mib(all_bytes)));
            }
            BackupProgress::Copying { .. } | BackupProgress::Waiting => {}
            BackupProgress::Failed(problem) => return Err(BackupError::Refused(problem)),
        }
    }
}

/// Copies the folder of a store that no process has open.
async fn copy_closed(dir: PathBuf, target: PathBuf) -> Result<BackupOutcome, Error> {
    if !dir.is_dir() {
        return Err(Error::NoDataFolder { dir });
    }
    let copy = move || {
        let config = DiskConfig { dir, durability: Durability::Sync, free_bytes_min: 0, cache_bytes: 8 * 1024 * 1024 };
        DiskStore::open(&config).map_err(BackupError::Store)?.backup(&target)
    };
    let copied = tokio::task::spawn_blocking(copy).await;
    Ok(copied.map_err(|error| Error::Runtime(io::Error::other(error)))??)
}

pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
