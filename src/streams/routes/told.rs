//! What was told last: the followers of a stream are woken together, and most of them are told the same.
//!
//! Each thread remembers its last one, so nothing is shared between threads and nothing is kept for a stream.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::streams::read_view::ReadableStream;

/// Longer events are not kept.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// What decides about the events that bring a follower to the end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) closed: bool,
    pub(super) cursor: Option<u64>,
}

struct Told {
    /// Keeps its place in memory, so that no other life of a stream is taken for it.
    shown: Weak<ReadableStream>,
    step: Step,
    events: Bytes,
}

thread_local! {
    static LAST: RefCell<Option<Told>> = const { RefCell::new(None) };
}

/// The events of this step, if they were told last.
pub(super) fn again(shown: &Arc<ReadableStream>, step: &Step) -> Option<Bytes> {
    LAST.with_borrow(|last| {
        let last = last.as_ref().filter(|last| last.step == *step && std::ptr::eq(last.shown.as_ptr(), &**shown))?;
        Some(last.events.clone())
    })
}

/// Remembers them.
pub(super) fn remember(shown: &Arc<ReadableStream>, step: Step, events: &Bytes) {
    if events.len() <= KEPT_BYTES_MAX {
        LAST.set(Some(Told { shown: Arc::downgrade(shown), step, events: events.clone() }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::wire::StreamEntry;

    fn shown() -> Arc<ReadableStream> {
        let entry = r#"{"log":7,"content_type":"text/plain","created_ms":0,"accessed_ms":0}"#;
        let (path, entry) = StreamEntry::read(b"a", entry.as_bytes()).unwrap();
        Arc::new(ReadableStream::new(&path, &entry, 0))
    }

    #[test]
    fn the_same_step_of_the_same_life_is_told_again_and_nothing_else() {
        let (one, other) = (shown(), shown());
        let step = Step { from: 3, to: 5, closed: false, cursor: Some(9) };
        let events = Bytes::from_static(b"event: data\n");
        remember(&one, step, &events);
        assert_eq!(again(&one, &step), Some(events.clone()));
        assert_eq!(again(&other, &step), None);
        let others = [Step { from: 4, ..step }, Step { to: 6, ..step }, Step { closed: true, ..step }];
        for other in others.into_iter().chain([Step { cursor: None, ..step }, Step { cursor: Some(10), ..step }]) {
            assert_eq!(again(&one, &other), None, "{other:?}");
        }
        remember(&one, Step { from: 5, to: 6, ..step }, &vec![b'x'; KEPT_BYTES_MAX + 1].into());
        assert_eq!(again(&one, &Step { from: 5, to: 6, ..step }), None, "too long");
        remember(&other, step, &events);
        assert_eq!(again(&one, &step), None, "one is remembered");
    }
}
