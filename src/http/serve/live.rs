//! Responses whose body is sent piece by piece: server-sent events.
//!
//! Such a connection is idle most of the time, and hyper would keep two buffers of 8 KiB for it. So our listeners take the
//! connection from hyper once the head of the response is written, and write the pieces to the socket themselves. Other
//! servers send the body as any other.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::sync::lock;

/// A comment between events, which readers ignore.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// Time in which a client that is gone refuses a comment.
const REFUSAL_TIME: Duration = Duration::from_millis(100);

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

/// Responds with the pieces of `source`, each of them whole events, as body: each as soon as it is available. The next piece is polled when the one
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
    let mut is_half_closed = false;
    loop {
        let bytes = tokio::select! {
            bytes = source.next() => bytes,
            ended = end_of(&mut connection), if !is_half_closed => {
                ended?;
                if !is_listening(&mut connection).await {
                    return Ok(());
                }
                is_half_closed = true;
                continue;
            }
        };
        match bytes {
            None => break,
            // An empty chunk would end the body.
            Some(bytes) if bytes.is_empty() => {}
            Some(bytes) => send_chunk(&mut connection, bytes).await?,
        }
    }
    connection.write_all(b"0\r\n\r\n").await?;
    connection.shutdown().await
}

async fn send_chunk(connection: &mut (impl AsyncWrite + Unpin), bytes: Bytes) -> io::Result<()> {
    let size = format!("{:x}\r\n", bytes.len());
    let mut chunk = Buf::chain(size.as_bytes(), bytes).chain(&b"\r\n"[..]);
    connection.write_all_buf(&mut chunk).await
}

/// Waits until the client has closed its side. Cancel-safe.
async fn end_of(connection: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut ignored = [0; 64];
    while connection.read(&mut ignored).await? > 0 {}
    Ok(())
}

/// Finds out if a client that has closed its side still takes what is sent: if not, its system refuses the first comment,
/// and the second one cannot be written. Nothing is taken from the source meanwhile.
async fn is_listening(connection: &mut (impl AsyncWrite + Unpin)) -> bool {
    let first = send_chunk(connection, COMMENT).await;
    tokio::time::sleep(REFUSAL_TIME).await;
    first.is_ok() && send_chunk(connection, COMMENT).await.is_ok()
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

    #[tokio::test(start_paused = true)]
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
