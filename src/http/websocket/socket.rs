//! The frames of one WebSocket, both ways: reads what is there, then writes what has gathered, with one flush.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::sink::Sink;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{self, Message as RawFrame, Utf8Bytes};

/// Frames that are read before what they led to is written.
const READS_MAX: usize = 256;

/// Frames that may wait to be written; beyond that nothing is read, since whatever is read may have to be answered.
const QUEUE_FRAMES_MAX: usize = 4_096;

/// Longer texts leave in pieces: the library's buffer grows to the longest piece it has ever written, and stays so.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// How much is thrown away at once of what comes after the end.
const UNREAD_BYTES: usize = 16 * 1024;

/// How long the end of a connection may take.
const END: Duration = Duration::from_secs(2);

/// One connection.
pub(crate) struct Socket<S> {
    stream: WebSocketStream<S>,
    queue: VecDeque<RawFrame>,
    /// What has not left yet of a text that leaves in pieces.
    rest: Bytes,
    /// Frames that were read since something was written last.
    read: usize,
    unflushed: bool,
    /// Nothing can be read any more.
    ended: bool,
    /// Why nothing can be written any more. What the other end has said about it is read first.
    broken: Option<tungstenite::Error>,
}

/// What happened on a connection.
#[derive(Debug)]
pub(crate) enum Traffic {
    /// A frame came.
    Frame(RawFrame),
    /// No further frame is there at this moment: what the last ones led to can be written.
    Pause,
    /// Everything queued so far has left.
    Flushed,
}

/// Whether frames are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Yes.
    On,
    /// There is no room for them: they stay with the network.
    Off,
}

/// How a connection is ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With a close frame.
    Polite(CloseFrame),
    /// With the answer to the other end's close frame.
    Answer,
    /// Without a word. exo 3.9.
    Abrupt,
}

impl Ending {
    /// A close frame of this code, without a reason.
    pub(crate) fn polite(code: CloseCode) -> Self {
        Self::Polite(CloseFrame { code, reason: Utf8Bytes::default() })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(crate) fn new(stream: WebSocketStream<S>) -> Self {
        let (queue, rest) = (VecDeque::new(), Bytes::new());
        Self { stream, queue, rest, read: 0, unflushed: false, ended: false, broken: None }
    }

    /// Queues one text frame. It is written by [`Socket::exchange`].
    pub(crate) fn text(&mut self, json: Bytes) {
        let text = Utf8Bytes::try_from(json).expect("names, ids and payloads are UTF-8, and JSON is made of them");
        self.queue.push_back(RawFrame::Text(text));
    }

    /// Queues the question for a sign of life.
    pub(crate) fn ping(&mut self) {
        self.queue.push_back(RawFrame::Ping(Bytes::new()));
    }

    /// Forgets what is queued. What has left in part still leaves as a whole.
    pub(crate) fn forget(&mut self) {
        self.queue.clear();
    }

    /// Whether nothing is queued any more, so that more may be.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.is_empty()
    }

    /// Waits for the next thing to happen: reads, and writes what is queued. Cancel-safe. Errors: the connection ended.
    pub(crate) async fn exchange(&mut self, reading: Reading) -> Result<Traffic, tungstenite::Error> {
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
        let frame = std::task::ready!(self.stream.poll_next_unpin(context));
        match &frame {
            Some(Ok(frame)) => {
                self.read += 1;
                // The library has the answer to a ping ready; it goes with the next flush.
                self.unflushed |= matches!(frame, RawFrame::Ping(_));
            }
            Some(Err(_)) | None => self.ended = true,
        }
        Poll::Ready(frame.unwrap_or(Err(tungstenite::Error::ConnectionClosed)))
    }

    /// Ready when something was queued and all of it has left now.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), tungstenite::Error>> {
        while !self.queue.is_empty() || !self.rest.is_empty() {
            std::task::ready!(self.sink().poll_ready(context))?;
            if let Some(frame) = self.next_piece() {
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

    fn sink(&mut self) -> std::pin::Pin<&mut WebSocketStream<S>> {
        std::pin::Pin::new(&mut self.stream)
    }

    /// What leaves next: a whole frame, or a piece of a long text.
    fn next_piece(&mut self) -> Option<RawFrame> {
        let piece = |rest: &mut Bytes, data: Data| {
            let bytes = rest.split_to(rest.len().min(PIECE_BYTES_MAX));
            RawFrame::Frame(Frame::message(bytes, OpCode::Data(data), rest.is_empty()))
        };
        if !self.rest.is_empty() {
            return Some(piece(&mut self.rest, Data::Continue));
        }
        match self.queue.pop_front()? {
            RawFrame::Text(text) if text.len() > PIECE_BYTES_MAX => {
                self.rest = text.into();
                Some(piece(&mut self.rest, Data::Text))
            }
            frame => Some(frame),
        }
    }

    /// Ends the connection: what is queued leaves first, and the other end has a moment to end it too, so that nothing
    /// that is on its way gets lost. What comes meanwhile is not looked at.
    pub(crate) async fn end(&mut self, ending: Ending) {
        match tokio::time::timeout(END, self.leave(ending)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the connection ended before it was closed"),
            Err(_) => tracing::debug!("the other end did not close its half in time"),
        }
    }

    async fn leave(&mut self, ending: Ending) -> Result<(), tungstenite::Error> {
        match ending {
            Ending::Polite(frame) => {
                self.queue.push_back(RawFrame::Close(Some(frame)));
                self.flush().await?;
                self.read_on().await;
            }
            // The library has the answer ready; reading on sends it.
            Ending::Answer => self.read_on().await,
            Ending::Abrupt => self.flush().await?,
        }
        self.hang_up().await
    }

    async fn flush(&mut self) -> Result<(), tungstenite::Error> {
        while self.unflushed || !self.queue.is_empty() || !self.rest.is_empty() {
            // Reading too: the other end may wait for that before it reads.
            let reading = if self.ended { Reading::Off } else { Reading::On };
            self.exchange(reading).await?;
        }
        Ok(())
    }

    /// Waits until the other end has said all it has to say.
    async fn read_on(&mut self) {
        while !self.ended && poll_fn(|context| self.poll_read(context)).await.is_ok() {}
    }

    /// Ends our half, and waits for the end of the other. A socket that is closed with unread data is reset, and takes
    /// with it what the other end has not read yet.
    async fn hang_up(&mut self) -> Result<(), tungstenite::Error> {
        let stream = self.stream.get_mut();
        stream.shutdown().await?;
        let mut unread = vec![0; UNREAD_BYTES];
        while stream.read(&mut unread).await? > 0 {}
        Ok(())
    }
}
