//! Answers that follow something: their body comes bit by bit, for as long as it lasts.
//!
//! Whoever follows waits most of its time. hyper keeps two buffers of 8 KiB for its connection meanwhile, and the state of a
//! request that is answered already. So once the head of such an answer is written, our listeners take the connection from
//! hyper and write what comes straight to the socket. Any other server sends the same body as every body.

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

/// Where the body of a live answer comes from.
pub(super) type Source = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// The source of a live answer, for whoever sends it: an extension of the answer, and its body.
#[derive(Clone)]
pub(super) struct Live(Arc<Mutex<Option<Source>>>);

impl Live {
    /// The source; what is left behind is a body that never comes.
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

/// An answer whose body is what comes out of `source`, each piece as soon as it comes. The source is asked for the next
/// one when those before are sent.
pub(crate) fn live(source: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let live = Live(Arc::new(Mutex::new(Some(Box::pin(source)))));
    let mut response = Response::new(Body::from_stream(live.clone()));
    response.extensions_mut().insert(live);
    response
}

/// Sends the body of a live answer whose head is written, in chunks. Returns when it is sent, or the other end has gone;
/// then the connection is of no use any more. What the other end sends meanwhile is not read by anybody. RFC 9112 7.1.
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
            // An empty chunk would be the last.
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

/// Waits until the other end has closed its side. Cancel-safe.
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
    async fn whoever_goes_away_is_not_waited_for() {
        let (reader, end) = duplex(8);
        drop(reader);
        send_chunks(end, Box::pin(stream::pending())).await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_knows_nothing_of_it_sends_it_as_every_body() {
        let response = live(stream::iter(["a", "b"].map(Bytes::from)));
        assert_eq!(axum::body::to_bytes(response.into_body(), 8).await.unwrap(), "ab");
    }
}
