//! Making the copies.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::folder::Copies;
use super::manifest::{Manifest, is_damage};
use super::part::Part;
use crate::store::disk::room::Room;

/// How often it is looked for files without a copy.
pub(super) const COPY_EVERY: Duration = Duration::from_secs(5);

impl Copies {
    /// Makes copies until the store closes, but none while room is short.
    pub(in crate::store::disk) fn keep_up(&self, room: &Room, stopped: &Receiver<()>) {
        let mut rounds = Rounds::of(self);
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(COPY_EVERY) {
            if let Err(error) = rounds.round(!room.is_short()) {
                rounds.tell_once(&self.dir, &error, "what finds the records is on the disk only once for now");
            }
        }
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

    /// Throws away the copies of what is gone, and copies what was there the last time if it `may_copy`. Errors: what the disk
    /// says.
    pub(super) fn round(&mut self, may_copy: bool) -> io::Result<()> {
        let mut parts = Vec::new();
        for keyspace in self.copies.keyspaces()? {
            // One that changes just now is looked at the next time.
            let Ok(manifest) = Manifest::read(&keyspace) else { continue };
            let wanted = self.copies.parts(&keyspace, &manifest);
            let there = keep_only(&self.copies.folder_of(&keyspace), &wanted)?;
            for part in wanted.iter().filter(|part| !there.contains(&part.copy)) {
                if may_copy && self.seen.contains(&part.copy) {
                    self.copy(part)?;
                }
            }
            parts.extend(wanted);
        }
        self.told.retain(|file| parts.iter().any(|part| part.file == *file));
        self.seen = parts.into_iter().map(|part| part.copy).collect();
        Ok(())
    }

    fn copy(&mut self, part: &Part) -> io::Result<()> {
        match part.make() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) if is_damage(&error) => {
                self.tell_once(&part.file, &error, "a file of the database was damaged before it had a copy");
                Ok(())
            }
            made => made,
        }
    }

    fn tell_once(&mut self, about: &Path, error: &io::Error, what: &str) {
        if self.told.insert(about.to_owned()) {
            tracing::error!(file = %about.display(), %error, "{what}");
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
