//! Checks the database's lists of files before fjall reads them.
//!
//! Each keyspace has a list of its files, `v<number>`, and a file `current` with the number and the checksum of the valid
//! list. fjall 3.1 does not compare the two, although it deletes every file that the list does not name and starts an empty
//! keyspace where `current` is missing: one flipped bit could cost the whole store. This module goes when fjall validates
//! its lists (a TODO in `version/recovery.rs` of lsm-tree).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use crate::store::error::Cause;

/// Size of `current`: the number of the list (8 bytes, little-endian), its xxh3 (16), and the kind of checksum (1).
const CURRENT_BYTES: usize = 25;

/// The keyspace in which fjall lists all others; it is created first. Without it fjall deletes the others.
const META: &str = "0";

/// Checks the list of every keyspace in a data directory. Errors: [`Cause::DamagedFile`], [`Cause::File`].
pub(super) fn check(dir: &Path) -> Result<(), Cause> {
    let entries = match fs::read_dir(dir.join("keyspaces")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(unreadable(dir))?,
    };
    let mut in_use = false;
    for entry in entries {
        let keyspace = entry.map_err(unreadable(dir))?.path();
        if keyspace.is_dir() {
            check_keyspace(&keyspace)?;
            in_use |= !is_new(&keyspace)?;
        }
    }
    let meta = dir.join("keyspaces").join(META).join("current");
    if in_use && !meta.try_exists().map_err(unreadable(&meta))? {
        return Err(damaged(meta, "is missing"));
    }
    Ok(())
}

fn check_keyspace(keyspace: &Path) -> Result<(), Cause> {
    let path = keyspace.join("current");
    let current = match fs::read(&path) {
        // fjall was interrupted while it created the keyspace, and starts again.
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_new(keyspace)? => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged(path, "is missing")),
        read => read.map_err(unreadable(&path))?,
    };
    let Some((number, checksum)) = parse(&current) else { return Err(damaged(path, "is damaged")) };
    let list = keyspace.join(format!("v{number}"));
    match fs::read(&list) {
        Ok(bytes) if xxh3_128(&bytes) == checksum => Ok(()),
        Ok(_) => Err(damaged(list, format!("does not match the checksum in {}", path.display()))),
        // fjall was interrupted while it removed a keyspace that was never used.
        Err(error) if error.kind() == io::ErrorKind::NotFound && number == 0 && is_new(keyspace)? => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(damaged(list, format!("is missing, or {} is damaged", path.display())))
        }
        Err(error) => Err(unreadable(&list)(error)),
    }
}

fn damaged(path: PathBuf, fault: impl Into<String>) -> Cause {
    Cause::DamagedFile { path, fault: fault.into() }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Cause {
    move |source| Cause::File { path: path.to_owned(), source }
}

fn parse(current: &[u8]) -> Option<(u64, u128)> {
    let current: &[u8; CURRENT_BYTES] = current.try_into().ok()?;
    let (number, checksum) = current[..CURRENT_BYTES - 1].split_first_chunk()?;
    Some((u64::from_le_bytes(*number), u128::from_le_bytes(checksum.try_into().ok()?)))
}

/// Returns true if nothing was ever added to the keyspace: it has the empty list 0 at most, and no table or blob file.
fn is_new(keyspace: &Path) -> Result<bool, Cause> {
    let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix('v')?.parse::<u64>().ok();
    let later_list = files(keyspace)?.iter().any(|path| number(path) > Some(0));
    Ok(!later_list && files(&keyspace.join("tables"))?.is_empty() && files(&keyspace.join("blobs"))?.is_empty())
}

/// Returns the paths in a folder; none if it does not exist.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Cause> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable(folder))?,
    };
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(unreadable(folder))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::testing::{config, open_flushing};
    use crate::store::{Batch, DiskStore, LogId, Store};

    /// Opens a store whose `pages` keyspace was changed by `damage`, and returns the error.
    fn refusal(damage: impl Fn(&Path)) -> String {
        let dir = tempfile::tempdir().unwrap();
        let store = open_flushing(dir.path());
        let mut batch = Batch::default();
        batch.append(LogId(1), 0, "record".into());
        store.commit(batch).unwrap();
        store.flush_now();
        drop(store);
        check(dir.path()).unwrap();
        damage(&dir.path().join("keyspaces/2"));
        DiskStore::open(&config(dir.path())).err().expect("the store opened with a damaged list").to_string()
    }

    fn list_of(keyspace: &Path) -> PathBuf {
        let (number, _) = parse(&fs::read(keyspace.join("current")).unwrap()).unwrap();
        keyspace.join(format!("v{number}"))
    }

    fn flip(file: &Path, at: usize) {
        let mut bytes = fs::read(file).unwrap();
        bytes[at] ^= 1;
        fs::write(file, bytes).unwrap();
    }

    #[test]
    fn a_flipped_bit_in_a_list_is_reported_with_its_path() {
        for at in [3, 40, 60] {
            let refused = refusal(|keyspace| flip(&list_of(keyspace), at));
            assert!(refused.contains("keyspaces/2/v"), "{refused}");
        }
    }

    #[test]
    fn a_flipped_bit_in_current_is_reported_with_its_path() {
        for at in [0, 7, 8, 23] {
            let refused = refusal(|keyspace| flip(&keyspace.join("current"), at));
            assert!(refused.contains("keyspaces/2/current"), "{refused}");
        }
    }

    #[test]
    fn a_missing_or_truncated_file_is_reported_with_its_path() {
        let refused = refusal(|keyspace| fs::remove_file(keyspace.join("current")).unwrap());
        assert!(refused.contains("keyspaces/2/current is missing"), "{refused}");
        let refused = refusal(|keyspace| fs::remove_file(list_of(keyspace)).unwrap());
        assert!(refused.contains("keyspaces/2/v"), "{refused}");
        let refused = refusal(|keyspace| fs::write(keyspace.join("current"), "none").unwrap());
        assert!(refused.contains("keyspaces/2/current is damaged"), "{refused}");
    }

    #[test]
    fn a_keyspace_that_lost_both_its_list_and_current_is_refused() {
        let refused = refusal(|keyspace| {
            fs::remove_file(list_of(keyspace)).unwrap();
            fs::remove_file(keyspace.join("current")).unwrap();
        });
        assert!(refused.contains("keyspaces/2/current is missing"), "{refused}");
    }

    #[test]
    fn a_directory_that_lost_its_list_of_keyspaces_is_refused() {
        let refused = refusal(|keyspace| fs::remove_dir_all(keyspace.with_file_name(META)).unwrap());
        assert!(refused.contains("keyspaces/0/current is missing"), "{refused}");
    }

    #[test]
    fn an_unused_keyspace_that_was_being_removed_is_left_to_fjall() {
        let dir = tempfile::tempdir().unwrap();
        let keyspace = dir.path().join("keyspaces/1");
        fs::create_dir_all(keyspace.join("tables")).unwrap();
        let current = [&0_u64.to_le_bytes()[..], &[0; CURRENT_BYTES - 8]].concat();
        fs::write(keyspace.join("current"), current).unwrap();
        check(dir.path()).unwrap();
    }

    #[test]
    fn a_keyspace_that_was_being_created_is_left_to_fjall() {
        let dir = tempfile::tempdir().unwrap();
        let keyspace = dir.path().join("keyspaces/1");
        fs::create_dir_all(&keyspace).unwrap();
        fs::write(keyspace.join("v0"), "half").unwrap();
        fs::write(dir.path().join("keyspaces/note"), "by hand").unwrap();
        check(dir.path()).unwrap();
    }
}
