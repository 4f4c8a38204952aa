//! Read-only access to a closed store: for checks of a data folder or of a backup. Nothing in the folder changes.
//!
//! fjall cannot open a folder without writing to it. So it gets a folder of its own among the temporary files, the shadow: with
//! copies of the small files, and links to the files that never change.

use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

use super::acknowledged::Acknowledged;
use super::config::{DiskConfig, Durability};
use super::descriptors::DescriptorBudget;
use super::engine::IN_USE;
use super::folder;
use super::journal::{journal_dir, replay_of};
use super::keyspaces::Keyspaces;
use super::manifests::{self, BLOBS, ListedFile, TABLES};
use super::memtable::MemTable;
use super::overlay::{Overlay, look_up, scan};
use super::page_cache::PageCache;
use super::reading::{Pages, read_pages, record_start, start_after};
use super::recovery::{Recovered, recover};
use super::retained::RetainedSegments;
use crate::store::batch::{Batch, LogId, Table};
use crate::store::error::{Cause, Error};
use crate::store::records::{Gap, Pace, Run, Store};

/// Memory for caches.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// Bytes of a file that are read at once.
const READ_BYTES: usize = 1024 * 1024;

/// A closed store that can be read, and that no other process opens meanwhile.
pub struct OfflineStore {
    dir: PathBuf,
    keyspaces: Keyspaces,
    retained: RetainedSegments,
    memtable: MemTable,
    cache: PageCache,
    gaps: Vec<Gap>,
    commits_missing: bool,
    has_lost_unknown: bool,
    files: Vec<ListedFile>,
    // Dropped last.
    _shadow: Shadow,
    _directory_lock: Option<File>,
}

impl OfflineStore {
    /// Opens the folder of a store that no process has open. Blocks while it reads the journal and the end of each log.
    /// Errors: [`Error::InUse`], [`Error::Open`], [`Error::Database`], [`Error::Unavailable`].
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let unusable = |source| Error::Open { dir: dir.to_owned(), source };
        let real = fs::canonicalize(dir).map_err(|source| unusable(folder::at(dir, source)))?;
        folder::check(&real).map_err(unusable)?;
        let directory_lock = lock_existing(&real).map_err(unusable)?;
        let Some(directory_lock) = directory_lock else { return Err(Error::InUse { dir: dir.to_owned() }) };
        let files = manifests::check(&real).map_err(unusable)?;
        let shadow = Shadow::of(&real).map_err(unusable)?;
        let config = DiskConfig {
            dir: shadow.0.clone(),
            durability: Durability::Memory,
            free_bytes_min: 0,
            cache_bytes: CACHE_BYTES,
        };
        let keyspaces = Keyspaces::open_idle(&config).map_err(|error| unusable(error.into()))?;
        let segments = keyspaces.retained()?.into_iter().map(|(segment, _)| segment);
        let retained = RetainedSegments::expecting(segments, DescriptorBudget::of_process().segments_max);
        let next_commit = keyspaces.next_commit()?;
        let mut replay = replay_of(&journal_dir(&real), next_commit, &retained).map_err(unusable)?;
        replay.expect_until(Acknowledged::read(&real).unwrap_or(0));
        let Recovered { memtable, gaps, has_lost_unknown, .. } =
            recover(MemTable::over(keyspaces.page_ends()?.into_iter()), &replay).map_err(unusable)?;
        Ok(Self {
            dir: real,
            keyspaces,
            retained,
            memtable,
            cache: PageCache::with_capacity(CACHE_BYTES / 4),
            gaps,
            commits_missing: replay.has_gaps,
            has_lost_unknown,
            files,
            _shadow: shadow,
            _directory_lock: directory_lock,
        })
    }

    /// Returns the number of the database's files, and their size.
    pub fn size(&self) -> (usize, u64) {
        let bytes = |file: &ListedFile| fs::metadata(&file.path).map_or(0, |file| file.len());
        (self.files.len(), self.files.iter().map(bytes).sum())
    }

    /// Reads all files, and returns the faults of those that are not what was written, and of the journal. Blocks meanwhile.
    /// Errors: [`Error::Unavailable`].
    pub fn damaged_files(&self) -> Result<Vec<String>, Error> {
        let mut damaged = Vec::new();
        for file in &self.files {
            match checksum_of(&file.path) {
                Ok(checksum) if checksum == file.checksum => {}
                Ok(_) => damaged.push(format!("{} is damaged: its checksum does not match", file.path.display())),
                Err(source) => match source.obstacle() {
                    Some(obstacle) => return Err(Error::Unavailable { obstacle, source }),
                    None => damaged.push(source.to_string()),
                },
            }
        }
        if self.commits_missing {
            let journal = journal_dir(&self.dir);
            damaged.push(format!("{} is damaged: commits that were acknowledged are missing", journal.display()));
        }
        Ok(damaged)
    }
}

impl Store for OfflineStore {
    fn pace(&self) -> Pace {
        Pace::Blocking
    }

    /// Refuses every batch.
    fn commit(&self, _: Batch) -> Result<(), Error> {
        let source = Cause::Io(std::io::ErrorKind::ReadOnlyFilesystem.into());
        Err(Error::Database { dir: self.dir.clone(), source })
    }

    fn read(&self, log: LogId, range: Range<u64>, bytes_max: usize) -> Result<Run, Error> {
        let pages = Pages { database: &self.keyspaces, retained: &self.retained, cache: &self.cache };
        let read_pages = |range: &Range<u64>, run: &mut Run| Some(read_pages(&pages, log, range, bytes_max, run));
        look_up(self, log, range, bytes_max, read_pages).expect("reading pages always gives a result")
    }

    fn read_now(&self, _: LogId, _: Range<u64>, _: usize) -> Option<Result<Run, Error>> {
        None
    }

    fn end(&self, log: LogId) -> Result<Option<u64>, Error> {
        Ok(self.memtable.end(log))
    }

    fn gaps(&self) -> Vec<Gap> {
        self.gaps.clone()
    }

    fn has_lost_unknown(&self) -> bool {
        self.has_lost_unknown
    }

    fn record_start(&self, log: LogId, position: u64) -> Result<u64, Error> {
        let pages = Pages { database: &self.keyspaces, retained: &self.retained, cache: &self.cache };
        match self.memtable.record_start(log, position) {
            Some(start) => Ok(start),
            None => record_start(&pages, log, position),
        }
    }

    fn start_after(&self, log: LogId, position: u64) -> Result<Option<u64>, Error> {
        let pages = Pages { database: &self.keyspaces, retained: &self.retained, cache: &self.cache };
        let growing = self.memtable.start_after(log, position);
        Ok(start_after(&pages, log, position)?.into_iter().chain(growing).min())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let key = super::keys::table_key(table, key);
        match self.memtable.key(&key) {
            Some(changed) => Ok(changed.clone()),
            None => self.keyspaces.get(&key),
        }
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, count_max: usize) -> Result<Vec<(Bytes, Bytes)>, Error> {
        scan(self, table, after, count_max)
    }
}

impl Overlay for OfflineStore {
    fn with_memtable<A>(&self, look: impl FnOnce(&MemTable) -> A) -> A {
        look(&self.memtable)
    }

    fn with_database<A>(&self, look: impl FnOnce(&Keyspaces) -> Result<A, Error>) -> Result<A, Error> {
        look(&self.keyspaces)
    }
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

/// A folder for fjall, removed when this is dropped.
struct Shadow(PathBuf);

impl Shadow {
    /// Creates the shadow of a folder whose lists were checked.
    fn of(dir: &Path) -> Result<Self, Cause> {
        let shadow = Self(std::env::temp_dir().join(format!("exorelay-verify-{}", Uuid::new_v4())));
        create(&shadow.0)?;
        for keyspace in manifests::keyspaces(dir)? {
            let copy = shadow.0.join(folder::KEYSPACES).join(keyspace.file_name().unwrap_or_default());
            [TABLES, BLOBS].iter().try_for_each(|part| create(&copy.join(part)))?;
            let Some(list) = manifests::list_of(&keyspace)? else { continue };
            fs::write(copy.join(format!("v{}", list.number)), &list.bytes)
                .and_then(|()| fs::write(copy.join("current"), &list.current))
                .map_err(|source| folder::at(&copy, source))?;
            for file in &list.files {
                let link = copy.join(file.path.strip_prefix(&keyspace).unwrap_or(&file.path));
                symlink(&file.path, &link).map_err(|source| folder::at(&link, source))?;
            }
        }
        folder::write_engine_files(&shadow.0)?;
        Ok(shadow)
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        // Removes the links, and not what they lead to.
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::debug!(%error, dir = %self.0.display(), "cannot remove a temporary folder");
        }
    }
}

fn create(path: &Path) -> Result<(), Cause> {
    fs::create_dir_all(path).map_err(|source| folder::at(path, source))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::store::Owner;
    use crate::store::disk::testing::{open, open_flushing};

    const TABLE: Table = Owner::Streams.table("things");
    const SIZES: [usize; 3] = [100, 6_000, 40_000];

    fn fill(dir: &Path) -> Vec<u8> {
        let store = open_flushing(dir);
        let mut content = Vec::new();
        for number in 0..60_u64 {
            let record = vec![number as u8 | 1; SIZES[(number % 3) as usize]];
            let mut batch = Batch::default();
            batch.append(LogId(1), content.len() as u64, record.clone().into());
            batch.put(TABLE, format!("{number:02}").into(), record[..1].to_vec().into());
            store.commit(batch).unwrap();
            content.extend(record);
        }
        content
    }

    fn snapshot(dir: &Path) -> Vec<(PathBuf, Vec<u8>, (i64, i64))> {
        let mut found = Vec::new();
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => found.extend(snapshot(&path)),
                false => {
                    let file = fs::metadata(&path).unwrap();
                    found.push((path.clone(), fs::read(&path).unwrap(), (file.mtime(), file.mtime_nsec())));
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn a_closed_store_is_read_without_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let content = fill(dir.path());
        let before = snapshot(dir.path());
        let store = OfflineStore::open(dir.path()).unwrap();
        let end = store.end(LogId(1)).unwrap().unwrap();
        let mut read = Vec::new();
        while (read.len() as u64) < end {
            read.extend(store.read(LogId(1), read.len() as u64..end, 50_000).unwrap().chunks.concat());
        }
        assert!(read == content, "{} of {} bytes, or others", read.len(), content.len());
        assert_eq!(store.scan(TABLE, None, 1000).unwrap().len(), 60);
        assert_eq!(store.get(TABLE, b"07").unwrap().unwrap(), vec![7]);
        assert_eq!(store.damaged_files().unwrap(), Vec::<String>::new());
        store.commit(Batch::default()).unwrap_err();
        drop(store);
        assert!(snapshot(dir.path()) == before, "the folder has changed");
    }

    #[test]
    fn an_open_store_is_not_verified() {
        let dir = tempfile::tempdir().unwrap();
        let _store = open(dir.path());
        assert!(matches!(OfflineStore::open(dir.path()), Err(Error::InUse { .. })));
    }

    #[test]
    fn a_damaged_file_is_named_whatever_byte_it_is() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let files = manifests::check(dir.path()).unwrap();
        for file in files {
            let bytes = fs::read(&file.path).unwrap();
            let mut damaged = bytes.clone();
            damaged[bytes.len() / 2] ^= 1;
            fs::write(&file.path, damaged).unwrap();
            let found = match OfflineStore::open(dir.path()) {
                Ok(store) => store.damaged_files().unwrap().join("\n"),
                Err(error) => error.to_string(),
            };
            let name = file.path.strip_prefix(dir.path()).unwrap().display().to_string();
            assert!(
                found.contains(&name) || found.contains("damaged") || found.contains("checksum"),
                "{name}: {found}"
            );
            fs::write(&file.path, bytes).unwrap();
        }
    }
}
