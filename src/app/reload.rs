//! Reloads the landscape of a running broker on SIGHUP.

use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Error, landscape};
use crate::broker::{Broker, Landscape};
use crate::chain::chain;
use crate::message::Role;

/// The SIGHUP listener and the landscape file of a broker.
pub(super) struct Reloader {
    hangup: Signal,
    source: Option<Source>,
}

/// A landscape file and its current content.
struct Source {
    path: PathBuf,
    current: Landscape,
    /// Number of times it was applied, including the first.
    generation: u64,
}

impl Reloader {
    /// Starts listening for SIGHUP and reads the landscape at `path`, if given. Blocks on the file system. Errors: those of [`landscape::read`], [`Error::Signals`].
    pub(super) fn start(path: Option<PathBuf>) -> Result<Self, Error> {
        let hangup = signal(SignalKind::hangup()).map_err(Error::Signals)?;
        let source = path.map(Source::read).transpose()?;
        Ok(Self { hangup, source })
    }

    /// Applies the landscape to the broker. Errors: [`Error::Landscape`].
    pub(super) fn configure(&self, broker: &Broker) -> Result<(), Error> {
        let Some(source) = &self.source else { return Ok(()) };
        source.apply(source.current.clone(), broker)?;
        let (path, generation) = (source.path.display(), source.generation);
        tracing::info!(%path, generation, roles = source.current.roles.len(), "landscape read");
        Ok(())
    }

    /// Rereads and applies the landscape at every SIGHUP; a wrong one is logged and the old one stays in force. Never
    /// returns. Cancel-safe: a landscape is applied completely or not at all.
    pub(super) async fn follow(mut self, broker: Broker) -> std::convert::Infallible {
        loop {
            if self.hangup.recv().await.is_none() {
                // The runtime is shutting down.
                return std::future::pending().await;
            }
            match &mut self.source {
                Some(source) => source.reload(&broker).await,
                None => tracing::info!("SIGHUP ignored: no landscape to reload, --landscape was not given"),
            }
        }
    }
}

impl Source {
    fn read(path: PathBuf) -> Result<Self, Error> {
        let current = landscape::read(&path)?;
        Ok(Self { path, current, generation: 1 })
    }

    fn apply(&self, landscape: Landscape, broker: &Broker) -> Result<(), Error> {
        broker.configure(landscape).map_err(|cause| Error::Landscape { path: self.path.clone(), cause })
    }

    async fn reload(&mut self, broker: &Broker) {
        let path = self.path.clone();
        // File systems may be slow, and this thread also runs deliveries.
        let read = tokio::task::spawn_blocking(move || landscape::read(&path)).await;
        let read = read.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
        let applied = read.and_then(|landscape| self.apply(landscape.clone(), broker).map(|()| landscape));
        let landscape = match applied {
            Ok(landscape) => landscape,
            Err(error) => {
                let generation = self.generation;
                tracing::error!(
                    error = chain(&error),
                    generation,
                    "landscape not applied, the previous one stays in force"
                );
                return;
            }
        };
        let changes = landscape.changes_in(&self.current);
        self.generation += 1;
        self.current = landscape;
        tracing::info!(
            path = %self.path.display(),
            generation = self.generation,
            added = names(&changes.added),
            removed = names(&changes.removed),
            changed = names(&changes.changed),
            "landscape reloaded",
        );
    }
}

fn names(roles: &[Role]) -> String {
    roles.iter().map(Role::as_str).collect::<Vec<_>>().join(", ")
}
