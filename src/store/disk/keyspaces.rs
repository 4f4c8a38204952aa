//! What is in fjall: what is settled, for good. Our keys, its errors in our words.
//!
//! Everything gets here in order and in one piece, past fjall's journal and memtables: ours has it until it is here and
//! synced. Two keyspaces: `tables`, and `pages`, which also holds what goes with pages. Its keys, in their order:
//!
//! - a log and a position: the page that begins there,
//! - [`KEPT`] and a segment of the journal: it stays, and how many bytes in it are needed,
//! - [`DROPPED`] and a log: it was dropped and still has pages,
//! - [`ENDS`] and a log: where its pages end,
//! - [`SETTLED`]: the number of the first commit that is not settled.

use std::ops::{Bound, Range};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{BufMut, Bytes};
use fjall::config::FilterPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

use super::config::DiskConfig;
use super::joining::{Allowance, Entry, join};
use super::kept::Place;
use super::page::{Page, groups_of, page_at, page_of, read_page};
use super::unsettled::{Generation, Grown, Keys};
use crate::store::batch::{LogId, Table};
use crate::store::chunk::Chunk;
use crate::store::error::Error;

/// Values of this size stand in files of their own kind, so that reorganising keys does not copy them.
const SEPARATE_BYTES: u32 = 4 * 1024;

/// Which part of the files with values is written anew when a fourth of one was removed: all, or some would keep what was
/// removed for ever. What is left of them is on the disk twice meanwhile.
const RENEWED_PART: f32 = 1.0;

/// What builds before the first release had in place of the journal.
const EARLIER: &str = "tail";

/// Descriptors for files that are read, whatever the number of logs.
const FILES_MAX: usize = 256;

/// In the place of a log, as no log has these numbers.
const KEPT: LogId = LogId(u64::MAX - 2);
const DROPPED: LogId = LogId(u64::MAX - 1);
const ENDS: LogId = LogId(u64::MAX);

/// Behind the end of every log.
const SETTLED: [u8; 16] = [0xff; 16];

/// The open database.
pub(super) struct Keyspaces {
    database: Database,
    pub(super) tables: Keyspace,
    pub(super) pages: Keyspace,
    failed: AtomicBool,
}

impl Keyspaces {
    /// Opens what is in the folder. Errors: what fjall says.
    pub(super) fn open(config: &DiskConfig) -> Result<Self, fjall::Error> {
        let database = Database::builder(&config.dir)
            .cache_size(config.cache_bytes - config.recent_bytes())
            .max_cached_files(Some(FILES_MAX))
            .worker_threads(1)
            .open()?;
        let separate = KvSeparationOptions::default().separation_threshold(SEPARATE_BYTES).age_cutoff(RENEWED_PART);
        // What is asked for is there, so filters would save nothing; and damage in one would be in the way of every page.
        let unfiltered = || KeyspaceCreateOptions::default().filter_policy(FilterPolicy::disabled());
        let tables = database.keyspace("tables", unfiltered)?;
        let pages = database.keyspace("pages", || unfiltered().with_kv_separation(Some(separate)))?;
        Ok(Self { database, tables, pages, failed: AtomicBool::default() })
    }

    /// Whether what is in it cannot be read any more.
    pub(super) fn are_of_earlier_build(&self) -> bool {
        self.database.keyspace_exists(EARLIER)
    }

    /// Takes over a generation, with everything up to this commit; it is on the disk then. Large records stay in the segment of
    /// the journal that is `kept`, if one is. Small pages are joined where the generation says so. When it fails, some of it
    /// is there, and the same is to be done again. Errors: [`Error::Failed`].
    pub(super) fn settle(&self, generation: &Generation, next_commit: u64, kept: Option<u64>) -> Result<(), Error> {
        self.settle_keys(&generation.keys)?;
        self.settle_logs(generation, next_commit, kept)
    }

    /// The part of it that is for `pages`, and says that all of it is there: it comes last.
    pub(super) fn settle_logs(
        &self,
        generation: &Generation,
        next_commit: u64,
        kept: Option<u64>,
    ) -> Result<(), Error> {
        let settled = (SETTLED, Some(bytes_of(next_commit)));
        self.ingest(&self.pages, self.entries_of(generation, kept).chain([settled]))
    }

    /// What a generation has for `pages`, in the order of the keys.
    fn entries_of(&self, generation: &Generation, kept: Option<u64>) -> impl Iterator<Item = Entry> {
        let mut allowance = Allowance::default();
        let pages = generation.logs.iter().flat_map(move |(log, grown)| {
            let joined = if grown.joins { join(&self.pages, *log, grown, &mut allowance) } else { None };
            let apart = joined.is_none().then(|| pages_of(grown, kept)).into_iter().flatten();
            let apart = apart.map(|(start, page)| (page_key(*log, start), Some(page.into())));
            joined.into_iter().flatten().chain(apart)
        });
        let kept = kept.map(|segment| {
            let bytes = generation.large_in(segment).iter().map(|(_, bytes)| bytes).sum();
            (page_key(KEPT, segment), Some(bytes_of(bytes)))
        });
        let dropped = generation.dropped.iter().map(|log| (page_key(DROPPED, log.0), Some(Bytes::new())));
        // No log is in both.
        let gone = generation.dropped.iter().map(|log| (log.0, None));
        let mut ends: Vec<_> =
            generation.logs.iter().map(|(log, grown)| (log.0, Some(grown.end))).chain(gone).collect();
        ends.sort_unstable();
        let ends = ends.into_iter().map(|(log, end)| (page_key(ENDS, log), end.map(bytes_of)));
        pages.chain(kept).chain(dropped).chain(ends)
    }

    /// The part of it that is for `tables`.
    pub(super) fn settle_keys(&self, keys: &Keys) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        self.ingest(&self.tables, keys.iter().map(|(key, value)| (key.clone(), value.clone())))
    }

    /// Whether fjall's own work, which is done behind our back, has failed: it is not taken up again until the folder is
    /// opened anew. Errors: [`Error::Failed`].
    pub(super) fn check(&self) -> Result<(), Error> {
        self.database.persist(PersistMode::Buffer).map_err(failed)
    }

    /// Whether it is at work behind our back on what cannot be cut short.
    pub(super) fn is_compacting(&self) -> bool {
        self.database.active_compactions() > 0
    }

    /// Something that was asked of it has failed.
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whether it did: then it may have left something half done.
    pub(super) fn have_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Writes keys with their values, in their order and in one piece; `None` takes a key away.
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
            self.fail();
            failed(error)
        })
    }

    /// Takes away pages, and the marks of logs that have no more of them; `left` tells of segments that stay how much in them
    /// is needed then. All in their order. Errors: [`Error::Failed`].
    pub(super) fn erase(&self, pages: &[[u8; 16]], left: &[(u64, u64)], done: &[LogId]) -> Result<(), Error> {
        let pages = pages.iter().map(|key| (*key, None));
        let left = left.iter().map(|(segment, left)| (page_key(KEPT, *segment), (*left > 0).then(|| bytes_of(*left))));
        let marks = done.iter().map(|log| (page_key(DROPPED, log.0), None));
        self.ingest(&self.pages, pages.chain(left).chain(marks))
    }

    /// The segments of the journal that stay, with how many bytes in them are needed. Errors: [`Error::Failed`].
    pub(super) fn kept(&self) -> Result<Vec<(u64, u64)>, Error> {
        self.numbers(page_key(KEPT, 0)..page_key(DROPPED, 0), "the segments of the journal that stay")
    }

    /// Adds the keys of tables in a range to `found`, as far as there is room, with what is known of them besides. Errors:
    /// [`Error::Failed`].
    pub(super) fn scan(
        &self,
        range: (Bound<Bytes>, Bound<Bytes>),
        known: Keys,
        count_max: usize,
        found: &mut Vec<(Bytes, Bytes)>,
    ) -> Result<(), Error> {
        let (mut known, full) = (known.into_iter().peekable(), found.len() + count_max);
        let mut settled = self.tables.range::<Bytes, _>(range);
        while found.len() < full {
            let next = settled.next().map(fjall::Guard::into_inner).transpose().map_err(failed)?;
            let next: Option<(Bytes, Bytes)> = next.map(|(key, value)| (key.into(), value.into()));
            let before = |key: &Bytes| next.as_ref().is_none_or(|(next, _)| key <= next);
            let (mut hidden, had_known) = (false, known.peek().is_some());
            while let Some((key, value)) = known.next_if(|(key, _)| before(key)) {
                hidden = next.as_ref().is_some_and(|(next, _)| *next == key);
                found.extend(value.filter(|_| found.len() < full).map(|value| (key, value)));
            }
            match next {
                Some(next) if !hidden && found.len() < full => found.push(next),
                None if !had_known => break,
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// Where the pages of each log end. Errors: [`Error::Failed`], with what cannot be read.
    pub(super) fn page_ends(&self) -> Result<Vec<(LogId, u64)>, Error> {
        let ends = self.numbers(page_key(ENDS, 0)..SETTLED, "the ends of logs")?;
        Ok(ends.into_iter().map(|(log, end)| (LogId(log), end)).collect())
    }

    fn numbers(&self, range: Range<[u8; 16]>, what: &str) -> Result<Vec<(u64, u64)>, Error> {
        let found = self.pages.range(range).map(|found| {
            let (key, value) = found.into_inner().map_err(|error| unreadable(what, &error))?;
            let read = page_start(&key).zip(number(&value));
            read.ok_or_else(|| Error::Failed(format!("{what} cannot be understood")))
        });
        found.collect()
    }

    /// Where the record of a page is, if that is in a segment that stays. Errors: [`Error::Failed`].
    pub(super) fn place(&self, key: &[u8]) -> Result<Option<Place>, Error> {
        let page = self.pages.get(key).map_err(failed)?;
        Ok(page.and_then(|page| match read_page(0, &page.into())? {
            Page::Elsewhere(place) => Some(place),
            Page::Records(_) => None,
        }))
    }

    /// The number of the first commit that is not settled. Errors: [`Error::Failed`].
    pub(super) fn settled(&self) -> Result<u64, Error> {
        let found = self.pages.get(SETTLED).map_err(|error| unreadable("the number of the last commit", &error))?;
        let settled = found.map_or(Some(0), |found| number(&found));
        settled.ok_or_else(|| Error::Failed("the store holds a number of a commit that is none".to_owned()))
    }

    /// The logs that were dropped and still have pages, at most so many. Errors: [`Error::Failed`].
    pub(super) fn dropped(&self, count_max: usize) -> Result<Vec<LogId>, Error> {
        let keys = self.pages.range(page_key(DROPPED, 0)..page_key(ENDS, 0)).take(count_max);
        keys.map(|found| {
            let key = found.key().map_err(|error| unreadable("the dropped logs", &error))?;
            let log = page_start(&key).map(LogId);
            log.ok_or_else(|| Error::Failed("the store holds a dropped log that cannot be understood".to_owned()))
        })
        .collect()
    }
}

/// The pages of what a log has got, each with its position.
fn pages_of(grown: &Grown, kept: Option<u64>) -> impl Iterator<Item = (u64, Vec<u8>)> {
    let stays = move |chunk: &Chunk<Bytes>| {
        let at = grown.places.binary_search_by_key(&chunk.start, |(start, _)| *start).ok()?;
        Some(grown.places[at].1).filter(|place| kept == Some(place.segment))
    };
    let groups = grown.chunks.chunk_by(move |one, next| stays(one).is_none() && stays(next).is_none());
    groups.flat_map(groups_of).map(move |group| {
        let page = match stays(&group[0]) {
            Some(place) => page_at(&place),
            None => page_of(group),
        };
        (group[0].start, page)
    })
}

fn bytes_of(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

fn unreadable(what: &str, error: &fjall::Error) -> Error {
    Error::Failed(format!("{what} cannot be read: {}", cause_of(error)))
}

/// The key of a page.
pub(super) fn page_key(log: LogId, start: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&log.0.to_be_bytes());
    key[8..].copy_from_slice(&start.to_be_bytes());
    key
}

/// The position in the key of a page.
pub(super) fn page_start(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.get(8..)?.first_chunk()?))
}

/// The key of a table's key: the owner's prefix, the table's name, a zero, the key.
pub(super) fn table_key(table: Table, key: &[u8]) -> Bytes {
    let [prefix, name] = table.parts();
    let mut whole = Vec::with_capacity(prefix.len() + name.len() + 1 + key.len());
    whole.put_slice(prefix.as_bytes());
    whole.put_slice(name.as_bytes());
    whole.put_u8(0);
    whole.put_slice(key);
    whole.into()
}

/// Free bytes on the disk that holds the folder, for those who are not root.
pub(super) fn free_bytes(dir: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(dir)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

pub(super) fn failed(error: fjall::Error) -> Error {
    Error::Failed(cause_of(&error))
}

/// What went wrong, for a person.
pub(super) fn cause_of(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => error.to_string(),
        fjall::Error::Poisoned => "an earlier write or sync failed".to_owned(),
        fjall::Error::Storage(fjall::LsmError::ChecksumMismatch { .. }) => "a checksum does not fit".to_owned(),
        error => format!("{error:?}"),
    }
}
