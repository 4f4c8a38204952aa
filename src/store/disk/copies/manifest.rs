//! Which files a keyspace of the database consists of, as fjall (its format 3) tells it on the disk.
//!
//! `current` has the number of the list that holds, its checksum, and a byte for the kind of that: numbers with their lowest
//! byte first, the checksum is a xxh3 of 128 bits. The list is the file `v<number>`.

use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use bytes::{Buf, TryGetError};
use xxhash_rust::xxh3::xxh3_128;

/// The only kind of checksum there is.
const XXH3: u8 = 0;

/// The list of a keyspace's files, with the checksum of each.
#[derive(Debug, PartialEq)]
pub(super) struct Manifest {
    pub(super) list: List,
    pub(super) tables: Vec<(u64, u128)>,
    pub(super) blobs: Vec<(u64, u128)>,
}

/// Which list it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct List {
    pub(super) number: u64,
    pub(super) sum: u128,
}

impl List {
    /// Its file.
    pub(super) fn path(self, keyspace: &Path) -> PathBuf {
        keyspace.join(format!("v{}", self.number))
    }

    /// The one that holds, as `current` tells. Errors: what the disk says, or that it is damaged.
    pub(super) fn current(keyspace: &Path) -> io::Result<Self> {
        let bytes = fs::read(current_path(keyspace))?;
        let mut left = &bytes[..];
        let mut read = || Ok((left.try_get_u64_le()?, left.try_get_u128_le()?, left.try_get_u8()?));
        match read().map_err(|_: TryGetError| damaged("current"))? {
            (number, sum, XXH3) if left.is_empty() => Ok(Self { number, sum }),
            _ => Err(damaged("current")),
        }
    }

    /// Has this one hold. Errors: what the disk says.
    pub(super) fn make_current(self, keyspace: &Path) -> io::Result<()> {
        let bytes = [&self.number.to_le_bytes()[..], &self.sum.to_le_bytes(), &[XXH3]].concat();
        let new = keyspace.join("current-restored");
        fs::write(&new, bytes)?;
        fs::File::open(&new)?.sync_all()?;
        fs::rename(new, current_path(keyspace))?;
        fs::File::open(keyspace)?.sync_all()
    }
}

impl Manifest {
    /// Reads the list that holds. Errors: what the disk says, or that it is damaged.
    pub(super) fn read(keyspace: &Path) -> io::Result<Self> {
        let list = List::current(keyspace)?;
        let bytes = fs::read(list.path(keyspace))?;
        match xxh3_128(&bytes) == list.sum {
            true => Self::parse(list, &bytes).ok_or_else(|| damaged("the list of its files")),
            false => Err(damaged("the list of its files")),
        }
    }

    fn parse(list: List, bytes: &[u8]) -> Option<Self> {
        let file = sfa::Reader::from_reader(&mut Cursor::new(bytes)).ok()?;
        let section = |name: &[u8]| {
            let section = file.toc().section(name)?;
            let start = usize::try_from(section.pos()).ok()?;
            bytes.get(start..start.checked_add(usize::try_from(section.len()).ok()?)?)
        };
        Some(Self { list, tables: tables(section(b"tables")?).ok()?, blobs: blobs(section(b"blob_files")?).ok()? })
    }
}

/// Levels of runs of tables.
fn tables(mut bytes: &[u8]) -> Result<Vec<(u64, u128)>, TryGetError> {
    let mut found = Vec::new();
    for _level in 0..bytes.try_get_u8()? {
        for _run in 0..bytes.try_get_u8()? {
            for _table in 0..bytes.try_get_u32_le()? {
                found.push(named(&mut bytes)?);
                let _order = bytes.try_get_u64_le()?;
            }
        }
    }
    Ok(found)
}

fn blobs(mut bytes: &[u8]) -> Result<Vec<(u64, u128)>, TryGetError> {
    let count = bytes.try_get_u32_le()?;
    (0..count).map(|_| named(&mut bytes)).collect()
}

/// A file's number and checksum.
fn named(bytes: &mut &[u8]) -> Result<(u64, u128), TryGetError> {
    let number = bytes.try_get_u64_le()?;
    let _kind = bytes.try_get_u8()?;
    Ok((number, bytes.try_get_u128_le()?))
}

fn current_path(keyspace: &Path) -> PathBuf {
    keyspace.join("current")
}

pub(super) fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} is damaged"))
}
