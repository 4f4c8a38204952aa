//! Reads every stream of a store, and reports what is damaged.

use super::commit::{PRODUCERS, STREAMS};
use super::error::Error;
use super::recovery::each;
use super::wire::{Offset, ProducerEntry, StreamEntry, log_of_producer_key};
use crate::store::{self, Owner, Store};

/// Bytes of content that are read at once.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// The result of reading every stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Number of streams.
    pub streams: u64,
    /// Bytes of content that were read and are as they were written.
    pub content_bytes: u64,
    /// The damage that was found, a sentence each.
    pub faults: Vec<String>,
}

/// Reads all streams in a store. Blocks as long as the store does. Errors: [`Error::StoreRead`], [`Error::Unavailable`].
pub fn verify(store: &dyn Store) -> Result<Verified, Error> {
    let mut verified = Verified::default();
    let gaps = store.gaps();
    each(store, STREAMS, |key, value| {
        verified.streams += 1;
        match StreamEntry::read(key, value) {
            Ok((path, entry)) => {
                let log = Owner::Streams.log(entry.log);
                for gap in gaps.iter().filter(|gap| gap.log == log) {
                    let (from, until) = (Offset::at(entry.era, gap.from), Offset::at(entry.era, gap.until));
                    verified
                        .faults
                        .push(format!("the stream {path} is damaged: its content from {from} to {until} is missing"));
                }
                let end = store.end(log)?.unwrap_or(entry.base);
                verified.read(store, (&path.to_string(), entry.era), log, entry.base..end)?;
            }
            Err(error) => verified.faults.push(error.to_string()),
        }
        Ok(())
    })?;
    each(store, PRODUCERS, |key, value| {
        let read = log_of_producer_key(key).and_then(|_| ProducerEntry::read(value));
        verified.faults.extend(read.err().map(|error| error.to_string()));
        Ok(())
    })?;
    Ok(verified)
}

impl Verified {
    fn read(
        &mut self,
        store: &dyn Store,
        (path, era): (&str, u64),
        log: store::LogId,
        range: std::ops::Range<u64>,
    ) -> Result<(), Error> {
        let mut at = range.start;
        while at < range.end {
            match store.read(log, at..range.end, READ_BYTES) {
                Ok(run) => {
                    self.content_bytes += run.end - at;
                    at = run.end;
                }
                Err(store::Error::Damaged { position, source, .. }) => {
                    let offset = Offset::at(era, position);
                    self.faults.push(format!("the stream {path} is damaged at {offset}: {source}"));
                    return Ok(());
                }
                // After a gap, which was reported.
                Err(store::Error::NoRecord { position, .. }) => match next_gap_end(store, log, position) {
                    Some(end) => at = end,
                    None => {
                        let offset = Offset::at(era, position);
                        self.faults.push(format!("the stream {path} is damaged at {offset}: records are missing"));
                        return Ok(());
                    }
                },
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Returns the end of the gap that begins at this position; `None` if there is none.
fn next_gap_end(store: &dyn Store, log: store::LogId, position: u64) -> Option<u64> {
    let found = store.gaps().into_iter().find(|gap| gap.log == log && (gap.from..gap.until).contains(&position));
    found.map(|gap| gap.until)
}
