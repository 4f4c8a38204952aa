//! `exorelay streams verify`

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::super::Error;
use super::super::output::print_line;
use super::backup::mib;
use super::data_dir;
use crate::store::{ClosedFolder, OfflineStore};
use crate::streams::{Verified, verify};

/// Check every record of a data folder or backup that no server has open, and change nothing
#[derive(Debug, Args)]
#[command(after_help = "\
Example: check a backup before it is needed
  exorelay streams verify /backup/monday

Prints what is damaged: each stream with the offset where the damage begins, and each file. Exit status 0: everything is as it
was written; 1: something is damaged, or the folder cannot be read.")]
pub(in crate::cli) struct Verify {
    /// Folder to check [default: the configured streams.data_dir]
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Verify {
    pub(in crate::cli) async fn run(self) -> Result<(), Error> {
        let dir = data_dir(self.dir)?;
        if !dir.exists() {
            return Err(Error::NoDataFolder { dir });
        }
        let folder = dir.clone();
        let verified = tokio::task::spawn_blocking(move || check(&folder)).await;
        let Report { verified, faults, files, bytes } =
            verified.map_err(|error| Error::Runtime(io::Error::other(error)))??;
        for fault in &faults {
            print_line(fault)?;
        }
        if !faults.is_empty() {
            return Err(Error::Damaged { dir, faults: faults.len() });
        }
        let Verified { streams, content_bytes, .. } = verified;
        print_line(&format!(
            "{}: {streams} streams with {:.1} MiB, {files} files with {:.1} MiB, nothing is damaged",
            dir.display(),
            mib(content_bytes),
            mib(bytes)
        ))
    }
}

struct Report {
    verified: Verified,
    faults: Vec<String>,
    files: usize,
    bytes: u64,
}

/// Reads the whole folder. Blocks meanwhile.
fn check(dir: &std::path::Path) -> Result<Report, Error> {
    let folder = ClosedFolder::check(dir)?;
    let (files, bytes) = folder.size();
    let of_files = folder.faults().to_vec();
    let (mut verified, of_journal) = match check_streams(folder) {
        Ok(checked) => checked,
        Err(error) if of_files.is_empty() => return Err(error),
        // A damaged file can be one without which no stream is found.
        Err(error) => (Verified::default(), Some(format!("the streams cannot be checked: {error}"))),
    };
    let mut faults = std::mem::take(&mut verified.faults);
    faults.extend(of_files.into_iter().chain(of_journal));
    Ok(Report { verified, faults, files, bytes })
}

/// Reads all streams; returns the fault of the journal, too.
fn check_streams(folder: ClosedFolder) -> Result<(Verified, Option<String>), Error> {
    let store = OfflineStore::open(folder)?;
    let verified = verify(&store)?;
    Ok((verified, store.journal_fault()))
}
