//! TLS of listeners: the certificate that they show and the clients that they accept. Both can be exchanged while they serve.

#[cfg(feature = "tls")]
mod connection;
#[cfg(feature = "tls")]
mod names;

#[cfg(feature = "tls")]
pub(super) use connection::TlsConnection;
#[cfg(feature = "tls")]
pub(super) use names::names;

#[cfg(feature = "tls")]
pub use with_rustls::ServerTls;
#[cfg(not(feature = "tls"))]
pub use without::ServerTls;

#[cfg(feature = "tls")]
mod with_rustls {
    use std::fs::Metadata;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use rustls::ServerConfig;
    use rustls::server::{NoClientAuth, WebPkiClientVerifier};
    use rustls::sign::SingleCertAndKey;
    use tokio::time::MissedTickBehavior;

    use crate::chain::chain;
    use crate::http::TlsError;
    use crate::http::call::tls::provider;
    use crate::http::tls_files::{TlsConfig, certified_key, roots};
    use crate::sync::lock;

    /// Interval at which the files are looked at.
    const INTERVAL: Duration = Duration::from_secs(2);

    /// Protocols by preference. RFC 7301. WebSockets are opened with HTTP/1.1, which is all that their clients offer.
    const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

    /// The TLS settings of the listeners of a process. Cheap to clone; clones are exchanged together.
    #[derive(Clone)]
    pub struct ServerTls(Arc<Inner>);

    struct Inner {
        config: TlsConfig,
        current: Mutex<Arc<ServerConfig>>,
    }

    /// State of the files at one time: modification, length and number of each.
    type Fingerprint = Vec<Option<(i64, i64, u64, u64)>>;

    impl ServerTls {
        /// Reads the files. Blocks on the file system. Errors: [`TlsError`].
        pub fn load(config: &TlsConfig) -> Result<Self, TlsError> {
            let current = Mutex::new(Arc::new(read(config)?));
            Ok(Self(Arc::new(Inner { config: config.clone(), current })))
        }

        /// Returns true if clients without a certificate are refused.
        pub(in crate::http::serve) fn requires_certificates(&self) -> bool {
            self.0.config.client_required
        }

        /// Returns what a new connection gets.
        pub(in crate::http::serve) fn current(&self) -> Arc<ServerConfig> {
            Arc::clone(&lock(&self.0.current))
        }

        /// Reads the files again when they have changed. Files that cannot be used are logged, and connections get what they got
        /// before. Never returns; stops when it is dropped.
        pub async fn follow(&self) -> std::convert::Infallible {
            let mut ticks = tokio::time::interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut used = fingerprint(&self.0.config);
            let mut before = used.clone();
            loop {
                ticks.tick().await;
                let now = fingerprint(&self.0.config);
                // Several files are written one after the other: they have to rest for one interval.
                if now != used && now == before {
                    used.clone_from(&now);
                    self.reload().await;
                }
                before = now;
            }
        }

        /// Reads the files again. Files that cannot be used are logged, and connections get what they got before.
        /// A dropped call may still exchange them.
        pub async fn reload(&self) {
            let inner = Arc::clone(&self.0);
            let read = tokio::task::spawn_blocking(move || {
                let config = read(&inner.config)?;
                *lock(&inner.current) = Arc::new(config);
                Ok::<_, TlsError>(())
            });
            let cert = self.0.config.cert_file.display();
            match read.await {
                Ok(Ok(())) => tracing::info!(%cert, "certificates reloaded, for new connections"),
                Ok(Err(error)) => {
                    tracing::error!(error = chain(&error), "certificates not reloaded, the previous ones stay in use");
                }
                Err(panicked) => tracing::error!(error = %panicked, "certificates not reloaded"),
            }
        }
    }

    fn read(config: &TlsConfig) -> Result<ServerConfig, TlsError> {
        let provider = provider();
        let certified = certified_key(config, &provider)?;
        let setting = "tls.client_ca_file";
        let path = &config.client_ca_file;
        let failed = |cause: String| TlsError::Malformed { setting, path: path.clone(), cause };
        let verifier = match path.as_os_str().is_empty() {
            true => Arc::new(NoClientAuth),
            false => {
                let roots = Arc::new(roots(setting, path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
                let verifier = if config.client_required { verifier } else { verifier.allow_unauthenticated() }.build();
                verifier.map_err(|error| failed(error.to_string()))?
            }
        };
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(server)
    }

    fn fingerprint(config: &TlsConfig) -> Fingerprint {
        let files = [&config.cert_file, &config.key_file, &config.client_ca_file];
        files.into_iter().map(|path| state(path)).collect()
    }

    fn state(path: &Path) -> Option<(i64, i64, u64, u64)> {
        let of = |found: Metadata| (found.mtime(), found.mtime_nsec(), found.len(), found.ino());
        std::fs::metadata(path).ok().map(of)
    }
}

#[cfg(not(feature = "tls"))]
mod without {
    use std::convert::Infallible;

    use crate::http::{TlsConfig, TlsError};

    /// As with the feature `tls`, but there is none.
    #[derive(Clone)]
    pub struct ServerTls(Infallible);

    impl ServerTls {
        /// Errors: always [`TlsError::Missing`].
        pub fn load(_config: &TlsConfig) -> Result<Self, TlsError> {
            Err(TlsError::Missing)
        }

        /// There is nothing to require.
        pub(in crate::http::serve) fn requires_certificates(&self) -> bool {
            match self.0 {}
        }

        /// Does nothing, and never returns. Cancel-safe.
        pub async fn follow(&self) -> Infallible {
            match self.0 {}
        }

        /// Does nothing. Cancel-safe.
        pub async fn reload(&self) {
            match self.0 {}
        }
    }
}

#[cfg(test)]
mod tests;
