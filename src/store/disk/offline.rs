//! Read-only access to a closed store: for checks of a data folder or of a backup. Nothing in the folder changes.
//!
//! fjall cannot open a folder without writing to it. So it gets a folder of its own among the temporary files, the shadow: with
//! copies of the small files, and links to the files that never change.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use uuid::Uuid;

use super::acknowledged::Acknowledged;
use super::closed_folder::ClosedFolder;
use super::config::{DiskConfig, Durability};
use super::descriptors::DescriptorBudget;
use super::folder;
use super::journal::{journal_dir, replay_of};
use super::keyspaces::Keyspaces;
use super::manifests::{self, BLOBS, TABLES};
use super::memtable::MemTable;
use super::overlay::{Overlay, look_up, scan};
use super::page_cache::PageCache;
use super::private;
use super::reading::{Pages, read_pages, record_start, start_after};
use super::recovery::{Recovered, recover};
use super::retained::RetainedSegments;
use crate::store::batch::{Batch, LogId, Table};
use crate::store::error::{Cause, Error};
use crate::store::records::{Gap, Pace, Run, Store};

/// Memory for caches.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;

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
    // Dropped last.
    _shadow: Shadow,
    _folder: ClosedFolder,
}

impl OfflineStore {
    /// Opens a folder, with its faults if possible. Blocks while it reads the journal and the end of each log.
    /// Errors: [`Error::Open`], [`Error::Database`], [`Error::Unavailable`].
    pub fn open(folder: ClosedFolder) -> Result<Self, Error> {
        let (dir, real) = (folder.given().to_owned(), folder.dir().to_owned());
        let unusable = |source| Error::Open { dir: dir.clone(), source };
        let shadow = Shadow::of(&real).map_err(unusable)?;
        let config = DiskConfig {
            dir: shadow.0.clone(),
            durability: Durability::Memory,
            free_bytes_min: 0,
            cache_bytes: CACHE_BYTES,
        };
        let keyspaces = Keyspaces::open_idle(&config, &dir).map_err(|error| unusable(error.into()))?;
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
            _shadow: shadow,
            _folder: folder,
        })
    }

    /// Returns the fault of the journal, as a sentence; `None` if it has every commit that was acknowledged.
    pub fn journal_fault(&self) -> Option<String> {
        let journal = journal_dir(&self.dir);
        self.commits_missing
            .then(|| format!("{} is damaged: commits that were acknowledged are missing", journal.display()))
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
            private::write(&copy.join(format!("v{}", list.number)), &list.bytes)
                .and_then(|_| private::write(&copy.join("current"), &list.current))
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
    private::create_folder(path).map_err(|source| folder::at(path, source))
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::store::Owner;
    use crate::store::disk::testing::{open, open_flushing};

    const TABLE: Table = Owner::Streams.table("things");
    const SIZES: [usize; 3] = [100, 6_000, 40_000];

    pub(in crate::store::disk) fn fill(dir: &Path) -> Vec<u8> {
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
        let folder = ClosedFolder::check(dir.path()).unwrap();
        assert_eq!(folder.faults(), Vec::<String>::new());
        let store = OfflineStore::open(folder).unwrap();
        let end = store.end(LogId(1)).unwrap().unwrap();
        let mut read = Vec::new();
        while (read.len() as u64) < end {
            read.extend(store.read(LogId(1), read.len() as u64..end, 50_000).unwrap().chunks.concat());
        }
        assert!(read == content, "{} of {} bytes, or others", read.len(), content.len());
        assert_eq!(store.scan(TABLE, None, 1000).unwrap().len(), 60);
        assert_eq!(store.get(TABLE, b"07").unwrap().unwrap(), vec![7]);
        assert_eq!(store.journal_fault(), None);
        store.commit(Batch::default()).unwrap_err();
        drop(store);
        assert!(snapshot(dir.path()) == before, "the folder has changed");
    }

    #[test]
    fn an_open_store_is_not_verified() {
        let dir = tempfile::tempdir().unwrap();
        let _store = open(dir.path());
        assert!(matches!(ClosedFolder::check(dir.path()), Err(Error::InUse { .. })));
    }
}
