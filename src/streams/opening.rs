//! Opens the store that the configuration names.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::config::{Config, StoreKind};
use super::error::Error;
use super::service::Streams;
use crate::store::{self, DiskConfig, DiskStore, MemoryStore, Store};

impl Streams {
    /// Opens the streams in the store that `config` names: in memory, or on disk in `data_dir`. Reads what is stored, which
    /// may take a while. Panics outside of a tokio runtime. Cancel-safe: a dropped call leaves the folder closed, once it
    /// has been read.
    ///
    /// Errors: [`Error::Store`] if the folder cannot be opened, for example because another process uses it, and those of
    /// [`Streams::open`].
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), exorelay::streams::Error> {
    /// use exorelay::streams::{Config, StoreKind, Streams};
    ///
    /// let config = Config { store: StoreKind::Disk, data_dir: "/var/lib/streams".into(), ..Config::default() };
    /// let streams = Streams::configured(config).await?;
    /// # Ok(()) }
    /// ```
    pub async fn configured(config: Config) -> Result<Self, Error> {
        let store = open_store(&config).await.map_err(|error| Error::Store(Arc::new(error)))?;
        Self::open(config, store)
    }
}

/// Opens the store that `config` names. Errors: the folder of the disk store is not given, or cannot be opened.
pub(crate) async fn open_store(config: &Config) -> Result<Arc<dyn Store>, store::Error> {
    match config.store {
        StoreKind::Memory => Ok(Arc::new(MemoryStore::default())),
        StoreKind::Disk => {
            let dir = PathBuf::from(&config.data_dir);
            if dir.as_os_str().is_empty() {
                let missing = io::Error::new(io::ErrorKind::InvalidInput, "the setting data_dir is empty");
                return Err(store::Error::Open { dir, source: missing.into() });
            }
            let config = DiskConfig {
                dir: dir.clone(),
                durability: config.durability,
                free_bytes_min: config.disk_free_bytes_min,
                cache_bytes: config.disk_cache_bytes_max as u64,
            };
            let opening = tokio::task::spawn_blocking(move || DiskStore::open(&config)).await;
            let panicked = |error| Err(store::Error::Open { dir, source: io::Error::other(error).into() });
            let store = opening.unwrap_or_else(panicked)?;
            Ok(Arc::new(store))
        }
    }
}
