//! Certificates and keys in PEM files (RFC 7468): those of listeners, and those that outgoing calls trust and present.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// `[tls]` of the configuration: files in PEM, an empty path for none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate of this process and those of its issuers: shown by listeners with `tls = true`, and to servers that ask for
    /// the certificate of their client.
    pub cert_file: PathBuf,
    /// The key of that certificate.
    pub key_file: PathBuf,
    /// Certificates of the authorities that issue the certificates of clients of our listeners.
    pub client_ca_file: PathBuf,
    /// True if clients without such a certificate are refused.
    pub client_required: bool,
    /// Certificates of authorities that outgoing calls trust besides those of the system.
    pub ca_file: PathBuf,
}

impl TlsConfig {
    /// Returns true if this process has a certificate.
    pub fn has_certificate(&self) -> bool {
        !self.cert_file.as_os_str().is_empty()
    }
}

/// A file of `[tls]` cannot be used. The message names the setting, the file, and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("{setting}: cannot read {}; expected a PEM file that this process may read", path.display())]
    Unreadable {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        cause: io::Error,
    },
    /// The file is far longer than certificates are.
    #[error("{setting}: {} is longer than {bytes_max} bytes; expected a PEM file", path.display())]
    TooLong {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// The file has no certificate in it.
    #[error("{setting}: there is no certificate in {}; expected PEM: -----BEGIN CERTIFICATE-----", path.display())]
    NoCertificate {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The file has no key in it, or an encrypted one.
    #[error(
        "{setting}: there is no private key in {} that can be used; expected PEM without a passphrase: -----BEGIN PRIVATE KEY-----",
        path.display()
    )]
    NoKey {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The content of the file is damaged, or of a kind that is not supported.
    #[error("{setting}: {} cannot be used: {cause}", path.display())]
    Malformed {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        cause: String,
    },
    /// The key is that of another certificate.
    #[error(
        "tls.key_file: the key in {} does not belong to the first certificate in {} (tls.cert_file); expected the key of that \
         certificate, and the certificate of this process before those of its issuers",
        key.display(),
        cert.display()
    )]
    Mismatch {
        /// The file with the key.
        key: PathBuf,
        /// The file with the certificate.
        cert: PathBuf,
    },
    /// A listener is to use TLS, and there is no certificate or no key.
    #[error("{setting} is not set, and {listener}.tls is true; expected the path of a PEM file")]
    NotSet {
        /// The setting that is missing.
        setting: &'static str,
        /// The listener.
        listener: &'static str,
    },
    /// The program was built without TLS.
    #[error("TLS is not available; enable the feature \"tls\" of the crate")]
    Missing,
}

#[cfg(feature = "tls")]
pub(crate) use self::reading::{certificates, certified_key, roots};

/// The files in the types of rustls.
#[cfg(feature = "tls")]
mod reading {
    use std::fs::File;
    use std::io::Read;

    use rustls::RootCertStore;
    use rustls::crypto::CryptoProvider;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::sign::CertifiedKey;

    use super::{Path, TlsConfig, TlsError};

    /// Maximum length of a file. A bundle of all public authorities has about 250 KiB.
    const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

    /// Reads the certificates in a file; there is at least one. Blocks on the file system. Errors: [`TlsError`].
    pub(crate) fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let bytes = read(setting, path)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let found = found.map_err(|error| malformed(setting, path, error))?;
        match found.is_empty() {
            true => Err(TlsError::NoCertificate { setting, path: path.to_owned() }),
            false => Ok(found),
        }
    }

    /// Reads the certificates of authorities. Blocks on the file system. Errors: [`TlsError`].
    pub(crate) fn roots(setting: &'static str, path: &Path) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(setting, path)? {
            roots.add(certificate).map_err(|error| malformed(setting, path, error))?;
        }
        Ok(roots)
    }

    /// Reads the certificate of this process and its key, and checks that they belong together. Blocks on the file system.
    /// Errors: [`TlsError`].
    pub(crate) fn certified_key(config: &TlsConfig, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let (cert, path) = (&config.cert_file, &config.key_file);
        let chain = certificates("tls.cert_file", cert)?;
        let setting = "tls.key_file";
        let key = PrivateKeyDer::from_pem_slice(&read(setting, path)?)
            .map_err(|_| TlsError::NoKey { setting, path: path.clone() })?;
        let key = provider.key_provider.load_private_key(key).map_err(|error| malformed(setting, path, error))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(TlsError::Mismatch { key: path.clone(), cert: cert.clone() })
            }
            Err(error) => Err(malformed("tls.cert_file", cert, error)),
        }
    }

    fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
        let unreadable = |cause| TlsError::Unreadable { setting, path: path.to_owned(), cause };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        match bytes.len() as u64 > FILE_BYTES_MAX {
            true => Err(TlsError::TooLong { setting, path: path.to_owned(), bytes_max: FILE_BYTES_MAX }),
            false => Ok(bytes),
        }
    }

    fn malformed(setting: &'static str, path: &Path, cause: impl ToString) -> TlsError {
        TlsError::Malformed { setting, path: path.to_owned(), cause: cause.to_string() }
    }
}
