//! Merging of small blob files.
//!
//! Each flush writes a blob file, which is small where flushes are: after removals, or after many starts. fjall copies values to
//! another file only once a fourth of a file was removed. So when there are many small files, the garbage collector's next
//! compaction replaces their values by themselves, which writes them into one new file; the old ones are empty then and are
//! removed.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use fjall::compaction::filter::{CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict};
use fjall::{AbstractTree, AnyTree, Keyspace, SeqNo};

use super::leb128::take_number;
use crate::sync::lock;

/// Size below which a file is small.
const SMALL_BYTES: u64 = 8 * 1024 * 1024;

/// Number of files that are fine however small they are.
const FILES_FINE: u64 = 16;

/// Maximum size of the files that are merged at once, as fjall begins another file at this size.
const MERGED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Size from which values are kept in blob files, so that compacting keys does not copy them.
pub(super) const SEPARATE_BYTES: u32 = 4 * 1024;

/// Keys of the values that compactions write into another blob file. Cheap to clone; clones share the keys.
#[derive(Debug, Clone, Default)]
pub(super) struct RewrittenKeys(Arc<Mutex<Arc<HashSet<Vec<u8>>>>>);

impl RewrittenKeys {
    /// Has the values of these keys rewritten while `compact` runs.
    pub(super) fn during<A>(&self, keys: HashSet<Vec<u8>>, compact: impl FnOnce() -> A) -> A {
        *lock(&self.0) = Arc::new(keys);
        let outcome = compact();
        *lock(&self.0) = Arc::default();
        outcome
    }
}

impl Factory for RewrittenKeys {
    fn name(&self) -> &'static str {
        "small blob files"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(Rewriting(Arc::clone(&lock(&self.0))))
    }
}

struct Rewriting(Arc<HashSet<Vec<u8>>>);

impl CompactionFilter for Rewriting {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        if self.0.is_empty() || !item.is_indirection() || !self.0.contains(&item.key()[..]) {
            return Ok(Verdict::Keep);
        }
        // A value that cannot be read stays where it is, damaged as it may be. Builds with debug assertions panic at some.
        match catch_unwind(AssertUnwindSafe(|| item.value())) {
            Ok(Ok(value)) => Ok(Verdict::ReplaceValue(value)),
            Ok(Err(_)) | Err(_) => Ok(Verdict::Keep),
        }
    }
}

/// Returns true if there are many more blob files than their size needs.
pub(super) fn is_scattered(pages: &Keyspace) -> bool {
    let files = pages.blob_file_count() as u64;
    files > FILES_FINE && files > FILES_FINE + pages.tree.current_version().blob_files.on_disk_size() / SMALL_BYTES
}

/// Returns the keys of the values in the smallest blob files, and the size of these files; none unless they are scattered.
/// Errors: fjall's.
pub(super) fn keys_to_rewrite(pages: &Keyspace) -> Result<(HashSet<Vec<u8>>, u64), fjall::Error> {
    let mut keys = HashSet::new();
    let AnyTree::Blob(tree) = &pages.tree else { return Ok((keys, 0)) };
    if !is_scattered(pages) {
        return Ok((keys, 0));
    }
    let (small, bytes) = smallest_files(pages);
    // Iterates twice, as an entry gives its key or its size. If they come apart, because something is written in between, then a
    // file stays for the next time.
    for (entry, same) in pages.iter().zip(pages.iter()) {
        if same.size()? < SEPARATE_BYTES {
            continue;
        }
        let key = entry.key()?;
        let handle = tree.index.get(&key, SeqNo::MAX)?;
        if handle.and_then(|handle| file_of(&handle)).is_some_and(|file| small.contains(&file)) {
            keys.insert(key.to_vec());
        }
    }
    Ok((keys, bytes))
}

/// Returns the numbers of the smallest files, and their size.
fn smallest_files(pages: &Keyspace) -> (BTreeSet<u64>, u64) {
    let version = pages.tree.current_version();
    let size_of = |path: &std::path::Path| fs::metadata(path).map_or(u64::MAX, |file| file.len());
    let mut files: Vec<(u64, u64)> = version.blob_files.iter().map(|file| (size_of(file.path()), file.id())).collect();
    files.retain(|(bytes, _)| *bytes < SMALL_BYTES);
    files.sort_unstable();
    let mut all = 0;
    let fitting = files.into_iter().take_while(|(bytes, _)| {
        all += bytes;
        all <= MERGED_BYTES_MAX
    });
    let fitting: Vec<(u64, u64)> = fitting.collect();
    let bytes = fitting.iter().map(|(bytes, _)| bytes).sum();
    (fitting.into_iter().map(|(_, file)| file).collect(), bytes)
}

/// Returns the number of the blob file in a handle: its offset there, the file, and two sizes, in LEB128. `None` for a value that
/// is no handle.
fn file_of(handle: &[u8]) -> Option<u64> {
    let mut rest = handle;
    take_number(&mut rest)?;
    let file = take_number(&mut rest)?;
    take_number(&mut rest)?;
    take_number(&mut rest)?;
    rest.is_empty().then_some(file)
}
