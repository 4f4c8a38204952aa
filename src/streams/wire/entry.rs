//! Entries of streams and producers in the store.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use ring::digest;
use serde::{Deserialize, Deserializer, Serialize};

use super::content_type::ContentType;
use super::headers::{Lifetime, ProducerStamp};
use super::layout::{Layout, Segment};
use super::offset::Offset;
use super::path::StreamPath;

/// The length of the log in the key of a producer.
const LOG_BYTES: usize = 8;

/// An entry in the store that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store has {what} that cannot be read: {cause}")]
pub struct EntryError {
    /// The kind of entry.
    pub what: &'static str,
    /// The problem.
    pub cause: String,
}

/// Everything that is stored about a stream, except its content, its tail (the end of its log) and its producers. There may
/// be millions, so parts that few streams have are behind pointers, and are not written when they are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamEntry {
    /// The number of its own log, which no other stream and no other life of this one ever has.
    pub(crate) log: u64,
    /// The era of its own offsets, which no other life of this path ever has; 0 if it is older than eras.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) era: u64,
    pub(crate) content_type: ContentType,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) lifetime: Lifetime,
    pub(crate) created_ms: u64,
    /// The last access, as far as that was written.
    pub(crate) accessed_ms: u64,
    /// The position where its own log begins: 0, or the position of the fork.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) base: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) closed: Option<Closing>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) last_seq: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) origin: Option<Box<Origin>>,
    /// The segments that hold the content before `base`, in order.
    #[serde(default, skip_serializing_if = "is_default", deserialize_with = "segments")]
    pub(crate) inherited: Arc<[Segment]>,
    /// The number of forks that still exist.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) forks: u64,
    /// True if it was deleted, or has expired, and is kept for its forks only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) deleted: bool,
}

/// The close of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Closing {
    /// The request that closed it, if that came from a producer.
    pub(crate) by: Option<Box<ProducerStamp>>,
}

/// The origin of a fork.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) source: String,
    /// The position at which it was forked, without the sub-offset.
    pub(crate) position: u64,
    /// The era of that position in the source.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) era: u64,
    pub(crate) sub_offset: u64,
    /// True if the lifetime is the source's, and not from the request.
    pub(crate) lifetime_inherited: bool,
}

impl Origin {
    /// The offset at which it was forked, without the sub-offset.
    pub(crate) fn offset(&self) -> Offset {
        Offset::at(self.era, self.position)
    }
}

impl StreamEntry {
    /// The parts of its content.
    pub(crate) fn layout(&self) -> Layout<'_> {
        Layout { inherited: &self.inherited, log: self.log, era: self.era }
    }

    /// Moves all of its content to a new era: offsets from before are gone.
    pub(crate) fn move_to(&mut self, era: u64) {
        self.era = era;
        self.inherited = self.inherited.iter().map(|segment| Segment { era, ..*segment }).collect();
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("numbers and texts can be written to memory").into()
    }

    /// Parses the path and the entry of a stream.
    pub(crate) fn read(key: &[u8], value: &[u8]) -> Result<(StreamPath, Self), EntryError> {
        let wrong = |cause: String| EntryError { what: "a stream", cause };
        let path = std::str::from_utf8(key).map_err(|error| wrong(error.to_string()))?;
        let path = StreamPath::stored(path).map_err(|error| wrong(error.to_string()))?;
        let entry = serde_json::from_slice(value).map_err(|error| wrong(format!("{path}: {error}")))?;
        Ok((path, entry))
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// All streams without inherited segments share one empty list.
fn segments<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Arc<[Segment]>, D::Error> {
    let segments = Vec::deserialize(deserializer)?;
    Ok(if segments.is_empty() { Arc::default() } else { segments.into() })
}

/// The entry of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducerEntry {
    pub(crate) epoch: u64,
    pub(crate) last_seq: u64,
    pub(crate) used_ms: u64,
}

impl ProducerEntry {
    pub(crate) fn to_bytes(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(24);
        [self.epoch, self.last_seq, self.used_ms].iter().for_each(|number| bytes.put_u64(*number));
        bytes.freeze()
    }

    pub(crate) fn read(value: &[u8]) -> Result<Self, EntryError> {
        let number = |at: usize| value.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
        let whole = (value.len() == 24).then(|| Some((number(0)?, number(8)?, number(16)?))).flatten();
        let (epoch, last_seq, used_ms) =
            whole.ok_or_else(|| EntryError { what: "a producer", cause: format!("{} bytes, not 24", value.len()) })?;
        Ok(Self { epoch, last_seq, used_ms })
    }
}

/// The key of a producer: the stream's log, then the id.
pub(crate) fn producer_key(log: u64, id: &str) -> Bytes {
    let mut key = BytesMut::with_capacity(LOG_BYTES + id.len());
    key.put_u64(log);
    key.put_slice(id.as_bytes());
    key.freeze()
}

/// The first character of the id under which the store keeps the mark of a forgotten producer. No header can have it.
const FORGOTTEN: char = '\0';

/// The mark of a producer, which stays when it is forgotten: the beginning of the SHA-256 of its id.
pub(crate) fn mark_of(id: &str) -> u64 {
    let hash = digest::digest(&digest::SHA256, id.as_bytes());
    let first = hash.as_ref().first_chunk().expect("a SHA-256 has 32 bytes");
    u64::from_be_bytes(*first)
}

/// The id under which the store keeps the mark of a forgotten producer, in the form of a producer.
pub(crate) fn forgotten_id(mark: u64) -> Arc<str> {
    format!("{FORGOTTEN}{mark:016x}").into()
}

/// The mark in such an id; `None` for the id of a producer.
pub(crate) fn forgotten_mark(id: &str) -> Option<u64> {
    u64::from_str_radix(id.strip_prefix(FORGOTTEN)?, 16).ok()
}

/// The prefix of the keys of all producers of a stream.
pub(crate) fn producers_of(log: u64) -> Bytes {
    Bytes::copy_from_slice(&log.to_be_bytes())
}

/// The log and the id in the key of a producer.
pub(crate) fn log_of_producer_key(key: &[u8]) -> Result<(u64, &str), EntryError> {
    let wrong = |cause: &str| EntryError { what: "a producer", cause: cause.to_owned() };
    let (log, id) = key.split_first_chunk::<LOG_BYTES>().ok_or_else(|| wrong("its key is too short"))?;
    Ok((u64::from_be_bytes(*log), std::str::from_utf8(id).map_err(|_| wrong("its id is not UTF-8"))?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = StreamEntry> {
        let lifetime = prop_oneof![
            Just(Lifetime::Unlimited),
            any::<u64>().prop_map(|ttl_s| Lifetime::Idle { ttl_s }),
            (any::<u64>(), ".{0,10}").prop_map(|(at_ms, text)| Lifetime::Until { at_ms, text: text.into() }),
        ];
        let stamp = (".{1,5}", any::<u64>(), any::<u64>()).prop_map(|(id, epoch, seq)| ProducerStamp {
            id: id.into(),
            epoch,
            seq,
        });
        let closed = prop::option::of(prop::option::of(stamp).prop_map(|by| Closing { by: by.map(Box::new) }));
        let origin = ("[a-z]{1,5}", any::<u64>(), any::<u64>(), any::<bool>()).prop_map(
            |(source, position, sub_offset, lifetime_inherited)| {
                Box::new(Origin { source, position, era: position / 2, sub_offset, lifetime_inherited })
            },
        );
        let segments = prop::collection::vec((any::<u64>(), any::<u64>()), 0..3)
            .prop_map(|pairs| pairs.into_iter().map(|(log, until)| Segment { log, until, era: log / 2 }).collect());
        let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<bool>());
        (numbers, lifetime, closed, prop::option::of(".{0,5}"), prop::option::of(origin), segments).prop_map(
            |((log, created_ms, accessed_ms, base, forks, deleted), lifetime, closed, last_seq, origin, inherited)| {
                StreamEntry {
                    log,
                    era: log / 3,
                    content_type: ContentType::parse("text/plain; charset=utf-8").unwrap(),
                    lifetime,
                    created_ms,
                    accessed_ms,
                    base,
                    closed,
                    last_seq: last_seq.map(Into::into),
                    origin,
                    inherited,
                    forks,
                    deleted,
                }
            },
        )
    }

    #[test]
    fn an_entry_of_the_first_version_which_wrote_absent_parts_is_read() {
        let written = br#"{"log":7,"content_type":"text/plain","lifetime":"unlimited","created_ms":1,"accessed_ms":2,
            "base":0,"closed":null,"last_seq":null,"origin":null,"inherited":[],"forks":0,"deleted":false}"#;
        let (_, entry) = StreamEntry::read(b"a", written).unwrap();
        let now = br#"{"log":7,"content_type":"text/plain","created_ms":1,"accessed_ms":2}"#;
        assert_eq!(entry.to_bytes(), &now[..]);
        assert_eq!(StreamEntry::read(b"a", now).unwrap().1, entry);
    }

    proptest! {
        #[test]
        fn an_entry_is_read_back_and_a_truncated_one_is_not(entry in entry(), cut in 1_usize..200) {
            let bytes = entry.to_bytes();
            prop_assert_eq!(StreamEntry::read(b"a/b", &bytes), Ok(("a/b".try_into().unwrap(), entry)));
            let length = bytes.len() - cut.min(bytes.len());
            prop_assert!(StreamEntry::read(b"a/b", &bytes[..length]).is_err());
        }

        #[test]
        fn a_producer_is_read_back_and_a_truncated_one_is_not(epoch: u64, last_seq: u64, used_ms: u64, log: u64, id in ".{1,9}") {
            let entry = ProducerEntry { epoch, last_seq, used_ms };
            prop_assert_eq!(ProducerEntry::read(&entry.to_bytes()), Ok(entry));
            prop_assert!(ProducerEntry::read(&entry.to_bytes()[..23]).is_err());
            let key = producer_key(log, &id);
            prop_assert_eq!(log_of_producer_key(&key), Ok((log, id.as_str())));
            prop_assert!(key.starts_with(&producers_of(log)));
            prop_assert!(log_of_producer_key(&key[..7]).is_err());
        }

        #[test]
        fn the_mark_of_a_forgotten_producer_is_read_back(mark: u64, id in "[ -~]{1,20}") {
            prop_assert_eq!(forgotten_mark(&forgotten_id(mark)), Some(mark));
            prop_assert_eq!(forgotten_mark(&id), None);
        }

        #[test]
        fn garbage_is_refused_without_a_panic(key in prop::collection::vec(any::<u8>(), 0..40), value in prop::collection::vec(any::<u8>(), 0..40)) {
            StreamEntry::read(&key, &value).ok();
            ProducerEntry::read(&value).ok();
            log_of_producer_key(&key).ok();
        }
    }
}
