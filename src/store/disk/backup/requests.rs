//! Requests for backups, as files in the data folder, and over no network: a process that may write there may ask.
//!
//! The file [`REQUEST`] names the target. The process that has the store open answers with the file [`STATUS`], first while it
//! copies, and at last with the outcome. Both are replaced as a whole, and removed at the end.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{BackupError, BackupOutcome, BackupSource};
use crate::store::disk::engine::IN_USE;
use crate::store::disk::private;

const REQUEST: &str = "backup-request";
const STATUS: &str = "backup-status";

/// Interval in which the server looks for a request.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Interval in which it writes its progress.
const STATUS_INTERVAL: Duration = Duration::from_millis(250);

/// Time after which a server that has not taken the request never will.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    id: String,
    target: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Status {
    id: String,
    state: BackupProgress,
}

/// The state of a requested backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackupProgress {
    /// The server has not begun.
    Waiting,
    /// The copy is being made.
    Copying {
        /// The bytes done.
        done_bytes: u64,
        /// About the size of the whole copy.
        all_bytes: u64,
    },
    /// The copy is whole.
    Done(BackupOutcome),
    /// There is no copy, or an incomplete one.
    Failed(String),
}

/// A backup that was requested from the process that has a store open. The request is withdrawn when this is dropped, as far as
/// it was not taken.
#[derive(Debug)]
pub struct BackupRequest {
    dir: PathBuf,
    id: String,
    since: Instant,
}

impl BackupRequest {
    /// Requests a copy of the store in `dir` from the process that has it open; `None` if no process has. The target is a path
    /// as that process sees it. Errors: [`BackupError::Running`], [`BackupError::File`].
    pub fn post(dir: &Path, target: &Path) -> Result<Option<Self>, BackupError> {
        if !is_in_use(dir)? {
            return Ok(None);
        }
        let target = std::path::absolute(target).map_err(|error| BackupError::at(target, error))?;
        let asked = Asked { id: Uuid::new_v4().to_string(), target };
        let (path, draft) = (dir.join(REQUEST), dir.join(format!("{REQUEST}.{}", asked.id)));
        write_json(&draft, &asked)?;
        // Fails if there is one, and shows the file only with its content.
        let posted = fs::hard_link(&draft, &path);
        fs::remove_file(&draft).ok();
        match posted {
            Ok(()) => Ok(Some(Self { dir: dir.to_owned(), id: asked.id.clone(), since: Instant::now() })),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(BackupError::Running { dir: dir.to_owned() })
            }
            Err(error) => Err(BackupError::at(path, error)),
        }
    }

    /// Returns the state of the backup. Does not wait. Errors: [`BackupError::Stopped`], [`BackupError::NoAnswer`],
    /// [`BackupError::Refused`].
    pub fn progress(&self) -> Result<BackupProgress, BackupError> {
        let status: Option<Status> = read_json(&self.dir.join(STATUS));
        match status.filter(|status| status.id == self.id).map(|status| status.state) {
            Some(BackupProgress::Failed(problem)) => Err(BackupError::Refused(problem)),
            Some(BackupProgress::Done(outcome)) => Ok(BackupProgress::Done(outcome)),
            _ if !is_in_use(&self.dir)? => Err(BackupError::Stopped),
            Some(state) => Ok(state),
            None if self.since.elapsed() > TAKEN_WITHIN => Err(BackupError::NoAnswer { dir: self.dir.clone() }),
            None => Ok(BackupProgress::Waiting),
        }
    }
}

impl Drop for BackupRequest {
    fn drop(&mut self) {
        let asked: Option<Asked> = read_json(&self.dir.join(REQUEST));
        if asked.is_some_and(|asked| asked.id == self.id) {
            fs::remove_file(self.dir.join(REQUEST)).ok();
        }
        let status: Option<Status> = read_json(&self.dir.join(STATUS));
        if status.is_some_and(|status| status.id == self.id) {
            fs::remove_file(self.dir.join(STATUS)).ok();
        }
    }
}

/// Returns true if a process has the store open. Errors: [`BackupError::File`].
fn is_in_use(dir: &Path) -> Result<bool, BackupError> {
    let path = dir.join(IN_USE);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file.map_err(|error| BackupError::at(&path, error))?,
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(fs::TryLockError::WouldBlock) => Ok(true),
        Err(fs::TryLockError::Error(error)) => Err(BackupError::at(path, error)),
    }
}

/// Answers requests until the store closes.
pub(in crate::store::disk) fn answer_requests(source: &BackupSource, stopped: &Receiver<()>) {
    let (request, status) = (source.dir.join(REQUEST), source.dir.join(STATUS));
    // They were for an earlier process.
    [&request, &status].into_iter().for_each(|path| drop(fs::remove_file(path)));
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(POLL_INTERVAL) {
        if !request.exists() {
            continue;
        }
        match read_json::<Asked>(&request) {
            Some(asked) => answer(source, &asked, &status, stopped),
            None => tracing::warn!(file = %request.display(), "ignoring a request for a backup that cannot be read"),
        }
        fs::remove_file(&request).ok();
    }
}

fn answer(source: &BackupSource, asked: &Asked, status: &Path, stopped: &Receiver<()>) {
    let report = |state| {
        if let Err(error) = write_json(status, &Status { id: asked.id.clone(), state }) {
            tracing::warn!(%error, "cannot report the progress of a backup");
        }
    };
    report(BackupProgress::Copying { done_bytes: 0, all_bytes: 0 });
    tracing::info!(target_dir = %asked.target.display(), "making a backup");
    let mut next = Instant::now();
    let outcome = source.copy_to(&asked.target, &mut |done_bytes, all_bytes| {
        if matches!(stopped.try_recv(), Err(TryRecvError::Disconnected)) {
            return Err(BackupError::Stopped);
        }
        if Instant::now() >= next {
            next = Instant::now() + STATUS_INTERVAL;
            report(BackupProgress::Copying { done_bytes, all_bytes });
        }
        Ok(())
    });
    match outcome {
        Ok(outcome) => {
            let BackupOutcome { files, bytes, .. } = outcome;
            tracing::info!(target_dir = %asked.target.display(), files, bytes, "made a backup");
            report(BackupProgress::Done(outcome));
        }
        Err(error) => {
            tracing::warn!(%error, target_dir = %asked.target.display(), "cannot make a backup");
            report(BackupProgress::Failed(error.to_string()));
        }
    }
}

/// Replaces a file as a whole.
fn write_json(path: &Path, value: &impl Serialize) -> Result<(), BackupError> {
    let new = path.with_extension("new");
    let json = serde_json::to_vec(value).expect("paths of requests come from JSON, and all else is numbers and texts");
    let written = private::write(&new, json).and_then(|_| {
        give_to_owner_of_folder(&new);
        fs::rename(&new, path)
    });
    written.map_err(|error| BackupError::at(path, error))
}

/// Gives a file to the owner of its folder, who runs the server: an administrator, too, may ask it for a backup.
fn give_to_owner_of_folder(path: &Path) {
    let owner = |path: &Path| fs::metadata(path).map(|found| found.uid()).ok();
    let folder = path.parent().and_then(owner);
    if folder.is_some() && folder != owner(path) {
        // Only an administrator may, and others cannot write here.
        chown(path, folder, None).ok();
    }
}

fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
