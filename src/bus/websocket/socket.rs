//! The frames of one connection, both ways: reads what is there, then writes what has gathered, with one flush.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message as RawFrame, Utf8Bytes};

/// Frames that are read before what they led to is written.
const READS_MAX: usize = 256;

/// Frames that may wait to be written; beyond that nothing is read, since whatever is read may have to be answered.
const QUEUE_FRAMES_MAX: usize = 4_096;

/// How long the end of a connection may take.
const END: Duration = Duration::from_secs(2);

/// One connection.
pub(super) struct Socket<S> {
    stream: WebSocketStream<S>,
    queue: VecDeque<RawFrame>,
    /// Frames that were read since something was written last.
    read: usize,
    unflushed: bool,
    /// Why nothing can be written any more. What the other end has said about it is read first.
    broken: Option<tungstenite::Error>,
}

/// What happened on a connection.
#[derive(Debug)]
pub(super) enum Traffic {
    /// A frame came.
    Frame(RawFrame),
    /// No further frame is there at this moment: what the last ones led to can be written.
    Pause,
    /// Everything queued so far has left.
    Flushed,
}

/// Whether frames are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Yes.
    On,
    /// There is no room for them: they stay with the network.
    Off,
}

/// How a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With a close frame of this code.
    Polite(CloseCode),
    /// Without. exo 3.9.
    Abrupt,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(super) fn new(stream: WebSocketStream<S>) -> Self {
        Self { stream, queue: VecDeque::new(), read: 0, unflushed: false, broken: None }
    }

    /// Queues one text frame. It is written by [`Socket::exchange`].
    pub(super) fn text(&mut self, json: Bytes) {
        let text = Utf8Bytes::try_from(json).expect("names, ids and payloads are UTF-8, and JSON is made of them");
        self.queue.push_back(RawFrame::Text(text));
    }

    /// Queues the question for a sign of life.
    pub(super) fn ping(&mut self) {
        self.queue.push_back(RawFrame::Ping(Bytes::new()));
    }

    /// Whether nothing is queued any more, so that more may be.
    pub(super) fn has_room(&self) -> bool {
        self.queue.is_empty()
    }

    /// Waits for the next thing to happen: reads, and writes what is queued. Cancel-safe. Errors: the connection ended.
    pub(super) async fn exchange(&mut self, reading: Reading) -> Result<Traffic, tungstenite::Error> {
        poll_fn(|context| self.poll(context, reading)).await
    }

    fn poll(&mut self, context: &mut Context<'_>, reading: Reading) -> Poll<Result<Traffic, tungstenite::Error>> {
        // While frames come in one after the other, what they lead to is gathered; otherwise writing comes first.
        if self.read == 0 && self.broken.is_none() {
            match self.poll_write(context) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(Traffic::Flushed)),
                Poll::Ready(Err(error)) => self.broken = Some(error),
                Poll::Pending => {}
            }
        }
        if self.read < READS_MAX && reading == Reading::On && self.queue.len() < QUEUE_FRAMES_MAX {
            match self.stream.poll_next_unpin(context)? {
                Poll::Ready(Some(frame)) => {
                    self.read += 1;
                    return Poll::Ready(Ok(Traffic::Frame(frame)));
                }
                Poll::Ready(None) => return Poll::Ready(Err(tungstenite::Error::ConnectionClosed)),
                Poll::Pending => {}
            }
        }
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Err(error));
        }
        if self.read > 0 {
            self.read = 0;
            return Poll::Ready(Ok(Traffic::Pause));
        }
        Poll::Pending
    }

    /// Ready when something was queued and all of it has left now.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), tungstenite::Error>> {
        while !self.queue.is_empty() {
            if self.stream.poll_ready_unpin(context)?.is_pending() {
                return Poll::Pending;
            }
            if let Some(frame) = self.queue.pop_front() {
                self.stream.start_send_unpin(frame)?;
                self.unflushed = true;
            }
        }
        if !self.unflushed || self.stream.poll_flush_unpin(context)?.is_pending() {
            return Poll::Pending;
        }
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Ends the connection: what is queued leaves first, and the other end has a moment to end it too, so that nothing
    /// that is on its way gets lost. What comes meanwhile is not looked at.
    pub(super) async fn end(mut self, ending: Ending) {
        let end = async {
            self.flush().await?;
            match ending {
                Ending::Polite(code) => self.close(code).await,
                Ending::Abrupt => self.hang_up().await,
            }
        };
        match tokio::time::timeout(END, end).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the connection ended before it was closed"),
            Err(_) => tracing::debug!("the other end did not close its half in time"),
        }
    }

    async fn flush(&mut self) -> Result<(), tungstenite::Error> {
        while self.unflushed || !self.queue.is_empty() {
            // Reading too: the other end may wait for that before it reads.
            self.exchange(Reading::On).await?;
        }
        Ok(())
    }

    async fn close(&mut self, code: CloseCode) -> Result<(), tungstenite::Error> {
        self.stream.send(RawFrame::Close(Some(CloseFrame { code, reason: Utf8Bytes::default() }))).await?;
        while let Some(frame) = self.stream.next().await {
            frame?;
        }
        Ok(())
    }

    /// Ends our half, and waits for the end of the other. A socket that is closed with unread data is reset, and takes
    /// with it what the other end has not read yet.
    async fn hang_up(&mut self) -> Result<(), tungstenite::Error> {
        let stream = self.stream.get_mut();
        stream.shutdown().await?;
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        Ok(())
    }
}
