//! A check of every file in the folder of a closed store.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::engine::IN_USE;
use super::folder;
use super::manifests::{self, ListedFile};
use crate::store::error::{Cause, Error};

/// Bytes of a file that are read at once.
const READ_BYTES: usize = 1024 * 1024;

/// The folder of a store that no process has open, with all its files read.
pub struct ClosedFolder {
    /// The path that was given.
    given: PathBuf,
    dir: PathBuf,
    files: Vec<ListedFile>,
    faults: Vec<String>,
    _directory_lock: Option<File>,
}

impl ClosedFolder {
    /// Reads all files of the folder, and compares those of the database with their checksums. Blocks meanwhile.
    /// Errors: [`Error::InUse`], [`Error::Open`], [`Error::Unavailable`].
    pub fn check(dir: &Path) -> Result<Self, Error> {
        let unusable = |source| Error::Open { dir: dir.to_owned(), source };
        let real = fs::canonicalize(dir).map_err(|source| unusable(folder::at(dir, source)))?;
        folder::check(&real).map_err(unusable)?;
        folder::check_used(&real).map_err(unusable)?;
        let directory_lock = lock_existing(&real).map_err(unusable)?;
        let Some(directory_lock) = directory_lock else { return Err(Error::InUse { dir: dir.to_owned() }) };
        let files = manifests::check(&real).map_err(unusable)?;
        let mut faults: Vec<String> =
            folder::faults(&real).map_err(unusable)?.iter().map(ToString::to_string).collect();
        faults.extend(damaged_files(&files)?);
        Ok(Self { given: dir.to_owned(), dir: real, files, faults, _directory_lock: directory_lock })
    }

    /// Returns the path that was given.
    pub(super) fn given(&self) -> &Path {
        &self.given
    }

    /// Returns the path without links.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the faults of its files, each as a sentence. Those of its records and of the journal are not among them.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Returns the number of the database's files, and their size.
    pub fn size(&self) -> (usize, u64) {
        let bytes = |file: &ListedFile| fs::metadata(&file.path).map_or(0, |file| file.len());
        (self.files.len(), self.files.iter().map(bytes).sum())
    }
}

/// Reads files, and returns the faults of those that are not what was written. Errors: [`Error::Unavailable`].
fn damaged_files(files: &[ListedFile]) -> Result<Vec<String>, Error> {
    let mut damaged = Vec::new();
    for file in files {
        match checksum_of(&file.path) {
            Ok(checksum) if checksum == file.checksum => {}
            Ok(_) => damaged.push(format!("{} is damaged: its checksum does not match", file.path.display())),
            Err(source) => match source.obstacle() {
                Some(obstacle) => return Err(Error::Unavailable { obstacle, source }),
                None => damaged.push(source.to_string()),
            },
        }
    }
    Ok(damaged)
}

/// Locks a folder against other processes, without writing to it; `None` if one has it open, and no lock if the folder has no
/// file for it.
fn lock_existing(dir: &Path) -> Result<Option<Option<File>>, Cause> {
    let path = dir.join(IN_USE);
    let file = match File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Some(None)),
        file => file.map_err(|source| folder::at(&path, source))?,
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(Some(file))),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(source)) => Err(folder::at(&path, source)),
    }
}

fn checksum_of(path: &Path) -> Result<u128, Cause> {
    let failed = |source| folder::at(path, source);
    let mut file = File::open(path).map_err(failed)?;
    let (mut sum, mut buffer) = (Xxh3::new(), vec![0; READ_BYTES]);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(sum.digest128()),
            count => sum.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::journal::journal_dir;
    use crate::store::disk::offline::OfflineStore;
    use crate::store::disk::offline::tests::fill;
    use crate::store::disk::testing::open;
    use crate::store::{Batch, LogId, Store};

    /// Returns everything that a check of the folder finds.
    fn faults(dir: &Path) -> Vec<String> {
        let folder = match ClosedFolder::check(dir) {
            Ok(folder) => folder,
            Err(refused) => return vec![refused.to_string()],
        };
        let mut faults = folder.faults().to_vec();
        match OfflineStore::open(folder) {
            Ok(store) => faults.extend(store.journal_fault()),
            Err(refused) => faults.push(refused.to_string()),
        }
        faults
    }

    fn flip(file: &Path, at: usize) {
        let mut bytes = fs::read(file).unwrap();
        bytes[at] ^= 1;
        fs::write(file, bytes).unwrap();
    }

    #[test]
    fn a_damaged_file_is_named_whatever_byte_it_is() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let files = manifests::check(dir.path()).unwrap();
        for file in files {
            let bytes = fs::read(&file.path).unwrap();
            flip(&file.path, bytes.len() / 2);
            let found = faults(dir.path());
            assert!(
                found.contains(&format!("{} is damaged: its checksum does not match", file.path.display())),
                "{found:?}"
            );
            let text = found.join("\n");
            assert!(!text.contains("Error") && !text.contains("exorelay-verify"), "{text}");
            fs::write(&file.path, bytes).unwrap();
        }
    }

    #[test]
    fn a_small_file_that_is_missing_or_altered_is_a_fault() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        for (name, bytes) in
            [("format", 31), ("answered", 16), ("keyspaces/0/current", 25), ("keyspaces/2/current", 25)]
        {
            let path = dir.path().join(name);
            let written = fs::read(&path).unwrap();
            assert_eq!(written.len(), bytes, "{name}");
            let check = |what: &str| {
                let found = faults(dir.path());
                assert!(found.iter().any(|fault| fault.contains(name)), "{name} {what}: {found:?}");
                fs::write(&path, &written).unwrap();
                assert_eq!(faults(dir.path()), Vec::<String>::new(), "{name}");
            };
            for at in [0, bytes / 2, bytes - 1] {
                flip(&path, at);
                check(&format!("with byte {at} flipped"));
            }
            fs::write(&path, &written[..bytes - 1]).unwrap();
            check("without its last byte");
            fs::write(&path, [&written[..], b" "].concat()).unwrap();
            check("with a byte more");
            fs::remove_file(&path).unwrap();
            check("missing");
        }
    }

    #[test]
    fn a_journal_that_is_cut_or_gone_is_a_fault_with_and_without_the_number_of_the_last_commit() {
        for (cut, keeps_number) in [(true, true), (true, false), (false, true), (false, false)] {
            let dir = tempfile::tempdir().unwrap();
            let store = open(dir.path());
            for number in 0..20_u64 {
                let mut batch = Batch::default();
                batch.append(LogId(1), number * 100, vec![1; 100].into());
                store.commit(batch).unwrap();
            }
            drop(store);
            assert_eq!(faults(dir.path()), Vec::<String>::new());
            for segment in fs::read_dir(journal_dir(dir.path())).unwrap().map(|entry| entry.unwrap().path()) {
                match cut {
                    true => fs::File::options().write(true).open(&segment).unwrap().set_len(1000).unwrap(),
                    false => fs::remove_file(&segment).unwrap(),
                }
            }
            if !keeps_number {
                fs::remove_file(dir.path().join("answered")).unwrap();
            }
            let found = faults(dir.path()).join("\n");
            let expected = match keeps_number {
                true => "journal is damaged: commits that were acknowledged are missing",
                false => "answered is missing, so it is unknown if the end of the journal is complete",
            };
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn a_folder_of_something_else_is_no_data_folder() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let refused = ClosedFolder::check(dir.path()).err().unwrap().to_string();
            assert!(refused.contains("it is no data folder, as it has no file `format`"), "{refused}");
            fs::write(dir.path().join("notes.txt"), "mine").unwrap();
        }
    }
}
