//! Listeners with certificates of an authority of their own, and clients that trust it.

#![cfg(feature = "tls")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Router};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ServerTls;
use crate::http::call::tls::provider;
use crate::http::{Limits, Listening, PeerIdentity, Scheme, Serving, TlsConfig, TlsError};

/// An authority, and the folder of its files.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let (folder, key) = (TempDir::new().unwrap(), KeyPair::generate().unwrap());
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a certificate for `localhost` with this common name, and its key.
    fn issue(&self, file: &str, common_name: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::URI("spiffe://example/users".try_into().unwrap()));
        params.distinguished_name.push(DnType::CommonName, common_name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    /// The settings of a listener that shows the certificate `server`.
    fn config(&self) -> TlsConfig {
        TlsConfig { cert_file: self.path("server.pem"), key_file: self.path("server.key"), ..TlsConfig::default() }
    }

    fn config_with_clients(&self) -> TlsConfig {
        TlsConfig { client_ca_file: self.path("ca.pem"), ..self.config() }
    }

    /// Connects, showing the certificate `identity` if there is one.
    async fn connect(&self, serving: &Serving, identity: Option<&str>) -> std::io::Result<TlsStream<TcpStream>> {
        let roots = crate::http::tls_files::roots("test", &self.path("ca.pem")).unwrap();
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = CertificateDer::pem_file_iter(self.path(&format!("{name}.pem"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
            }
        };
        let stream = TcpStream::connect(serving.address()).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// The answer to a request; an error if the listener does not accept the client.
    async fn ask(&self, serving: &Serving, identity: Option<&str>) -> std::io::Result<String> {
        let mut stream = self.connect(serving, identity).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer.rsplit("\r\n").next().unwrap_or_default().to_owned())
    }

    /// The common name in the certificate that a listener shows.
    async fn shown(&self, serving: &Serving) -> Option<String> {
        let stream = self.connect(serving, None).await.unwrap();
        let chain = stream.get_ref().1.peer_certificates().unwrap().to_vec();
        super::names(&chain[0]).unwrap().common_name
    }
}

async fn serve(tls: &ServerTls) -> Serving {
    let shown = |identity: Option<Extension<PeerIdentity>>, scheme: Option<Extension<Scheme>>| async move {
        assert!(matches!(scheme, Some(Extension(Scheme::Https))));
        match identity {
            Some(Extension(PeerIdentity::Certificate(names))) => {
                format!("{:?} {:?} {:?}", names.common_name, names.dns, names.uris)
            }
            _ => "nobody".to_owned(),
        }
    };
    let listening = Listening::bind("listen", "127.0.0.1:0").await.unwrap().secured(Some(tls));
    assert!(listening.place().to_string().starts_with("https://127.0.0.1:"));
    listening.serve(Router::new().route("/", get(shown)), &Limits::default())
}

#[tokio::test]
async fn a_client_is_who_its_certificate_says() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.issue("server", "server");
    authority.issue("users", "users");
    other.issue("users", "users");
    let tls = ServerTls::load(&authority.config()).unwrap();
    assert_eq!(authority.ask(&serve(&tls).await, None).await.unwrap(), "nobody");
    let mut config = authority.config_with_clients();
    let optional = serve(&ServerTls::load(&config).unwrap()).await;
    assert_eq!(authority.ask(&optional, None).await.unwrap(), "nobody");
    let users = "Some(\"users\") [\"localhost\"] [\"spiffe://example/users\"]";
    assert_eq!(authority.ask(&optional, Some("users")).await.unwrap(), users);
    config.client_required = true;
    let required = serve(&ServerTls::load(&config).unwrap()).await;
    assert_eq!(authority.ask(&required, Some("users")).await.unwrap(), users);
    assert!(authority.ask(&required, None).await.is_err());
    std::fs::copy(other.path("users.pem"), authority.path("forged.pem")).unwrap();
    std::fs::copy(other.path("users.key"), authority.path("forged.key")).unwrap();
    for serving in [&optional, &required] {
        assert!(authority.ask(serving, Some("forged")).await.is_err(), "another authority");
    }
}

#[tokio::test(start_paused = true)]
async fn new_files_are_used_and_broken_ones_are_not() {
    let authority = Authority::new();
    authority.issue("server", "first");
    let tls = ServerTls::load(&authority.config()).unwrap();
    let serving = serve(&tls).await;
    let followed = tls.clone();
    let following = tokio::spawn(async move { followed.follow().await });
    assert_eq!(authority.shown(&serving).await.as_deref(), Some("first"));
    tokio::time::sleep(Duration::from_secs(5)).await;
    std::fs::write(authority.path("server.key"), "no key").unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(authority.shown(&serving).await.as_deref(), Some("first"));
    authority.issue("server", "second");
    while authority.shown(&serving).await.as_deref() != Some("second") {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    authority.issue("server", "third");
    tls.reload().await;
    assert_eq!(authority.shown(&serving).await.as_deref(), Some("third"));
    following.abort();
}

#[test]
fn an_error_names_the_setting_the_file_and_what_was_expected() {
    let authority = Authority::new();
    authority.issue("server", "server");
    authority.issue("other", "other");
    let path = |name: &str| authority.path(name).display().to_string();
    let check = |config: TlsConfig, expected: &[&str]| {
        let error = ServerTls::load(&config).err().expect("it cannot be used").to_string();
        assert!(expected.iter().all(|part| error.contains(part)), "{error}");
    };
    let config = || authority.config();
    let with_key = |name: &str| TlsConfig { key_file: authority.path(name), ..config() };
    check(with_key("other.key"), &["tls.key_file", &path("other.key"), &path("server.pem"), "does not belong"]);
    check(with_key("missing.key"), &["tls.key_file", &path("missing.key"), "cannot read"]);
    check(with_key("server.pem"), &["tls.key_file", &path("server.pem"), "-----BEGIN PRIVATE KEY-----"]);
    let cert = TlsConfig { cert_file: authority.path("server.key"), ..config() };
    check(cert, &["tls.cert_file", &path("server.key"), "-----BEGIN CERTIFICATE-----"]);
    std::fs::write(authority.path("broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    let broken = TlsConfig { cert_file: authority.path("broken.pem"), ..config() };
    check(broken, &["tls.cert_file", &path("broken.pem"), "cannot be used"]);
    let clients = TlsConfig { client_ca_file: authority.path("server.key"), ..config() };
    check(clients, &["tls.client_ca_file", &path("server.key")]);
    assert!(matches!(crate::http::call::tls::configure(&with_key("missing.key")), Err(TlsError::Unreadable { .. })));
}

#[tokio::test]
async fn plain_http_gets_a_hint() {
    let authority = Authority::new();
    authority.issue("server", "server");
    let serving = serve(&ServerTls::load(&authority.config()).unwrap()).await;
    let mut stream = TcpStream::connect(serving.address()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("use https:// or wss://\n"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_a_deadline_and_delays_nobody() {
    let authority = Authority::new();
    authority.issue("server", "server");
    let serving = serve(&ServerTls::load(&authority.config()).unwrap()).await;
    let began = tokio::time::Instant::now();
    let mut silent = TcpStream::connect(serving.address()).await.unwrap();
    let mut slow = TcpStream::connect(serving.address()).await.unwrap();
    // The beginning of a record.
    slow.write_all(&[22, 3, 1]).await.unwrap();
    assert_eq!(authority.ask(&serving, None).await.unwrap(), "nobody");
    assert!(began.elapsed() < Duration::from_secs(5));
    for stream in [&mut silent, &mut slow] {
        assert_eq!(stream.read(&mut [0]).await.unwrap_or_default(), 0);
    }
    assert!(began.elapsed() <= Duration::from_secs(15), "{:?}", began.elapsed());
}
