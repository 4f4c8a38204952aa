//! The events that were encoded last. All followers of a stream are woken together, and most of them get the same events.

use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;

use super::read_view::ReadableStream;
use super::wire::Form;
use crate::sync::lock;

/// Larger events are not cached.
const EVENTS_BYTES_MAX: usize = 64 * 1024;

/// Number of slots. Few enough to need little memory; enough that streams with writes at the same time rarely share one.
const SLOTS: usize = 16;

/// The inputs of the events that bring a follower to the end of a stream, besides the stream itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventKey {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) closed: bool,
    pub(super) cursor: Option<u64>,
    pub(super) form: Form,
}

/// Encoded events, and the bytes after them that wait for what follows: a part of a character, or of a line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CachedEvents {
    pub(super) events: Bytes,
    pub(super) waiting: Bytes,
}

/// The last events of a few streams, at most [`SLOTS`] of them.
#[derive(Debug, Default)]
pub(super) struct EventCache {
    slots: [Mutex<Option<Entry>>; SLOTS],
}

#[derive(Debug)]
struct Entry {
    /// Keeps the address in use, so that no other stream can have it.
    stream: Weak<ReadableStream>,
    key: EventKey,
    cached: CachedEvents,
}

impl EventCache {
    /// Returns the events if they are those that were inserted last for this stream.
    pub(super) fn get(&self, stream: &Arc<ReadableStream>, key: &EventKey) -> Option<CachedEvents> {
        let slot = lock(self.slot(stream));
        let is_same = |entry: &&Entry| entry.key == *key && std::ptr::eq(entry.stream.as_ptr(), &**stream);
        slot.as_ref().filter(is_same).map(|entry| entry.cached.clone())
    }

    /// Replaces the events in the stream's slot, unless these are too large.
    pub(super) fn insert(&self, stream: &Arc<ReadableStream>, key: EventKey, cached: &CachedEvents) {
        if cached.events.len() <= EVENTS_BYTES_MAX {
            let entry = Entry { stream: Arc::downgrade(stream), key, cached: cached.clone() };
            *lock(self.slot(stream)) = Some(entry);
        }
    }

    fn slot(&self, stream: &ReadableStream) -> &Mutex<Option<Entry>> {
        &self.slots[(stream.log % SLOTS as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::wire::StreamEntry;

    fn stream(log: u64) -> Arc<ReadableStream> {
        let entry = format!(r#"{{"log":{log},"content_type":"text/plain","created_ms":0,"accessed_ms":0}}"#);
        let (path, entry) = StreamEntry::read(b"a", entry.as_bytes()).unwrap();
        Arc::new(ReadableStream::new(&path, &entry, 0))
    }

    #[test]
    fn only_the_last_events_of_the_same_stream_and_key_are_found() {
        let (cache, one, other) = (EventCache::default(), stream(7), stream(7));
        let key = EventKey { from: 3, to: 5, closed: false, cursor: Some(9), form: Form::Text };
        let events = CachedEvents { events: Bytes::from_static(b"event: data\n"), waiting: Bytes::new() };
        cache.insert(&one, key, &events);
        assert_eq!(cache.get(&one, &key), Some(events.clone()));
        assert_eq!(cache.get(&other, &key), None);
        let others = [EventKey { from: 4, ..key }, EventKey { to: 6, ..key }, EventKey { closed: true, ..key }];
        let cursors = [EventKey { cursor: None, ..key }, EventKey { cursor: Some(10), ..key }];
        for other in others.into_iter().chain(cursors).chain([EventKey { form: Form::Base64, ..key }]) {
            assert_eq!(cache.get(&one, &other), None, "{other:?}");
        }
        let next = EventKey { from: 5, to: 6, ..key };
        let large = CachedEvents { events: vec![b'x'; EVENTS_BYTES_MAX + 1].into(), ..events.clone() };
        cache.insert(&one, next, &large);
        assert_eq!(cache.get(&one, &next), None, "too large");
        cache.insert(&other, key, &events);
        assert_eq!(cache.get(&one, &key), None, "they share a slot");
        cache.insert(&stream(8), key, &events);
        assert_eq!(cache.get(&other, &key), Some(events), "this one has another slot");
    }
}
