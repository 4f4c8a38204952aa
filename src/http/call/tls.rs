//! TLS of outgoing connections. The provider is passed explicitly and none is installed for the process, since a program that
//! uses this crate decides on that itself. Only our commands call [`configure`].

#[cfg(feature = "tls")]
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::{self, protocol::WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

use super::error::ClientError;
use crate::http::tls_files::{TlsConfig, TlsError};

/// True if this program can make TLS connections.
pub(crate) const IS_AVAILABLE: bool = cfg!(feature = "tls");

/// Sets the authorities that outgoing calls of this process trust besides those of the system, and the certificate that they show
/// to servers that ask for one. Connections opened from then on use them, except that a client keeps the authorities that it was
/// created with. Blocks on the file system. Errors: [`TlsError`]; nothing is changed then.
pub(crate) fn configure(config: &TlsConfig) -> Result<(), TlsError> {
    #[cfg(feature = "tls")]
    return outgoing::configure(config);
    #[cfg(not(feature = "tls"))]
    return if *config == TlsConfig::default() { Ok(()) } else { Err(TlsError::Missing) };
}

/// Returns a builder of clients for `http` and `https`, which show the certificate of this process to servers that ask for one.
///
/// Without the system's certificates the client trusts nobody, so that plain HTTP still works.
pub(crate) fn client_builder() -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder();
    #[cfg(feature = "tls")]
    let builder = builder.tls_backend_preconfigured(outgoing::client(outgoing::Identity::Shown));
    builder
}

/// As [`client_builder`], for calls to URLs that strangers have chosen: no certificate is shown to them.
pub(crate) fn anonymous_client_builder() -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder();
    #[cfg(feature = "tls")]
    let builder = builder.tls_backend_preconfigured(outgoing::client(outgoing::Identity::Hidden));
    builder
}

/// Returns the connector for a WebSocket over TLS to `authority`, which trusts the certificates of the system and those of
/// [`configure`]. Errors: [`ClientError::Connect`] without certificates, [`ClientError::TlsMissing`].
#[cfg(feature = "tls")]
pub(crate) fn connector(authority: &str) -> Result<Connector, ClientError> {
    match outgoing::trusting_system(outgoing::Identity::Shown) {
        Ok(config) => Ok(Connector::Rustls(Arc::new(config))),
        Err(error) => Err(ClientError::Connect { authority: authority.to_owned(), cause: error.to_string() }),
    }
}

/// As with the feature `tls`, but always fails.
#[cfg(not(feature = "tls"))]
pub(crate) fn connector(authority: &str) -> Result<Connector, ClientError> {
    Err(ClientError::TlsMissing { authority: authority.to_owned() })
}

/// Performs the handshake of a WebSocket on `stream`, with TLS if `connector` says so. Cancel-safe: a dropped call closes the
/// connection.
pub(crate) async fn open_websocket(
    request: Request,
    stream: TcpStream,
    limits: WebSocketConfig,
    connector: Connector,
) -> Result<(WebSocketStream<MaybeTlsStream<TcpStream>>, Response), tungstenite::Error> {
    #[cfg(feature = "tls")]
    let opened = tokio_tungstenite::client_async_tls_with_config(request, stream, Some(limits), Some(connector)).await;
    #[cfg(not(feature = "tls"))]
    let opened = {
        let Connector::Plain = connector else { unreachable!("no other connector exists without the feature `tls`") };
        tokio_tungstenite::client_async_with_config(request, MaybeTlsStream::Plain(stream), Some(limits)).await
    };
    opened
}

/// The provider that the process has chosen, else the default of rustls.
#[cfg(feature = "tls")]
pub(in crate::http) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    use rustls::crypto::{CryptoProvider, aws_lc_rs};

    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()))
}

/// The settings of outgoing connections. They are those of the process, as the provider of rustls is: every client has them.
#[cfg(feature = "tls")]
mod outgoing {
    use std::sync::{Arc, Mutex};

    use rustls::client::ResolvesClientCert;
    use rustls::pki_types::CertificateDer;
    use rustls::sign::CertifiedKey;
    use rustls::{ClientConfig, RootCertStore, SignatureScheme};
    use rustls_platform_verifier::Verifier;

    use super::provider;
    use crate::http::tls_files::{TlsConfig, TlsError, certificates, certified_key, roots};
    use crate::sync::lock;

    static SETTINGS: Mutex<Settings> = Mutex::new(Settings { authorities: Vec::new(), identity: None });

    #[derive(Clone)]
    struct Settings {
        /// Those that are trusted besides those of the system.
        authorities: Vec<CertificateDer<'static>>,
        identity: Option<Arc<CertifiedKey>>,
    }

    /// The certificate of this process, for servers that ask for it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Identity {
        Shown,
        Hidden,
    }

    pub(super) fn configure(config: &TlsConfig) -> Result<(), TlsError> {
        let setting = "tls.ca_file";
        let authorities = match config.ca_file.as_os_str().is_empty() {
            true => Vec::new(),
            false => {
                // Checks that each of them can be one.
                roots(setting, &config.ca_file)?;
                certificates(setting, &config.ca_file)?
            }
        };
        let identity = match config.has_certificate() {
            true => Some(Arc::new(certified_key(config, &provider())?)),
            false => None,
        };
        *lock(&SETTINGS) = Settings { authorities, identity };
        Ok(())
    }

    pub(super) fn client(identity: Identity) -> ClientConfig {
        trusting_system(identity).unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot load the certificates of the system: calls over https will fail");
            trusting_nobody()
        })
    }

    pub(super) fn trusting_system(identity: Identity) -> Result<ClientConfig, rustls::Error> {
        let authorities = lock(&SETTINGS).authorities.clone();
        let verifier = Verifier::new_with_extra_roots(authorities, provider())?;
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        Ok(match identity {
            Identity::Shown => builder.with_client_cert_resolver(Arc::new(CurrentIdentity)),
            Identity::Hidden => builder.with_no_client_auth(),
        })
    }

    fn trusting_nobody() -> ClientConfig {
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("every provider of rustls supports TLS 1.3")
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()
    }

    /// The certificate at the time of the handshake: it may be exchanged while clients live.
    #[derive(Debug)]
    struct CurrentIdentity;

    impl ResolvesClientCert for CurrentIdentity {
        fn resolve(&self, _authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            let identity = lock(&SETTINGS).identity.clone()?;
            identity.key.choose_scheme(schemes).map(|_| identity)
        }

        fn has_certs(&self) -> bool {
            lock(&SETTINGS).identity.is_some()
        }
    }
}
