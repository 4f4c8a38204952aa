//! TLS of outgoing connections. The provider is passed explicitly and nothing is installed for the process, since a program
//! that uses this crate decides on both itself.

#[cfg(feature = "tls")]
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::{self, protocol::WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

use super::error::ClientError;

/// True if this program can make TLS connections.
pub(crate) const IS_AVAILABLE: bool = cfg!(feature = "tls");

/// Returns a builder of clients for `http` and `https`.
///
/// Without the system's certificates the client trusts nobody, so that plain HTTP still works.
pub(crate) fn client_builder() -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder();
    #[cfg(feature = "tls")]
    let builder = builder.tls_backend_preconfigured(trusting_system().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot load the certificates of the system: calls over https will fail");
        trusting_nobody()
    }));
    builder
}

/// Returns the connector for a WebSocket over TLS to `authority`, which trusts the certificates of the system.
/// Errors: [`ClientError::Connect`] without certificates, [`ClientError::TlsMissing`].
#[cfg(feature = "tls")]
pub(crate) fn connector(authority: &str) -> Result<Connector, ClientError> {
    match trusting_system() {
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
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    use rustls::crypto::{CryptoProvider, aws_lc_rs};

    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()))
}

#[cfg(feature = "tls")]
fn trusting_system() -> Result<rustls::ClientConfig, rustls::Error> {
    use rustls_platform_verifier::BuilderVerifierExt;

    let builder = rustls::ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(builder.with_platform_verifier()?.with_no_client_auth())
}

#[cfg(feature = "tls")]
fn trusting_nobody() -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("every provider of rustls supports TLS 1.3")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}
