//! Responses whose body is sent piece by piece, such as events.
//!
//! Such a connection is idle most of the time, and hyper would keep two buffers of 8 KiB for it. So our listeners take the
//! connection from hyper once the head of the response is written, and write the pieces to the socket themselves. Other
//! servers send the body as any other.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::sync::lock;

/// Pieces of the body of a live response.
pub(super) type Source = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// The source of a live response: an extension of the response, and its body.
#[derive(Clone)]
pub(super) struct Live(Arc<Mutex<Option<Source>>>);

impl Live {
    /// Takes the source. The body that is left behind never yields anything.
    pub(super) fn take(&self) -> Option<Source> {
        lock(&self.0).take()
    }
}

impl Stream for Live {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut source = lock(&self.0);
        source.as_mut().map_or(Poll::Pending, |source| source.poll_next_unpin(context).map(|bytes| bytes.map(Ok)))
    }
}

/// Responds with the pieces of `source` as body, each as soon as it is available. The next piece is polled when the one
/// before is sent.
pub(crate) fn live(source: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let live = Live(Arc::new(Mutex::new(Some(Box::pin(source)))));
    let mut response = Response::new(Body::from_stream(live.clone()));
    response.extensions_mut().insert(live);
    response
}

/// Sends the body of a live response in chunks, after its head. Returns when it is sent or the client is gone; the
/// connection cannot be used afterwards. Bytes that the client sends meanwhile are discarded. RFC 9112 7.1.
pub(super) async fn send_chunks(
    mut connection: impl AsyncRead + AsyncWrite + Unpin,
    mut source: Source,
) -> io::Result<()> {
    loop {
        let bytes = tokio::select! {
            bytes = source.next() => bytes,
            gone = end_of(&mut connection) => return gone,
        };
        match bytes {
            None => break,
            // An empty chunk would end the body.
            Some(bytes) if bytes.is_empty() => {}
            Some(bytes) => {
                let size = format!("{:x}\r\n", bytes.len());
                let mut chunk = Buf::chain(size.as_bytes(), bytes).chain(&b"\r\n"[..]);
                connection.write_all_buf(&mut chunk).await?;
            }
        }
    }
    connection.write_all(b"0\r\n\r\n").await?;
    connection.shutdown().await
}

/// Waits until the client has closed its side. Cancel-safe.
async fn end_of(connection: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut ignored = [0; 64];
    while connection.read(&mut ignored).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn each_piece_is_a_chunk_and_an_empty_one_does_not_end_the_body() {
        let (mut reader, end) = duplex(8);
        let pieces = ["event: data\n", "", "data:1\n\n"].map(Bytes::from);
        let source: Source = Box::pin(stream::iter(pieces));
        let mut sent = String::new();
        let (outcome, _) = tokio::join!(send_chunks(end, source), reader.read_to_string(&mut sent));
        outcome.unwrap();
        assert_eq!(sent, "c\r\nevent: data\n\r\n8\r\ndata:1\n\n\r\n0\r\n\r\n");
    }

    #[tokio::test]
    async fn sending_ends_when_the_client_goes_away() {
        let (reader, end) = duplex(8);
        drop(reader);
        send_chunks(end, Box::pin(stream::pending())).await.unwrap();
    }

    #[tokio::test]
    async fn other_servers_send_it_as_a_normal_body() {
        let response = live(stream::iter(["a", "b"].map(Bytes::from)));
        assert_eq!(axum::body::to_bytes(response.into_body(), 8).await.unwrap(), "ab");
    }
}
