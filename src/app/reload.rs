//! Reads the landscape of a running broker again when SIGHUP asks for it.

use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Error, landscape};
use crate::broker::{Broker, Landscape};
use crate::message::Role;

/// The landscape of a broker, and when to read it again.
pub(super) struct Reloading {
    hangup: Signal,
    source: Option<Source>,
}

/// Where a landscape comes from, and what it said.
struct Source {
    path: PathBuf,
    current: Landscape,
    /// How often it was taken over; the first time counts.
    generation: u64,
}

impl Reloading {
    /// Reads the landscape at `path`, and listens for SIGHUP from now on; without `path` there is none to read.
    /// Blocks on the file system. Errors: those of [`landscape::read`], [`Error::Signals`].
    pub(super) fn start(path: Option<PathBuf>) -> Result<Self, Error> {
        let hangup = signal(SignalKind::hangup()).map_err(Error::Signals)?;
        let source = path.map(Source::read).transpose()?;
        Ok(Self { hangup, source })
    }

    /// Gives the broker the landscape as it was read. Errors: [`Error::Landscape`].
    pub(super) fn configure(&self, broker: &Broker) -> Result<(), Error> {
        let Some(source) = &self.source else { return Ok(()) };
        source.give(source.current.clone(), broker)?;
        let (path, generation) = (source.path.display(), source.generation);
        tracing::info!(%path, generation, roles = source.current.roles.len(), "landscape read");
        Ok(())
    }

    /// Gives the broker the landscape as it is, at every SIGHUP; the old one stays if there is anything wrong with the
    /// new one. Never ends. Cancel-safe: dropped, it has given all of a landscape or nothing.
    pub(super) async fn follow(mut self, broker: Broker) -> std::convert::Infallible {
        loop {
            if self.hangup.recv().await.is_none() {
                // The runtime is ending, and the process with it.
                return std::future::pending().await;
            }
            match &mut self.source {
                Some(source) => source.reload(&broker).await,
                None => tracing::info!("SIGHUP: there is no landscape to read again, none was given by --landscape"),
            }
        }
    }
}

impl Source {
    fn read(path: PathBuf) -> Result<Self, Error> {
        let current = landscape::read(&path)?;
        Ok(Self { path, current, generation: 1 })
    }

    fn give(&self, landscape: Landscape, broker: &Broker) -> Result<(), Error> {
        broker.configure(landscape).map_err(|cause| Error::Landscape { path: self.path.clone(), cause })
    }

    async fn reload(&mut self, broker: &Broker) {
        let path = self.path.clone();
        // Files may be slow, and the broker's couriers run on this thread too.
        let read = tokio::task::spawn_blocking(move || landscape::read(&path)).await;
        let read = read.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
        let given = read.and_then(|landscape| self.give(landscape.clone(), broker).map(|()| landscape));
        let landscape = match given {
            Ok(landscape) => landscape,
            Err(error) => {
                let generation = self.generation;
                tracing::error!(%error, generation, "landscape not taken over, the old one stays");
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
            "landscape read again",
        );
    }
}

fn names(roles: &[Role]) -> String {
    roles.iter().map(Role::as_str).collect::<Vec<_>>().join(", ")
}
