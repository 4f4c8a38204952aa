//! Checks the database's lists of files before fjall reads them.
//!
//! Each keyspace has a list of its files, `v<number>`, and a file `current` with the number and the checksum of the valid
//! list. fjall 3.1 does not compare the two, although it deletes every file that the list does not name and starts an empty
//! keyspace where `current` is missing: one flipped bit could cost the whole store. This module goes when fjall validates
//! its lists (a TODO in `version/recovery.rs` of lsm-tree).

use std::fs::{self, File};
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use super::folder::{KEYSPACES, META};
use super::leb128::take;
use crate::store::error::Cause;

/// Size of `current`: the number of the list (8 bytes, little-endian), its xxh3 (16), and the kind of checksum (1).
const CURRENT_BYTES: usize = 25;

/// The kind of checksum that all files have.
const XXH3: u8 = 0;

/// Folders with the files of a list.
pub(super) const TABLES: &str = "tables";
pub(super) const BLOBS: &str = "blobs";

/// A file that a list names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListedFile {
    pub(super) path: PathBuf,
    /// The xxh3 of its content.
    pub(super) checksum: u128,
}

/// The list of a keyspace's files, and the file that makes it the valid one.
#[derive(Debug)]
pub(super) struct List {
    /// The folder of the keyspace.
    pub(super) keyspace: PathBuf,
    pub(super) number: u64,
    pub(super) current: Vec<u8>,
    pub(super) bytes: Vec<u8>,
    pub(super) files: Vec<ListedFile>,
}

/// Checks the list of every keyspace in a data directory: the lists are intact, and their files can be opened. Returns these.
/// Errors: [`Cause::DamagedFile`], [`Cause::ForeignFile`], [`Cause::File`].
pub(super) fn check(dir: &Path) -> Result<Vec<ListedFile>, Cause> {
    let mut listed = Vec::new();
    let mut in_use = false;
    for keyspace in keyspaces(dir)? {
        listed.extend(list_of(&keyspace)?.into_iter().flat_map(|list| list.files));
        [TABLES, BLOBS].iter().try_for_each(|folder| check_names(&keyspace.join(folder)))?;
        in_use |= !is_new(&keyspace)?;
    }
    let meta = dir.join(KEYSPACES).join(META).join("current");
    if in_use && !meta.try_exists().map_err(unreadable(&meta))? {
        return Err(damaged(meta, "is missing"));
    }
    listed.iter().try_for_each(check_file)?;
    Ok(listed)
}

/// Returns the folders of all keyspaces. Errors: [`Cause::ForeignFile`], [`Cause::File`].
pub(super) fn keyspaces(dir: &Path) -> Result<Vec<PathBuf>, Cause> {
    let mut folders = files(&dir.join(KEYSPACES))?;
    folders.retain(|path| path.is_dir());
    match folders.iter().find(|path| number_of(path, "").is_none()) {
        Some(path) => Err(Cause::ForeignFile { path: path.clone() }),
        None => Ok(folders),
    }
}

/// Returns the valid list of a keyspace, after its checksum was checked; `None` for a new keyspace. Errors:
/// [`Cause::DamagedFile`], [`Cause::File`].
pub(super) fn list_of(keyspace: &Path) -> Result<Option<List>, Cause> {
    let path = keyspace.join("current");
    let current = match fs::read(&path) {
        // fjall was interrupted while it created the keyspace, and starts again.
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_new(keyspace)? => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged(path, "is missing")),
        read => read.map_err(unreadable(&path))?,
    };
    let Some((number, checksum)) = parse(&current) else { return Err(damaged(path, "is damaged")) };
    let list = keyspace.join(format!("v{number}"));
    match fs::read(&list) {
        Ok(bytes) if xxh3_128(&bytes) == checksum => match files_in(keyspace, &bytes) {
            Some(files) => Ok(Some(List { keyspace: keyspace.to_owned(), number, current, bytes, files })),
            None => Err(damaged(list, "cannot be parsed")),
        },
        Ok(_) => Err(damaged(list, format!("does not match the checksum in {}", path.display()))),
        // fjall was interrupted while it removed a keyspace that was never used.
        Err(error) if error.kind() == io::ErrorKind::NotFound && number == 0 && is_new(keyspace)? => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(damaged(list, format!("is missing, or {} is damaged", path.display())))
        }
        Err(error) => Err(unreadable(&list)(error)),
    }
}

/// Returns the files that a list names; `None` if it is malformed. The list is an archive with a section for tables, by level and
/// run, and one for blob files.
fn files_in(keyspace: &Path, list: &[u8]) -> Option<Vec<ListedFile>> {
    let archive = sfa::Reader::from_reader(&mut Cursor::new(list)).ok()?;
    let section = |name: &[u8]| {
        let entry = archive.toc().section(name)?;
        let begins = usize::try_from(entry.pos()).ok()?;
        list.get(begins..)?.get(..usize::try_from(entry.len()).ok()?)
    };
    let (mut tables, mut blobs) = (section(b"tables")?, section(b"blob_files")?);
    let mut files = Vec::new();
    for _ in 0..take(&mut tables, 1)?[0] {
        for _ in 0..take(&mut tables, 1)?[0] {
            for _ in 0..u32::from_le_bytes(*take(&mut tables, 4)?.first_chunk()?) {
                files.push(file_at(&mut tables, &keyspace.join(TABLES))?);
                // Its sequence number.
                take(&mut tables, 8)?;
            }
        }
    }
    for _ in 0..u32::from_le_bytes(*take(&mut blobs, 4)?.first_chunk()?) {
        files.push(file_at(&mut blobs, &keyspace.join(BLOBS))?);
    }
    Some(files)
}

fn file_at(rest: &mut &[u8], folder: &Path) -> Option<ListedFile> {
    let number = u64::from_le_bytes(*take(rest, 8)?.first_chunk()?);
    let kind = take(rest, 1)?[0];
    let checksum = u128::from_le_bytes(*take(rest, 16)?.first_chunk()?);
    (kind == XXH3).then(|| ListedFile { path: folder.join(number.to_string()), checksum })
}

fn check_file(file: &ListedFile) -> Result<(), Cause> {
    match File::open(&file.path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(damaged(file.path.clone(), "is missing")),
        Err(error) => Err(unreadable(&file.path)(error)),
    }
}

/// Checks that a folder has only files whose name is a number, as fjall does not open it otherwise. Files that systems put into
/// any folder are ignored, as by fjall.
fn check_names(folder: &Path) -> Result<(), Cause> {
    let foreign = files(folder)?.into_iter().find(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let ignored = name == ".DS_Store" || name.starts_with("._");
        !ignored && (path.is_dir() || number_of(path, "").is_none())
    });
    foreign.map_or(Ok(()), |path| Err(Cause::ForeignFile { path }))
}

/// Returns the number in a file's name, after `prefix`.
fn number_of(path: &Path, prefix: &str) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(prefix)?.parse().ok()
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
    (current[CURRENT_BYTES - 1] == XXH3).then_some(())?;
    Some((u64::from_le_bytes(*number), u128::from_le_bytes(checksum.try_into().ok()?)))
}

/// Returns true if nothing was ever added to the keyspace: it has the empty list 0 at most, and no table or blob file.
fn is_new(keyspace: &Path) -> Result<bool, Cause> {
    let later_list = files(keyspace)?.iter().any(|path| number_of(path, "v") > Some(0));
    Ok(!later_list && files(&keyspace.join(TABLES))?.is_empty() && files(&keyspace.join(BLOBS))?.is_empty())
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
        for at in [0, 7, 8, 23, 24] {
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
