//! Frames of one connection, in both directions: reads the frames that have arrived, then writes those they led to with
//! one flush.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::sink::Sink;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message as RawFrame, Utf8Bytes};

use super::metered::FrameMeter;
use super::queue::SendQueue;

/// Frames that are read before their answers are written.
const READS_MAX: usize = 256;

/// Buffer for bytes that are discarded after the end.
const DISCARD_BYTES: usize = 16 * 1024;

/// Payload of the ping behind the last frame before a reset.
const LAST_PING: Bytes = Bytes::from_static(b"last");

/// Timeout for closing a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A WebSocket with its queue of outgoing frames.
pub(crate) struct Socket<S> {
    stream: WebSocketStream<S>,
    queue: SendQueue,
    /// Counts what arrives, at the end of a listener.
    meter: Option<Arc<FrameMeter>>,
    /// Number of frames read since the last write.
    read: usize,
    unflushed: bool,
    /// True if nothing can be read any more.
    ended: bool,
    /// Error of a write. It is reported once all frames that the other end had sent before are read: they may say why.
    broken: Option<tungstenite::Error>,
}

/// Progress of a connection.
#[derive(Debug)]
pub(crate) enum Traffic {
    /// A frame was read.
    Frame(RawFrame),
    /// No further frame has arrived yet, so the answers to the last ones can be written.
    Pause,
    /// Everything queued has been written.
    Flushed,
}

/// Says if frames may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// They may.
    On,
    /// They stay in the network, because their receiver cannot take any.
    Off,
}

/// Manner of closing a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With a close frame.
    Polite(CloseFrame),
    /// With the answer to the other end's close frame.
    Answer,
    /// Without a close frame. exo 3.9.
    Abrupt,
    /// Without a close frame, and without ending our half: the socket is dropped once the other end has read what was sent
    /// to it. exo 8.
    Reset,
}

impl Ending {
    /// A close frame with this code and no reason.
    pub(crate) fn polite(code: CloseCode) -> Self {
        Self::Polite(CloseFrame { code, reason: Utf8Bytes::default() })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(crate) fn new(stream: WebSocketStream<S>) -> Self {
        let queue = SendQueue::default();
        Self { stream, queue, meter: None, read: 0, unflushed: false, ended: false, broken: None }
    }

    /// A socket of a listener, whose messages are counted by `meter` while they arrive.
    pub(crate) fn metered(stream: WebSocketStream<S>, meter: Arc<FrameMeter>) -> Self {
        Self { meter: Some(meter), queue: SendQueue::of_listener(), ..Self::new(stream) }
    }

    pub(crate) fn queue(&mut self) -> &mut SendQueue {
        &mut self.queue
    }

    /// Reads frames and writes queued ones until there is progress to report. Cancel-safe. Errors: the connection ended.
    pub(super) async fn exchange(&mut self, reading: Reading) -> Result<Traffic, tungstenite::Error> {
        poll_fn(|context| self.poll(context, reading)).await
    }

    fn poll(&mut self, context: &mut Context<'_>, reading: Reading) -> Poll<Result<Traffic, tungstenite::Error>> {
        // While one frame arrives after the other, their answers are gathered; otherwise writing comes first.
        if self.read == 0 && self.broken.is_none() {
            match self.poll_write(context) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(Traffic::Flushed)),
                Poll::Ready(Err(error)) => self.broken = Some(error),
                Poll::Pending => {}
            }
        }
        if self.read < READS_MAX && reading == Reading::On && !self.queue.is_full() {
            match self.poll_read(context)? {
                Poll::Ready(frame) => return Poll::Ready(Ok(Traffic::Frame(frame))),
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

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<RawFrame, tungstenite::Error>> {
        let frame = ready!(self.stream.poll_next_unpin(context));
        match &frame {
            Some(Ok(frame)) => {
                self.read += 1;
                if let Some(meter) = &self.meter {
                    meter.read(frame);
                }
                // The library has prepared the pong; it is sent with the next flush.
                self.unflushed |= matches!(frame, RawFrame::Ping(_));
            }
            Some(Err(_)) | None => self.ended = true,
        }
        Poll::Ready(frame.unwrap_or(Err(tungstenite::Error::ConnectionClosed)))
    }

    /// Ready once something was queued and all of it is written.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), tungstenite::Error>> {
        while !self.queue.is_drained() {
            ready!(self.sink().poll_ready(context))?;
            if let Some(frame) = self.queue.pop() {
                self.sink().start_send(frame)?;
                self.unflushed = true;
            }
        }
        if !self.unflushed || self.sink().poll_flush(context)?.is_pending() {
            return Poll::Pending;
        }
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn sink(&mut self) -> Pin<&mut WebSocketStream<S>> {
        Pin::new(&mut self.stream)
    }

    /// Closes the connection within 2 seconds. Queued frames are written first, and the other end gets the time to close
    /// its half, so that frames on their way are not lost. Frames that arrive meanwhile are discarded.
    pub(crate) async fn close(&mut self, ending: Ending) {
        match tokio::time::timeout(CLOSE_TIMEOUT, self.finish(ending)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the connection broke while it was being closed"),
            Err(_) => tracing::debug!("the other end did not close its half in time"),
        }
    }

    async fn finish(&mut self, ending: Ending) -> Result<(), tungstenite::Error> {
        match ending {
            Ending::Polite(frame) => {
                self.queue.close(frame);
                self.flush().await?;
                self.discard_frames().await;
            }
            // The library has prepared the answer; reading on sends it.
            Ending::Answer => self.discard_frames().await,
            Ending::Abrupt => self.flush().await?,
            Ending::Reset => return self.flush_and_await_reading().await,
        }
        self.shut_down().await
    }

    async fn flush(&mut self) -> Result<(), tungstenite::Error> {
        while self.unflushed || !self.queue.is_drained() {
            // Also reads: the other end may read only after its own frames are read.
            let reading = if self.ended { Reading::Off } else { Reading::On };
            self.exchange(reading).await?;
        }
        Ok(())
    }

    /// Writes what is queued, and waits until the other end has read it: a reset discards what is still on its way. The pong
    /// to a ping behind the last frame shows that. Frames that arrive meanwhile are discarded.
    async fn flush_and_await_reading(&mut self) -> Result<(), tungstenite::Error> {
        if self.ended {
            return self.flush().await;
        }
        self.queue.ping(LAST_PING);
        loop {
            if let Traffic::Frame(RawFrame::Pong(payload)) = self.exchange(Reading::On).await?
                && payload == LAST_PING
            {
                return Ok(());
            }
        }
    }

    /// Reads until the other end has sent its last frame.
    async fn discard_frames(&mut self) {
        while !self.ended && poll_fn(|context| self.poll_read(context)).await.is_ok() {}
    }

    /// Ends our half and waits for the end of the other. Closing a socket with unread data would reset it, and the other
    /// end would lose what it has not read yet.
    async fn shut_down(&mut self) -> Result<(), tungstenite::Error> {
        let stream = self.stream.get_mut();
        stream.shutdown().await?;
        let mut discarded = vec![0; DISCARD_BYTES];
        while stream.read(&mut discarded).await? > 0 {}
        Ok(())
    }
}
