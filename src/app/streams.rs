//! Opens the streams as they are configured: the one place that decides where they are kept.

use super::{Config, Error};
use crate::streams::{Kept, Streams};

/// The streams of `[streams]`, whoever serves them. Reads what is kept, blocking as the store is. Errors:
/// [`Error::NoDiskStore`].
pub(super) fn open_streams(config: &Config) -> Result<Streams, Error> {
    match config.streams.store {
        Kept::Memory => Ok(Streams::in_memory(config.streams.clone())),
        Kept::Disk => Err(Error::NoDiskStore),
    }
}
