//! Raw HTTP, for clients that violate the protocol.

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One connection.
pub(crate) struct Raw(BufReader<TcpStream>);

impl Raw {
    pub(crate) async fn connect(address: &str) -> Self {
        Self(BufReader::new(TcpStream::connect(address).await.unwrap()))
    }

    /// Sends the text unchanged. Returns false if the server has closed the connection.
    pub(crate) async fn send(&mut self, text: &str) -> bool {
        self.send_bytes(text.as_bytes()).await
    }

    /// Like [`Raw::send`], for bytes.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// Reads one answer with its body, by its `content-length`. Returns `None` if the connection ended before it was
    /// complete.
    pub(crate) async fn answer(&mut self) -> Option<String> {
        let mut text = Vec::new();
        loop {
            let byte = self.0.read_u8().await.ok()?;
            text.push(byte);
            if text.ends_with(b"\r\n\r\n") {
                break;
            }
        }
        let head = String::from_utf8(text).unwrap();
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body).await.ok()?;
        Some(head + &String::from_utf8(body).unwrap())
    }

    /// Waits for the server to close the connection, and returns the rest of the data.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset counts as the end, too.
        drop(self.0.read_to_end(&mut rest).await);
        String::from_utf8_lossy(&rest).into_owned()
    }
}
