//! A TCP proxy that can drop all traffic without closing connections.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A proxy to one address.
pub(crate) struct Proxy {
    address: String,
    flowing: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (flowing, flows) = watch::channel(true);
        let to = to.to_owned();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (to, flows) = (to.clone(), flows.clone());
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(to).await else { return };
                    let ((client_reader, client_writer), (server_reader, server_writer)) =
                        (client.into_split(), server.into_split());
                    tokio::spawn(pump(client_reader, server_writer, flows.clone()));
                    tokio::spawn(pump(server_reader, client_writer, flows));
                });
            }
        });
        Self { address, flowing, accepting }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Stops all traffic in both directions; connections stay open.
    pub(crate) fn cut(&self) {
        self.flowing.send_replace(false);
    }

    /// Resumes all traffic, including the data held back.
    pub(crate) fn heal(&self) {
        self.flowing.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut flows: watch::Receiver<bool>) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut bytes).await.unwrap_or(0);
        // Fails when the proxy is dropped.
        if flows.wait_for(|flows| *flows).await.is_err() || count == 0 {
            return;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
