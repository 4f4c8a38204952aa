//! All copies, in a folder beside the database: a folder for each keyspace, with a file for each copy.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::manifest::{List, Manifest, damaged, is_damage};
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

impl Copies {
    /// Those in the folder of a store.
    pub(in crate::store::disk) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), restored: Mutex::default() }
    }

    /// Compares the lists of files with their checksums, which fjall does not, and writes what is damaged again. Only while the
    /// database is closed. Errors: what the disk says, or what is damaged and has no copy.
    pub(in crate::store::disk) fn restore_lists(&self) -> io::Result<()> {
        for keyspace in self.keyspaces()? {
            match Manifest::read(&keyspace) {
                Err(error) if is_damage(&error) => {
                    let list = self.restore_list(&keyspace)?;
                    match list {
                        Some(list) => tell(&list.path(&keyspace)),
                        // A keyspace that was being made: fjall knows what to do.
                        None if error.kind() == io::ErrorKind::NotFound => {}
                        None => return Err(damaged(&format!("{} in {}", error, keyspace.display()))),
                    }
                }
                read => drop(read?),
            }
        }
        Ok(())
    }

    /// Compares everything that there is a copy of with that, and writes again what differs. Returns whether something did,
    /// also if that was found after this moment by somebody else. Blocks for as long as reading all of it takes.
    pub(in crate::store::disk) fn restore_since(&self, asked: Instant) -> bool {
        let mut restored = self.restored.lock().unwrap_or_else(PoisonError::into_inner);
        match *restored {
            Some(Restored { ended, something }) if ended > asked => something,
            Some(Restored { ended, .. }) if ended.elapsed() < REST_AFTER_RESTORING => false,
            _ => {
                let something = self.restore();
                *restored = Some(Restored { ended: Instant::now(), something });
                something
            }
        }
    }

    fn restore(&self) -> bool {
        let keyspaces = self.keyspaces().unwrap_or_default();
        let read = keyspaces.iter().filter_map(|keyspace| Some((keyspace, Manifest::read(keyspace).ok()?)));
        let parts = read.flat_map(|(keyspace, manifest)| self.parts(keyspace, &manifest));
        let restored = parts.filter(|part| match part.restore() {
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

    /// Finds the list that holds among the copies, and has it hold.
    fn restore_list(&self, keyspace: &Path) -> io::Result<Option<List>> {
        let known = self.lists(keyspace);
        let holds = List::current(keyspace).ok().filter(|current| known.contains(current));
        let newest = known.into_iter().max_by_key(|list| list.number);
        // An older one than is there tells of files that are gone.
        let newest = newest.filter(|list| numbers(keyspace, "v").all(|(there, _)| there <= list.number));
        let Some(list) = holds.or(newest) else { return Ok(None) };
        self.part_of_list(keyspace, list).restore()?;
        if holds.is_none() {
            list.make_current(keyspace)?;
        }
        Ok(Manifest::read(keyspace).ok().map(|manifest| manifest.list))
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
        let blobs = manifest.blobs.iter().map(|blob| part("blobs", *blob, What::End(BLOB_END_BYTES)));
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
        match fs::read_dir(self.dir.join("keyspaces")) {
            Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
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
