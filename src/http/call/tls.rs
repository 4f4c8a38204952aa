//! TLS of outgoing connections.

/// Makes ring the TLS provider of this process. Call it before the first TLS connection; later calls do nothing.
pub(crate) fn install_tls_provider() {
    // The only error says that a provider is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
}
