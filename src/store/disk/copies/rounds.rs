//! Making the copies.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use super::folder::Copies;
use super::manifest::Manifest;
use super::part::Part;
use crate::store::disk::room::Room;

/// How often it is looked for files without a copy.
pub(super) const COPY_EVERY: Duration = Duration::from_secs(5);

impl Copies {
    /// Makes copies until the store closes, as far as there is room that nobody else needs.
    pub(in crate::store::disk) fn keep_up(&self, room: &Room, stopped: &Receiver<()>) {
        let mut rounds = Rounds::of(self);
        let closing = || matches!(stopped.try_recv(), Err(TryRecvError::Disconnected));
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(COPY_EVERY) {
            rounds.round(&|bytes| room.has_spare(bytes) && !closing());
        }
    }

    /// Makes all of them now.
    #[cfg(test)]
    pub(in crate::store::disk) fn copy_everything(&self) {
        let mut rounds = Rounds::of(self);
        rounds.round(&|_| true);
        rounds.round(&|_| true);
    }
}

/// Looking again and again.
pub(super) struct Rounds<'a> {
    copies: &'a Copies,
    /// Of what was there the last time.
    seen: HashSet<PathBuf>,
    /// Files of which that was told.
    told: HashSet<PathBuf>,
}

impl<'a> Rounds<'a> {
    pub(super) fn of(copies: &'a Copies) -> Self {
        Self { copies, seen: HashSet::new(), told: HashSet::new() }
    }

    /// Throws away the copies of what is gone, and copies what was there the last time, if the bytes `may_be_copied`.
    pub(super) fn round(&mut self, may_be_copied: &dyn Fn(u64) -> bool) {
        let mut parts = Vec::new();
        for keyspace in self.copies.keyspaces().unwrap_or_default() {
            // One that changes just now is looked at the next time.
            let Ok(manifest) = Manifest::read(&keyspace) else { continue };
            let wanted = self.copies.parts(&keyspace, &manifest);
            let folder = self.copies.folder_of(&keyspace);
            match keep_only(&folder, &wanted) {
                Ok(there) => wanted.iter().filter(|part| !there.contains(&part.copy)).for_each(|part| {
                    if self.seen.contains(&part.copy) && may_be_copied(part.bytes()) {
                        self.copy(part);
                    }
                }),
                Err(error) => self.tell_once(&folder, &error),
            }
            parts.extend(wanted);
        }
        self.told.retain(|file| file.is_dir() || parts.iter().any(|part| part.file == *file));
        self.seen = parts.into_iter().map(|part| part.copy).collect();
    }

    fn copy(&mut self, part: &Part) {
        match part.make() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => self.tell_once(&part.file, &error),
            // It may be gone by now.
            _ => {}
        }
    }

    fn tell_once(&mut self, about: &Path, error: &io::Error) {
        if self.told.insert(about.to_owned()) {
            tracing::error!(file = %about.display(), %error, "what finds the records is on the disk only once");
        }
    }
}

/// Throws away every copy that is not one of these, and tells which of them there are. Errors: what the disk says.
fn keep_only(folder: &Path, wanted: &[Part]) -> io::Result<HashSet<PathBuf>> {
    let wanted: HashSet<&Path> = wanted.iter().map(|part| &*part.copy).collect();
    let mut there = HashSet::new();
    fs::create_dir_all(folder)?;
    for copy in fs::read_dir(folder)? {
        let copy = copy?.path();
        match wanted.contains(&*copy) {
            true => drop(there.insert(copy)),
            false => fs::remove_file(copy)?,
        }
    }
    Ok(there)
}
