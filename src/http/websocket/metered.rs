//! The message that is arriving on a WebSocket: bounded for each connection, and part of the budget of its listener.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::Message as RawFrame;

use crate::memory::Budget;

/// Bytes of a message that do not count towards the budget.
const UNCOUNTED_BYTES_MAX: usize = 4 * 1024;

/// Length of the longest header of a frame.
const HEADER_BYTES: usize = 14;

/// Reason why a message is not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameRefused {
    /// It is longer than this connection may send at the moment.
    #[error("a frame is longer than {bytes_max} bytes")]
    TooLong {
        /// The bound.
        bytes_max: usize,
    },
    /// The messages that all connections of the listener are sending have reached their bound.
    #[error("the listener is reading {bytes_max} bytes already (http.bodies_bytes_max), try again later")]
    Full {
        /// The bound.
        bytes_max: usize,
    },
}

/// Counts the bytes of the message that is arriving on one connection. Used by one task; atomic because two parts of the
/// connection share it.
#[derive(Debug)]
pub(crate) struct FrameMeter {
    arrived_bytes: AtomicUsize,
    counted_bytes: AtomicUsize,
    message_bytes_max: AtomicUsize,
    /// True once a message was refused: the rest is discarded.
    is_discarding: AtomicBool,
    budget: Budget,
}

impl FrameMeter {
    /// Creates the meter of a connection that may send messages of `message_bytes_max`.
    pub(crate) fn new(budget: Budget, message_bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            arrived_bytes: AtomicUsize::new(0),
            counted_bytes: AtomicUsize::new(0),
            message_bytes_max: AtomicUsize::new(message_bytes_max),
            is_discarding: AtomicBool::new(false),
            budget,
        })
    }

    /// Changes the bound of one message.
    pub(crate) fn allow(&self, message_bytes_max: usize) {
        self.message_bytes_max.store(message_bytes_max, Ordering::Relaxed);
    }

    /// Records that a frame was read in full. A control frame may come between the parts of a message.
    pub(super) fn read(&self, frame: &RawFrame) {
        match frame {
            RawFrame::Text(_) | RawFrame::Binary(_) | RawFrame::Close(_) | RawFrame::Frame(_) => self.reset(),
            RawFrame::Ping(payload) | RawFrame::Pong(payload) => {
                let arrived = self.arrived_bytes.load(Ordering::Relaxed);
                self.arrived_bytes.store(arrived.saturating_sub(payload.len() + HEADER_BYTES), Ordering::Relaxed);
            }
        }
    }

    /// Counts bytes that have arrived. Errors: the message is refused.
    fn arrived(&self, bytes: usize) -> Result<(), FrameRefused> {
        if self.is_discarding.load(Ordering::Relaxed) {
            return Ok(());
        }
        let arrived = self.arrived_bytes.load(Ordering::Relaxed) + bytes;
        self.arrived_bytes.store(arrived, Ordering::Relaxed);
        if arrived <= UNCOUNTED_BYTES_MAX {
            return Ok(());
        }
        let bytes_max = self.message_bytes_max.load(Ordering::Relaxed);
        if arrived > bytes_max.saturating_add(HEADER_BYTES) {
            return Err(self.refuse(FrameRefused::TooLong { bytes_max }));
        }
        let counted = self.counted_bytes.load(Ordering::Relaxed);
        let more = arrived.saturating_sub(counted);
        if !self.budget.take(more) {
            return Err(self.refuse(FrameRefused::Full { bytes_max: self.budget.bytes_max() }));
        }
        self.counted_bytes.store(counted + more, Ordering::Relaxed);
        Ok(())
    }

    fn refuse(&self, refused: FrameRefused) -> FrameRefused {
        self.is_discarding.store(true, Ordering::Relaxed);
        self.reset();
        refused
    }

    fn reset(&self) {
        self.arrived_bytes.store(0, Ordering::Relaxed);
        if self.counted_bytes.load(Ordering::Relaxed) > 0 {
            self.budget.give_back(self.counted_bytes.swap(0, Ordering::Relaxed));
        }
    }
}

impl Drop for FrameMeter {
    fn drop(&mut self) {
        self.reset();
    }
}

/// A connection whose incoming bytes are counted.
pub(crate) struct Metered<S> {
    stream: S,
    meter: Arc<FrameMeter>,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S, meter: Arc<FrameMeter>) -> Self {
        Self { stream, meter }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        Poll::Ready(this.meter.arrived(buffer.filled().len() - before).map_err(io::Error::other))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const KIB: usize = 1024;

    #[test]
    fn partial_messages_count_until_they_are_whole() {
        let budget = Budget::new(100 * KIB);
        let (one, other) = (FrameMeter::new(budget.clone(), 64 * KIB), FrameMeter::new(budget.clone(), 64 * KIB));
        assert_eq!((one.arrived(4 * KIB), budget.used()), (Ok(()), 0));
        assert_eq!((one.arrived(50 * KIB), budget.used()), (Ok(()), 54 * KIB));
        // A ping between two parts does not free the first one.
        one.read(&RawFrame::Ping(Bytes::new()));
        assert_eq!(other.arrived(50 * KIB), Err(FrameRefused::Full { bytes_max: 100 * KIB }));
        one.read(&RawFrame::text("x"));
        assert_eq!(budget.used(), 0);
        assert_eq!(one.arrived(64 * KIB), Ok(()));
        assert_eq!(one.arrived(HEADER_BYTES + 1), Err(FrameRefused::TooLong { bytes_max: 64 * KIB }));
        // The rest is read and discarded.
        assert_eq!((one.arrived(KIB * KIB), budget.used()), (Ok(()), 0));
        drop((one, other));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_bound_of_a_message_can_change() {
        let meter = FrameMeter::new(Budget::default(), 8 * KIB);
        meter.allow(16 * KIB);
        assert_eq!(meter.arrived(16 * KIB), Ok(()));
        assert!(meter.arrived(KIB).is_err());
    }
}
