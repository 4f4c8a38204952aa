//! The certificates of a process: for its listeners and its calls, and exchanged while it runs.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

use super::{Config, Error};
use crate::http::{ServerTls, TlsConfig, TlsError, tls};

/// The certificate of a process, if it has one. It is read again when its files change, and at SIGHUP, until this is dropped.
#[derive(Default)]
pub(super) struct Certificates {
    server: Option<ServerTls>,
    _followed: Option<AbortOnDropHandle<()>>,
}

impl Certificates {
    /// Reads the files of `[tls]`. Blocks on the file system. Errors: [`Error::Tls`], [`Error::Signals`].
    pub(super) fn read(config: &Config) -> Result<Self, Error> {
        tls::configure(&config.tls)?;
        if !config.tls.has_certificate() {
            return Ok(Self::default());
        }
        let server = ServerTls::load(&config.tls)?;
        let hangup = signal(SignalKind::hangup()).map_err(Error::Signals)?;
        let followed = tokio::spawn(follow(server.clone(), hangup));
        Ok(Self { server: Some(server), _followed: Some(AbortOnDropHandle::new(followed)) })
    }

    /// Returns the certificate for a listener whose `tls` is `wanted`. Errors: [`Error::Tls`] if there is none.
    pub(super) fn of(&self, listener: &'static str, wanted: Wanted) -> Result<Option<&ServerTls>, Error> {
        match (wanted, &self.server) {
            (Wanted(false), _) => Ok(None),
            (Wanted(true), Some(server)) => Ok(Some(server)),
            (Wanted(true), None) => Err(TlsError::NotSet { setting: "tls.cert_file", listener }.into()),
        }
    }
}

/// The setting `tls` of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted(pub(super) bool);

async fn follow(server: ServerTls, mut hangup: Signal) {
    loop {
        tokio::select! {
            never = server.follow() => match never {},
            hung_up = hangup.recv() => match hung_up {
                Some(()) => server.reload().await,
                // The runtime is shutting down.
                None => return,
            },
        }
    }
}

/// Checks the files of `[tls]` without using them. Blocks on the file system. Errors: [`TlsError`].
pub(crate) fn check_certificates(config: &TlsConfig) -> Result<(), TlsError> {
    tls::configure(config)?;
    if config.has_certificate() {
        ServerTls::load(config)?;
    }
    Ok(())
}
