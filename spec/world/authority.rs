//! An authority that issues certificates for `localhost` and 127.0.0.1.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// An authority, and the folder of its files.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Creates an authority; its own certificate is `ca.pem`.
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(Vec::new()).expect("there are no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of tests");
        let certificate = params.self_signed(&key).expect("it can be signed");
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("a file can be written");
        Self { folder, issuer: Issuer::new(params, key) }
    }

    /// Writes a certificate with this common name to `NAME.pem`, and its key to `NAME.key`.
    pub fn issue(&self, name: &str) {
        self.issue_as(name, name);
    }

    /// Writes a certificate with this common name, and its key, to files of another name.
    pub fn issue_as(&self, file: &str, name: &str) {
        let key = KeyPair::generate().expect("a key can be made");
        let hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(hosts).expect("the names are valid");
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).expect("it can be signed");
        std::fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).expect("a file can be written");
        std::fs::write(self.path(&format!("{file}.pem")), certificate.pem()).expect("a file can be written");
    }

    /// Returns the path of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the variables that give a process this certificate, and let it trust the authority.
    pub fn settings(&self, name: &str) -> [(&'static str, String); 3] {
        let text = |path: &Path| path.display().to_string();
        [
            ("EXORELAY__TLS__CERT_FILE", text(&self.path(&format!("{name}.pem")))),
            ("EXORELAY__TLS__KEY_FILE", text(&self.path(&format!("{name}.key")))),
            ("EXORELAY__TLS__CA_FILE", text(&self.path("ca.pem"))),
        ]
    }
}
