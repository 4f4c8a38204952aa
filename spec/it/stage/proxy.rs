//! A network between two places that can be cut without either of them being told.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Carries connections to one address.
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
            while let Ok((here, _)) = listener.accept().await {
                let (to, flows) = (to.clone(), flows.clone());
                tokio::spawn(async move {
                    let Ok(there) = TcpStream::connect(to).await else { return };
                    let ((here_reads, here_writes), (there_reads, there_writes)) =
                        (here.into_split(), there.into_split());
                    tokio::spawn(pump(here_reads, there_writes, flows.clone()));
                    tokio::spawn(pump(there_reads, here_writes, flows));
                });
            }
        });
        Self { address, flowing, accepting }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// From now on nothing passes, in neither direction, and nobody is told.
    pub(crate) fn cut(&self) {
        self.flowing.send_replace(false);
    }

    /// From now on everything passes again, what was on its way included.
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
        // Whoever waits here when the proxy goes ends with it.
        if flows.wait_for(|flows| *flows).await.is_err() || count == 0 {
            return;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
