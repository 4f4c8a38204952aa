//! The two keyspaces of the database, `tables` and `pages`; see [`super::keys`] for their keys.
//!
//! Everything is ingested in sorted order, past fjall's journal and memtables, as our journal holds it until it is ingested and
//! synced.

use std::collections::BTreeSet;
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use fjall::compaction::filter::Factory;
use fjall::config::FilterPolicy;
use fjall::{AbstractTree, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

use super::blob_merging::{RewrittenKeys, SEPARATE_BYTES};
use super::config::DiskConfig;
use super::descriptors::DescriptorBudget;
use super::generation::{Generation, Keys, LogGrowth};
use super::keys::{DROPPED, ENDS, FLUSHED, RETAINED, page_key, page_start};
use super::page::{Page, encode_location, encode_records, full_pages, parse_page};
use super::page_merge::{Entry, MergeBudget, merge};
use super::retained::RecordLocation;
use crate::store::batch::LogId;
use crate::store::chunk::Chunk;
use crate::store::error::{Cause, Error};

/// Part of the blob files that a compaction may rewrite once a fourth of one was removed: all of them, or some would keep
/// their removed values for ever. What is left of them is on the disk twice meanwhile.
const REWRITTEN_PART: f32 = 1.0;

const PAGES: &str = "pages";

/// A keyspace of builds before the journal existed.
const EARLIER_KEYSPACE: &str = "tail";

/// The open database.
pub(super) struct Keyspaces {
    database: Database,
    dir: PathBuf,
    pub(super) tables: Keyspace,
    pub(super) pages: Keyspace,
    failed: AtomicBool,
    rewritten: RewrittenKeys,
}

impl Keyspaces {
    /// Opens or creates the database. Errors: fjall's.
    pub(super) fn open(config: &DiskConfig) -> Result<Self, fjall::Error> {
        Self::open_with(config, 1)
    }

    /// Opens a database that is only read: nothing is compacted. Errors name it by `dir`. Errors: fjall's.
    pub(super) fn open_idle(config: &DiskConfig, dir: &Path) -> Result<Self, fjall::Error> {
        Ok(Self { dir: dir.to_owned(), ..Self::open_with(config, 0)? })
    }

    fn open_with(config: &DiskConfig, threads: usize) -> Result<Self, fjall::Error> {
        let rewritten = RewrittenKeys::default();
        let filter: Arc<dyn Factory> = Arc::new(rewritten.clone());
        let database = Database::builder(&config.dir)
            .cache_size(config.cache_bytes - config.page_cache_bytes())
            .max_cached_files(Some(DescriptorBudget::of_process().tables_max))
            .worker_threads_unchecked(threads)
            .with_compaction_filter_factories(Arc::new(move |name| (name == PAGES).then(|| Arc::clone(&filter))))
            .open()?;
        let separate = KvSeparationOptions::default().separation_threshold(SEPARATE_BYTES).age_cutoff(REWRITTEN_PART);
        // Lookups nearly always hit, so filters would save nothing; and a damaged one would get in the way of every page.
        let unfiltered = || KeyspaceCreateOptions::default().filter_policy(FilterPolicy::disabled());
        let tables = database.keyspace("tables", unfiltered)?;
        let pages = database.keyspace(PAGES, || unfiltered().with_kv_separation(Some(separate)))?;
        Ok(Self { database, dir: config.dir.clone(), tables, pages, failed: AtomicBool::default(), rewritten })
    }

    /// Returns true if an earlier build wrote the database, in a format that is no longer read.
    pub(super) fn is_of_earlier_build(&self) -> bool {
        self.database.keyspace_exists(EARLIER_KEYSPACE)
    }

    /// Returns the folder of each keyspace with the number of its list of files, and a guard that keeps these files from being
    /// removed.
    pub(super) fn pin_files(&self) -> (impl Sized + use<>, [(PathBuf, u64); 2]) {
        let versions = [&self.tables, &self.pages].map(|keyspace| keyspace.tree.current_version());
        let paths = [&self.tables, &self.pages].map(|keyspace| keyspace.path().to_owned());
        let [tables, pages] = paths;
        let numbers = [(tables, versions[0].id()), (pages, versions[1].id())];
        (versions, numbers)
    }

    /// Adds context to an error of fjall.
    pub(super) fn error(&self, source: impl Into<Cause>) -> Error {
        Error::database(self.dir.clone(), source.into())
    }

    /// Ingests a generation, with everything before `next_commit`, and syncs it. Large records stay in the `retained` segment of
    /// the journal, if there is one. After an error a part of it may be present, and it is to be ingested again.
    /// Errors: [`Error::Database`].
    pub(super) fn flush(&self, generation: &Generation, next_commit: u64, retained: Option<u64>) -> Result<(), Error> {
        self.flush_keys(&generation.keys)?;
        self.flush_logs(generation, next_commit, retained)
    }

    /// Ingests the part of a generation that belongs to `pages`, and `next_commit`; so this comes last.
    pub(super) fn flush_logs(
        &self,
        generation: &Generation,
        next_commit: u64,
        retained: Option<u64>,
    ) -> Result<(), Error> {
        let flushed = (FLUSHED, Some(encode(next_commit)));
        self.ingest(&self.pages, self.entries_of(generation, retained).chain([flushed]))
    }

    /// Returns the entries of a generation for `pages`, in the order of their keys.
    fn entries_of(&self, generation: &Generation, retained: Option<u64>) -> impl Iterator<Item = Entry> {
        let mut budget = MergeBudget::default();
        let pages = generation.logs.iter().flat_map(move |(log, growth)| {
            let merged = if growth.merges { merge(&self.pages, *log, growth, &mut budget) } else { None };
            let unmerged = merged.is_none().then(|| pages_of(growth, retained)).into_iter().flatten();
            let unmerged = unmerged.map(|(start, page)| (page_key(*log, start), Some(page.into())));
            merged.into_iter().flatten().chain(unmerged)
        });
        let retained = retained.map(|segment| {
            let bytes = generation.large_in(segment).iter().map(|(_, bytes)| bytes).sum();
            (page_key(RETAINED, segment), Some(encode(bytes)))
        });
        let dropped = generation.dropped.iter().map(|log| (page_key(DROPPED, log.0), Some(Bytes::new())));
        // No log is in both.
        let gone = generation.dropped.iter().map(|log| (log.0, None));
        let mut ends: Vec<_> =
            generation.logs.iter().map(|(log, growth)| (log.0, Some(growth.end))).chain(gone).collect();
        ends.sort_unstable();
        let ends = ends.into_iter().map(|(log, end)| (page_key(ENDS, log), end.map(encode)));
        pages.chain(retained).chain(dropped).chain(ends)
    }

    /// Ingests the part of a generation that belongs to `tables`.
    pub(super) fn flush_keys(&self, keys: &Keys) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        self.ingest(&self.tables, keys.iter().map(|(key, value)| (key.clone(), value.clone())))
    }

    /// Fails if fjall's background work has failed: it does not resume before the database is opened anew.
    /// Errors: [`Error::Database`].
    pub(super) fn check(&self) -> Result<(), Error> {
        self.database.persist(PersistMode::Buffer).map_err(|error| self.error(error))
    }

    /// Returns the keys whose values the next compactions rewrite.
    pub(super) fn rewritten(&self) -> &RewrittenKeys {
        &self.rewritten
    }

    /// Returns true while fjall compacts in the background, which cannot be interrupted.
    pub(super) fn is_compacting(&self) -> bool {
        self.database.active_compactions() > 0
    }

    /// Notes that a write has failed.
    pub(super) fn note_failure(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Returns true if a write has failed, and may have left incomplete files.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Writes sorted keys with their values at once; `None` removes a key.
    fn ingest<K: Into<fjall::UserKey>>(
        &self,
        keyspace: &Keyspace,
        entries: impl Iterator<Item = (K, Option<Bytes>)>,
    ) -> Result<(), Error> {
        let ingest = || {
            let mut ingestion = keyspace.start_ingestion()?;
            for (key, value) in entries {
                match value {
                    Some(value) => ingestion.write(key, value),
                    None => ingestion.write_tombstone(key),
                }?;
            }
            ingestion.finish()
        };
        ingest().map_err(|error| {
            self.note_failure();
            self.error(error)
        })
    }

    /// Removes `pages`, and the [`DROPPED`] marks of logs that have no more of them. `left` is the number of bytes still needed
    /// in retained segments. All are sorted. Errors: [`Error::Database`].
    pub(super) fn erase(&self, pages: &[[u8; 16]], left: &[(u64, u64)], done: &[LogId]) -> Result<(), Error> {
        let pages = pages.iter().map(|key| (*key, None));
        let left =
            left.iter().map(|(segment, left)| (page_key(RETAINED, *segment), (*left > 0).then(|| encode(*left))));
        let marks = done.iter().map(|log| (page_key(DROPPED, log.0), None));
        self.ingest(&self.pages, pages.chain(left).chain(marks))
    }

    /// Returns the value of a key of `tables`. Errors: [`Error::Database`].
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let value = self.tables.get(key).map_err(|error| self.error(error))?;
        Ok(value.map(Bytes::from))
    }

    /// Adds the keys of `tables` with a prefix. Errors: [`Error::Database`].
    pub(super) fn add_keys_with(&self, prefix: &Bytes, keys: &mut BTreeSet<Bytes>) -> Result<(), Error> {
        for found in self.tables.prefix(prefix) {
            keys.insert(found.key().map_err(|error| self.error(error))?.into());
        }
        Ok(())
    }

    /// Adds at most `count_max` keys of `tables` in a range to `found`, overlaid with `changed` keys. Errors:
    /// [`Error::Database`].
    pub(super) fn scan(
        &self,
        range: (Bound<Bytes>, Bound<Bytes>),
        changed: Keys,
        count_max: usize,
        found: &mut Vec<(Bytes, Bytes)>,
    ) -> Result<(), Error> {
        let (mut changed, full) = (changed.into_iter().peekable(), found.len() + count_max);
        let mut flushed = self.tables.range::<Bytes, _>(range);
        while found.len() < full {
            let next = flushed.next().map(fjall::Guard::into_inner).transpose().map_err(|error| self.error(error))?;
            let next: Option<(Bytes, Bytes)> = next.map(|(key, value)| (key.into(), value.into()));
            let before = |key: &Bytes| next.as_ref().is_none_or(|(next, _)| key <= next);
            let (mut hidden, had_changed) = (false, changed.peek().is_some());
            while let Some((key, value)) = changed.next_if(|(key, _)| before(key)) {
                hidden = next.as_ref().is_some_and(|(next, _)| *next == key);
                found.extend(value.filter(|_| found.len() < full).map(|value| (key, value)));
            }
            match next {
                Some(next) if !hidden && found.len() < full => found.push(next),
                None if !had_changed => break,
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// Returns the retained segments with the number of bytes needed in each. Errors: [`Error::Database`].
    pub(super) fn retained(&self) -> Result<Vec<(u64, u64)>, Error> {
        self.numbers(page_key(RETAINED, 0)..page_key(DROPPED, 0), "the list of retained journal segments")
    }

    /// Returns the end of each log's pages. Errors: [`Error::Database`].
    pub(super) fn page_ends(&self) -> Result<Vec<(LogId, u64)>, Error> {
        let ends = self.numbers(page_key(ENDS, 0)..FLUSHED, "the end of a log")?;
        Ok(ends.into_iter().map(|(log, end)| (LogId(log), end)).collect())
    }

    fn numbers(&self, range: Range<[u8; 16]>, what: &'static str) -> Result<Vec<(u64, u64)>, Error> {
        let found = self.pages.range(range).map(|found| {
            let (key, value) = found.into_inner().map_err(|cause| self.error(Cause::Unreadable { what, cause }))?;
            page_start(&key).zip(decode(&value)).ok_or_else(|| self.error(Cause::Malformed(what)))
        });
        found.collect()
    }

    /// Returns the location of a page's record, if it is in a retained segment. Errors: [`Error::Database`].
    pub(super) fn location(&self, key: &[u8]) -> Result<Option<RecordLocation>, Error> {
        let page = self.pages.get(key).map_err(|error| self.error(error))?;
        Ok(page.and_then(|page| match parse_page(0, &page.into())? {
            Page::InJournal(location) => Some(location),
            Page::Records(_) => None,
        }))
    }

    /// Returns the number of the first commit that is not flushed. Errors: [`Error::Database`].
    pub(super) fn next_commit(&self) -> Result<u64, Error> {
        let what = "the number of the last flushed commit";
        let found = self.pages.get(FLUSHED).map_err(|cause| self.error(Cause::Unreadable { what, cause }))?;
        found.map_or(Some(0), |found| decode(&found)).ok_or_else(|| self.error(Cause::Malformed(what)))
    }

    /// Returns the dropped logs that still have pages, at most `count_max`. Errors: [`Error::Database`].
    pub(super) fn dropped(&self, count_max: usize) -> Result<Vec<LogId>, Error> {
        let what = "the list of dropped logs";
        let keys = self.pages.range(page_key(DROPPED, 0)..page_key(ENDS, 0)).take(count_max);
        let logs = keys.map(|found| {
            let key = found.key().map_err(|cause| self.error(Cause::Unreadable { what, cause }))?;
            page_start(&key).map(LogId).ok_or_else(|| self.error(Cause::Malformed(what)))
        });
        logs.collect()
    }
}

/// Returns the pages of a log's new records, with their positions.
fn pages_of(growth: &LogGrowth, retained: Option<u64>) -> impl Iterator<Item = (u64, Vec<u8>)> {
    let in_journal = move |chunk: &Chunk<Bytes>| {
        let at = growth.locations.binary_search_by_key(&chunk.start, |(start, _)| *start).ok()?;
        Some(growth.locations[at].1).filter(|location| retained == Some(location.segment))
    };
    let groups = growth.chunks.chunk_by(move |one, next| in_journal(one).is_none() && in_journal(next).is_none());
    groups.flat_map(full_pages).map(move |group| {
        let page = match in_journal(&group[0]) {
            Some(location) => encode_location(&location),
            None => encode_records(group),
        };
        (group[0].start, page)
    })
}

fn encode(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn decode(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}
