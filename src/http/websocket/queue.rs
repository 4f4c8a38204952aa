//! Frames that wait to be written.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Message as RawFrame, Utf8Bytes};

/// Slow-reader bound: while that many frames wait, nothing is read, because each frame may have to be answered.
const FRAMES_MAX: usize = 4_096;

/// The same in bytes, at the end of a listener. The other end reads whatever waits there, so that never both ends wait.
const LISTENER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longer texts are sent in fragments: the library's write buffer grows to the longest fragment and never shrinks.
const FRAGMENT_BYTES_MAX: usize = 64 * 1024;

/// Outgoing frames of one connection.
pub(crate) struct SendQueue {
    frames: VecDeque<RawFrame>,
    /// Bytes of these frames.
    bytes: usize,
    bytes_max: usize,
    /// The rest of a text that is being sent in fragments.
    rest: Bytes,
}

/// Fill level of a [`SendQueue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueState {
    /// No whole frame waits.
    Empty,
    /// At least one frame waits.
    Waiting,
}

impl Default for SendQueue {
    fn default() -> Self {
        Self { frames: VecDeque::new(), bytes: 0, bytes_max: usize::MAX, rest: Bytes::new() }
    }
}

impl SendQueue {
    /// The queue at the end of a listener.
    pub(super) fn of_listener() -> Self {
        Self { bytes_max: LISTENER_BYTES_MAX, ..Self::default() }
    }

    /// Queues one text frame, which must be UTF-8.
    pub(crate) fn text(&mut self, json: Bytes) {
        let text = Utf8Bytes::try_from(json).expect("names, ids and payloads are UTF-8, and JSON is made of them");
        self.push(RawFrame::Text(text));
    }

    /// Removes every frame of which nothing has been written. A text that is written in part is still completed.
    pub(crate) fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }

    pub(crate) fn state(&self) -> QueueState {
        if self.frames.is_empty() { QueueState::Empty } else { QueueState::Waiting }
    }

    pub(super) fn ping(&mut self, payload: Bytes) {
        self.push(RawFrame::Ping(payload));
    }

    pub(super) fn close(&mut self, frame: CloseFrame) {
        self.push(RawFrame::Close(Some(frame)));
    }

    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= FRAMES_MAX || self.bytes >= self.bytes_max
    }

    /// Returns true if nothing is left to write, fragments included.
    pub(super) fn is_drained(&self) -> bool {
        self.frames.is_empty() && self.rest.is_empty()
    }

    /// Takes the next frame to write: a whole one, or a fragment of a long text.
    pub(super) fn pop(&mut self) -> Option<RawFrame> {
        if !self.rest.is_empty() {
            return Some(self.fragment(Data::Continue));
        }
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        match frame {
            RawFrame::Text(text) if text.len() > FRAGMENT_BYTES_MAX => {
                self.rest = text.into();
                Some(self.fragment(Data::Text))
            }
            frame => Some(frame),
        }
    }

    fn push(&mut self, frame: RawFrame) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    fn fragment(&mut self, kind: Data) -> RawFrame {
        let bytes = self.rest.split_to(self.rest.len().min(FRAGMENT_BYTES_MAX));
        RawFrame::Frame(Frame::message(bytes, OpCode::Data(kind), self.rest.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_sent_in_fragments_and_completed_after_a_clear() {
        let mut queue = SendQueue::default();
        queue.text(vec![b'x'; 2 * FRAGMENT_BYTES_MAX + 1].into());
        queue.text(Bytes::from_static(b"short"));
        let mut lengths = vec![queue.pop().unwrap().len()];
        queue.clear();
        assert_eq!((queue.state(), queue.is_drained()), (QueueState::Empty, false));
        lengths.extend(std::iter::from_fn(|| queue.pop()).map(|frame| frame.len()));
        assert!(lengths.iter().all(|length| *length <= FRAGMENT_BYTES_MAX + 16), "{lengths:?}");
        assert_eq!((lengths.len(), queue.is_drained()), (3, true));
    }

    #[test]
    fn the_queue_of_a_listener_is_full_at_its_bytes() {
        let fill = |mut queue: SendQueue| {
            (0..9).for_each(|_| queue.text(vec![b'x'; LISTENER_BYTES_MAX / 8].into()));
            let is_full = queue.is_full();
            while queue.pop().is_some() {}
            (is_full, queue.is_full(), queue.bytes)
        };
        assert_eq!(fill(SendQueue::of_listener()), (true, false, 0));
        assert_eq!(fill(SendQueue::default()), (false, false, 0));
    }

    #[test]
    fn pings_and_short_texts_are_sent_whole() {
        let mut queue = SendQueue::default();
        queue.ping(Bytes::new());
        queue.text(Bytes::from_static(b"short"));
        assert!(matches!(queue.pop(), Some(RawFrame::Ping(_))));
        assert!(matches!(queue.pop(), Some(RawFrame::Text(text)) if text.as_str() == "short"));
        assert!(queue.pop().is_none());
    }
}
