//! Tests of a broker behind TLS: `wss://` with the certificates that the system trusts.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::eventually::eventually;
use crate::stage::{Process, get, post};

/// A certificate for `localhost` with its key, for tests only.
const LOCALHOST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/spec/it/stage/localhost.pem");

/// Terminates TLS in front of `broker`. Returns the port.
async fn terminate_tls(broker: String) -> u16 {
    let chain = CertificateDer::pem_file_iter(LOCALHOST).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(LOCALHOST).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, broker) = (acceptor.clone(), broker.clone());
            tokio::spawn(async move {
                // Fails if the client does not trust the certificate.
                let Ok(mut secure) = acceptor.accept(stream).await else { return };
                let mut plain = TcpStream::connect(broker).await.unwrap();
                drop(copy_bidirectional(&mut secure, &mut plain).await);
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_connects_to_a_broker_with_a_trusted_certificate() {
    let broker = Process::start("broker", &[]).await;
    let port = terminate_tls(broker.address("broker").to_owned()).await;
    let line = format!("run --role users --bus wss://localhost:{port}");
    let mut users = Process::start(&line, &[("SSL_CERT_FILE", LOCALHOST)]).await;
    let answer = post(&format!("{}/request/zonk", users.url("api")), &json!(1)).await;
    assert_eq!(answer.status, 404, "{answer:?}");
    users.stop().await;
    let services = get(&format!("{}/services", broker.url("broker"))).await.json();
    assert_eq!(services, json!({ "absent": [], "services": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_refuses_a_broker_with_an_untrusted_certificate() {
    let broker = Process::start("broker", &[]).await;
    let port = terminate_tls(broker.address("broker").to_owned()).await;
    let users = Process::start(&format!("run --role users --bus wss://localhost:{port}"), &[]).await;
    let ready = format!("{}/ready", users.url("api"));
    eventually("an error about the certificate", || async {
        let answer = get(&ready).await;
        (answer.status == 503 && answer.body.contains("certificate")).then_some(())
    })
    .await;
}
