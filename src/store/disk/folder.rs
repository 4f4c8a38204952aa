//! The data folder: its format marker, and the files in it that are not our own to change.
//!
//! The file [`MARKER`] is one line of text: `exorelay data folder, format 3`. A folder of a version before the marker has none
//! and gets one. A backup says in its marker that it is incomplete until it is whole.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::acknowledged::Acknowledged;
use super::journal::journal_dir;
use super::private;
use crate::store::error::Cause;

/// The format that this program reads and writes: a journal of our own in front of fjall 3, whose marker has the same number.
const FORMAT: u32 = 3;

/// The file with our marker.
const MARKER: &str = "format";

const BEGINS: &str = "exorelay data folder, format ";
const INCOMPLETE: &str = ", incomplete backup";

/// fjall's own marker, its first bytes, and its other files: one for a lock, and a journal that is always empty, because
/// everything is ingested past it.
const ENGINE_MARKER: &str = "version";
const ENGINE_MAGIC: &[u8] = b"FJL";
const ENGINE_LOCK: &str = "lock";
const ENGINE_JOURNAL: &str = "0.jnl";
const ENGINE_JOURNAL_EXTENSION: &str = "jnl";

/// The folder of fjall's keyspaces, and the one in which it lists all others.
pub(super) const KEYSPACES: &str = "keyspaces";
pub(super) const META: &str = "0";

/// Checks that the folder has a format that is read here, and has not lost a part that every store has. Changes nothing.
/// Errors: [`Cause::Format`], [`Cause::IncompleteBackup`], [`Cause::DamagedFile`], [`Cause::ForeignFile`], [`Cause::File`].
pub(super) fn check(dir: &Path) -> Result<(), Cause> {
    if fs::metadata(dir).is_ok_and(|found| !found.is_dir()) {
        return Err(fault(dir, "is not a folder"));
    }
    check_marker(dir)?;
    check_engine_marker(dir)?;
    let acknowledged = Acknowledged::read(dir).unwrap_or(0);
    let meta = dir.join(KEYSPACES).join(META).join("current");
    let used = acknowledged > 0 || exists(&meta)?;
    let version = dir.join(ENGINE_MARKER);
    if used && !exists(&version)? {
        return Err(fault(&version, "is missing"));
    }
    for folder in [dir.join(KEYSPACES), journal_dir(dir)] {
        if acknowledged > 0 && !exists(&folder)? {
            return Err(fault(&folder, "is missing"));
        }
    }
    engine_journals(dir).map(drop)
}

/// Checks that the folder has anything of a store. Errors: [`Cause::NoStore`], [`Cause::File`].
pub(super) fn check_used(dir: &Path) -> Result<(), Cause> {
    match is_new(dir)? {
        true => Err(Cause::NoStore),
        false => Ok(()),
    }
}

/// Returns the faults of the files without which a store opens, although a part of what was written may be missing then.
/// Errors: [`Cause::File`].
pub(super) fn faults(dir: &Path) -> Result<Vec<Cause>, Cause> {
    let (marker, mut faults) = (dir.join(MARKER), Vec::new());
    match read(&marker)? {
        None => faults.push(fault(&marker, "is missing")),
        Some(text) if text != format!("{BEGINS}{FORMAT}\n").as_bytes() => {
            faults.push(fault(&marker, "is not as it was written"));
        }
        Some(_) => {}
    }
    let answered = Acknowledged::path(dir);
    if let Err(found) = Acknowledged::look(dir).map_err(|source| at(&answered, source))? {
        let lost = "so it is unknown if the end of the journal is complete";
        faults.push(fault(&answered, format!("{found}, {lost}")));
    }
    Ok(faults)
}

/// Writes into a new folder what every later state of it has. Errors: [`Cause::File`].
pub(super) fn begin(dir: &Path) -> Result<(), Cause> {
    match is_new(dir)? {
        true => Acknowledged::write(dir, 0).map_err(|source| at(&Acknowledged::path(dir), source)),
        false => Ok(()),
    }
}

fn is_new(dir: &Path) -> Result<bool, Cause> {
    for path in
        [MARKER, ENGINE_MARKER, KEYSPACES].map(|name| dir.join(name)).into_iter().chain([Acknowledged::path(dir)])
    {
        if exists(&path)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn check_marker(dir: &Path) -> Result<(), Cause> {
    let path = dir.join(MARKER);
    let Some(text) = read(&path)? else { return Ok(()) };
    let text = String::from_utf8_lossy(&text);
    let parsed = text.trim_end().strip_prefix(BEGINS).map(|rest| match rest.strip_suffix(INCOMPLETE) {
        Some(number) => (number, false),
        None => (rest, true),
    });
    match parsed.and_then(|(number, whole)| Some((number.parse::<u32>().ok()?, whole))) {
        None => Err(fault(&path, format!("is not a format marker, which reads: {BEGINS}{FORMAT}"))),
        Some((found, _)) if found != FORMAT => Err(format(found)),
        Some((_, false)) => Err(Cause::IncompleteBackup),
        Some((_, true)) => Ok(()),
    }
}

fn check_engine_marker(dir: &Path) -> Result<(), Cause> {
    let path = dir.join(ENGINE_MARKER);
    match read(&path)?.as_deref().map(|bytes| bytes.strip_prefix(ENGINE_MAGIC)) {
        None => Ok(()),
        Some(Some([number])) if u32::from(*number) == FORMAT => Ok(()),
        Some(Some([number])) => Err(format(u32::from(*number))),
        Some(_) => Err(fault(&path, "is not what was written there, or is of another program")),
    }
}

/// Creates those files of fjall that hold no data and may be missing, for a folder that it has used.
/// Errors: [`Cause::File`], [`Cause::ForeignFile`].
pub(super) fn add_engine_files(dir: &Path) -> Result<(), Cause> {
    if !exists(&dir.join(ENGINE_MARKER))? {
        return Ok(());
    }
    let mut missing = vec![dir.join(ENGINE_LOCK)];
    if engine_journals(dir)? == 0 {
        missing.push(dir.join(ENGINE_JOURNAL));
    }
    for path in missing {
        private::writing().open(&path).map_err(|source| Cause::File { path, source })?;
    }
    Ok(())
}

/// Creates the folder of fjall's keyspaces, which would leave it to the umask. Errors: [`Cause::File`].
pub(super) fn add_keyspaces(dir: &Path) -> Result<(), Cause> {
    let folder = dir.join(KEYSPACES);
    private::create_folder(&folder).map_err(|source| at(&folder, source))
}

/// Writes fjall's files that hold no data into a new folder.
pub(super) fn write_engine_files(dir: &Path) -> Result<(), Cause> {
    let number = u8::try_from(FORMAT).unwrap_or(u8::MAX);
    write(&dir.join(ENGINE_MARKER), &[ENGINE_MAGIC, &[number]].concat())?;
    add_engine_files(dir)
}

/// Returns the number of fjall's journals. Errors: [`Cause::ForeignFile`] for a file that fjall takes for one.
fn engine_journals(dir: &Path) -> Result<usize, Cause> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(|source| at(dir, source))?,
    };
    let mut count = 0;
    for entry in entries {
        let path = entry.map_err(|source| at(dir, source))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(Cause::ForeignFile { path });
        };
        match name.rsplit_once('.') {
            Some((number, ENGINE_JOURNAL_EXTENSION)) if number.parse::<u64>().is_ok() && path.is_file() => count += 1,
            Some((_, extension)) if extension.eq_ignore_ascii_case(ENGINE_JOURNAL_EXTENSION) => {
                return Err(Cause::ForeignFile { path });
            }
            _ => {}
        }
    }
    Ok(count)
}

/// Takes the content of the folder from other users, and warns if they may enter it. Errors: [`Cause::File`].
pub(super) fn protect(dir: &Path) -> Result<(), Cause> {
    private::warn_if_open(dir);
    let inside = [dir.join(KEYSPACES), journal_dir(dir)];
    inside.iter().try_for_each(|folder| private::narrow(folder).map_err(|source| at(folder, source)))
}

/// Marks the folder as a whole one of this format, unless it is marked. Errors: [`Cause::File`].
pub(super) fn mark(dir: &Path) -> Result<(), Cause> {
    match exists(&dir.join(MARKER))? {
        true => Ok(()),
        false => write_marker(dir, ""),
    }
}

/// Marks a new folder as an incomplete backup. Errors: [`Cause::File`].
pub(super) fn mark_incomplete(dir: &Path) -> Result<(), Cause> {
    write_marker(dir, INCOMPLETE)
}

/// Marks a backup as whole. Everything else in it must be synced. Errors: [`Cause::File`].
pub(super) fn mark_whole(dir: &Path) -> Result<(), Cause> {
    write_marker(dir, "")
}

fn write_marker(dir: &Path, note: &str) -> Result<(), Cause> {
    let (path, new) = (dir.join(MARKER), dir.join(format!("{MARKER}.new")));
    write(&new, format!("{BEGINS}{FORMAT}{note}\n").as_bytes())?;
    fs::rename(&new, &path).map_err(|source| at(&path, source))?;
    sync_folder(dir)
}

/// Writes a file and syncs it. Errors: [`Cause::File`].
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Cause> {
    private::write(path, bytes).and_then(|file| file.sync_all()).map_err(|source| at(path, source))
}

/// Syncs the names of the files in a folder. Errors: [`Cause::File`].
pub(super) fn sync_folder(dir: &Path) -> Result<(), Cause> {
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(|source| at(dir, source))
}

/// Adds the path to an error of the system.
pub(super) fn at(path: &Path, source: io::Error) -> Cause {
    Cause::File { path: path.to_owned(), source }
}

/// Returns the error of a folder of another format.
pub(super) fn format(found: u32) -> Cause {
    Cause::Format { found, read: FORMAT }
}

fn fault(path: &Path, fault: impl Into<String>) -> Cause {
    Cause::DamagedFile { path: path.to_owned(), fault: fault.into() }
}

fn exists(path: &Path) -> Result<bool, Cause> {
    path.try_exists().map_err(|source| at(path, source))
}

/// Returns the content of a file; `None` if it does not exist.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Cause> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(|source| at(path, source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::testing::{config, open};
    use crate::store::{Batch, DiskStore, LogId, Store};

    /// Changes a folder that holds a record, and returns the error of opening it; `None` if it opens and holds the record.
    fn opened_after(change: impl Fn(&Path)) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut batch = Batch::default();
        batch.append(LogId(1), 0, "record".into());
        store.commit(batch).unwrap();
        store.flush_now();
        drop(store);
        change(dir.path());
        let refused = match DiskStore::open(&config(dir.path())) {
            Ok(store) => {
                assert_eq!(store.read(LogId(1), 0..6, 10).unwrap().chunks.concat(), b"record");
                return None;
            }
            Err(refused) => refused.to_string(),
        };
        assert!(refused.starts_with(&dir.path().display().to_string()), "{refused}");
        assert!(!refused.contains("Error") && !refused.contains("fjall"), "{refused}");
        Some(refused)
    }

    fn check_refused(change: impl Fn(&Path), words: &[&str]) {
        let refused = opened_after(change).expect("it opens");
        words.iter().for_each(|word| assert!(refused.contains(word), "{refused:?} lacks {word:?}"));
    }

    #[test]
    fn a_folder_of_another_format_says_so_in_our_words() {
        let ours = |dir: &Path| fs::write(dir.join("format"), "exorelay data folder, format 4\n").unwrap();
        check_refused(ours, &["this folder has format 4, this program reads 3"]);
        let engines = |dir: &Path| fs::write(dir.join("version"), b"FJL\x04").unwrap();
        check_refused(engines, &["this folder has format 4, this program reads 3"]);
        let older = |dir: &Path| fs::write(dir.join("version"), b"FJL\x02").unwrap();
        check_refused(older, &["this folder has format 2, this program reads 3"]);
        check_refused(|dir| fs::write(dir.join("format"), "4").unwrap(), &["/format is not a format marker"]);
        check_refused(|dir| fs::write(dir.join("version"), "1.0").unwrap(), &["/version is not what was written"]);
    }

    #[test]
    fn a_folder_without_a_marker_opens_and_gets_one() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()));
        let marker = dir.path().join(MARKER);
        assert_eq!(fs::read_to_string(&marker).unwrap(), "exorelay data folder, format 3\n");
        fs::remove_file(&marker).unwrap();
        drop(open(dir.path()));
        assert!(marker.exists());
    }

    #[test]
    fn files_that_hold_no_data_may_be_missing() {
        for name in ["lock", "in-use", "0.jnl", "answered", MARKER] {
            assert_eq!(opened_after(|dir| fs::remove_file(dir.join(name)).unwrap()), None, "{name}");
        }
    }

    #[test]
    fn any_other_missing_file_is_named() {
        check_refused(|dir| fs::remove_file(dir.join("version")).unwrap(), &["/version is missing", "restore"]);
        for folder in ["journal", "keyspaces"] {
            let remove = |dir: &Path| fs::remove_dir_all(dir.join(folder)).unwrap();
            check_refused(remove, &[&format!("/{folder} is missing"), "restore"]);
        }
        for keyspace in ["keyspaces/0", "keyspaces/2"] {
            let remove = |dir: &Path| {
                let tables = dir.join(keyspace).join("tables");
                let table = fs::read_dir(tables).unwrap().next().unwrap().unwrap().path();
                fs::remove_file(table).unwrap();
            };
            check_refused(remove, &[&format!("/{keyspace}/tables/"), "is missing", "restore"]);
            check_refused(|dir| fs::remove_file(dir.join(keyspace).join("current")).unwrap(), &["/current is missing"]);
        }
    }

    #[test]
    fn a_foreign_file_is_named() {
        for name in ["notes.jnl", "keyspaces/2/tables/notes.txt", "keyspaces/2/blobs/1.bak"] {
            let add = |dir: &Path| {
                fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
                fs::write(dir.join(name), "mine").unwrap();
            };
            check_refused(add, &[&format!("/{name}"), "move it elsewhere"]);
        }
        check_refused(|dir| fs::create_dir(dir.join("keyspaces/old")).unwrap(), &["/keyspaces/old", "elsewhere"]);
        assert_eq!(opened_after(|dir| fs::write(dir.join("README"), "mine").unwrap()), None, "it is in nobody's way");
    }

    #[test]
    fn a_file_in_place_of_the_folder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "mine").unwrap();
        let refused = DiskStore::open(&config(&file)).err().unwrap().to_string();
        assert!(refused.contains("/file is not a folder"), "{refused}");
    }
}
