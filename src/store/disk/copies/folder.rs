//! All copies, in a folder beside the database: a folder for each keyspace, with a file for each copy.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::manifest::{List, Manifest};
use super::part::{Part, What};

/// How long nothing is compared after everything was: damage that no copy can mend may be read again and again.
const REST_AFTER_RESTORING: Duration = Duration::from_secs(60);

/// What a file with values has about itself is shorter.
const BLOB_END_BYTES: u64 = 4096;

/// The copies of one store.
#[derive(Debug)]
pub(in crate::store::disk) struct Copies {
    pub(super) dir: PathBuf,
    restored: Mutex<Option<Restored>>,
}

#[derive(Debug, Clone, Copy)]
struct Restored {
    ended: Instant,
    something: bool,
}

/// The copies in one hand: nobody else writes anything from them meanwhile. For who closes the database, which gives numbers of
/// files out again when it is opened.
pub(in crate::store::disk) struct Held<'a> {
    copies: &'a Copies,
    restored: MutexGuard<'a, Option<Restored>>,
}

impl Copies {
    /// Those in the folder of a store.
    pub(in crate::store::disk) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), restored: Mutex::default() }
    }

    /// Takes them in hand. Waits for whoever compares them.
    pub(in crate::store::disk) fn hold(&self) -> Held<'_> {
        Held { copies: self, restored: self.restored.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Compares everything that there is a copy of with that, and writes again what differs. Returns whether something did,
    /// also if that was found after this moment by somebody else. Blocks for as long as reading all of it takes.
    pub(in crate::store::disk) fn restore_since(&self, asked: Instant) -> bool {
        let mut held = self.hold();
        match *held.restored {
            Some(Restored { ended, something }) if ended > asked => something,
            Some(Restored { ended, .. }) if ended.elapsed() < REST_AFTER_RESTORING => false,
            _ => held.restore(),
        }
    }

    /// Finds the list that holds among the copies, and has it hold.
    fn restore_list(&self, keyspace: &Path) -> io::Result<Option<List>> {
        let (known, current) = (self.lists(keyspace), List::current(keyspace));
        let holds = current.as_ref().ok().filter(|current| known.contains(current)).copied();
        let newest = known.into_iter().max_by_key(|list| list.number);
        // An older one than there was tells of files that are gone.
        let there = numbers(keyspace, "v").map(|(there, _)| there).max();
        let newest = newest.filter(|list| there.is_none_or(|there| there <= list.number));
        let newest = newest.filter(|list| {
            current.as_ref().map_or(true, |current| current.number <= list.number || current.sum == list.sum)
        });
        let Some(list) = holds.or(newest) else { return Ok(None) };
        self.part_of_list(keyspace, list).restore(true)?;
        if holds.is_none() {
            list.make_current(keyspace)?;
        }
        Ok(Manifest::read(keyspace).ok().map(|manifest| manifest.list))
    }

    /// Whether nothing was ever listed in it: it was being made, and fjall knows what to do with it.
    fn is_new(&self, keyspace: &Path) -> bool {
        self.lists(keyspace).is_empty() && numbers(keyspace, "v").all(|(number, _)| number == 0)
    }

    /// The lists there are copies of.
    fn lists(&self, keyspace: &Path) -> HashSet<List> {
        let sum = |rest: &str| u128::from_str_radix(rest.strip_prefix('-')?, 16).ok();
        let folder = self.folder_of(keyspace);
        let found = numbers(&folder, "v");
        found.filter_map(|(number, rest)| Some(List { number, sum: sum(&rest)? })).collect()
    }

    /// What there is to be a copy of, for one keyspace.
    pub(super) fn parts(&self, keyspace: &Path, manifest: &Manifest) -> Vec<Part> {
        let folder = self.folder_of(keyspace);
        let part = |kind: &str, (number, sum): (u64, u128), what| Part {
            file: keyspace.join(kind).join(number.to_string()),
            what,
            copy: folder.join(format!("{kind}-{number}-{sum:032x}")),
        };
        let tables = manifest.tables.iter().map(|table| part("tables", *table, What::Whole(table.1)));
        let blobs =
            manifest.blobs.iter().map(|blob| part("blobs", *blob, What::End { bytes: BLOB_END_BYTES, sum: blob.1 }));
        tables.chain(blobs).chain([self.part_of_list(keyspace, manifest.list)]).collect()
    }

    fn part_of_list(&self, keyspace: &Path, list: List) -> Part {
        let copy = self.folder_of(keyspace).join(format!("v{}-{:032x}", list.number, list.sum));
        Part { file: list.path(keyspace), what: What::Whole(list.sum), copy }
    }

    pub(super) fn folder_of(&self, keyspace: &Path) -> PathBuf {
        self.dir.join("copies").join(keyspace.file_name().unwrap_or_default())
    }

    /// The folders of the keyspaces; none before there are any.
    pub(super) fn keyspaces(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(self.dir.join("keyspaces")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
    }
}

impl Held<'_> {
    /// Compares the lists of files with their checksums, which fjall does not, and writes what is damaged again. Only while the
    /// database is closed. Errors: what the disk says, or what is damaged and has no copy.
    pub(in crate::store::disk) fn restore_lists(&mut self) -> io::Result<()> {
        for keyspace in self.copies.keyspaces()? {
            let Err(error) = Manifest::read(&keyspace) else { continue };
            match self.copies.restore_list(&keyspace)? {
                Some(list) => tell(&list.path(&keyspace)),
                None if error.kind() == io::ErrorKind::NotFound && self.copies.is_new(&keyspace) => {}
                None => return Err(io::Error::new(error.kind(), format!("{error} in {}", keyspace.display()))),
            }
        }
        Ok(())
    }

    /// As [`Copies::restore_since`], however long ago that was done.
    pub(in crate::store::disk) fn restore(&mut self) -> bool {
        let keyspaces = self.copies.keyspaces().unwrap_or_default();
        let something = keyspaces.iter().filter(|keyspace| self.restore_files(keyspace)).count() > 0;
        *self.restored = Some(Restored { ended: Instant::now(), something });
        something
    }

    fn restore_files(&self, keyspace: &Path) -> bool {
        let parts = || Some(self.copies.parts(keyspace, &Manifest::read(keyspace).ok()?));
        let restore = |part: &Part| match part.restore(false) {
            // Not one that the database has done with meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => match parts() {
                Some(parts) if parts.contains(part) => part.restore(true),
                _ => Ok(false),
            },
            restored => restored,
        };
        let restored = parts().into_iter().flatten().filter(|part| match restore(part) {
            Ok(restored) => {
                if restored {
                    tell(&part.file);
                }
                restored
            }
            Err(error) => {
                tracing::warn!(file = %part.file.display(), %error, "it cannot be compared with its copy");
                false
            }
        });
        restored.count() > 0
    }
}

fn tell(file: &Path) {
    tracing::error!(file = %file.display(), "a file of the database was damaged, and was written again from its copy");
}

/// Files in a folder that are named for a number, with what follows that in their names.
fn numbers(folder: &Path, prefix: &str) -> impl Iterator<Item = (u64, String)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let name = entry.file_name().into_string().ok()?;
        let rest = name.strip_prefix(prefix)?;
        let digits = rest.find(|byte: char| !byte.is_ascii_digit()).unwrap_or(rest.len());
        let (number, rest) = rest.split_at(digits);
        Some((number.parse().ok()?, rest.to_owned()))
    })
}
