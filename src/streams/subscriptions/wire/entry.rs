//! Store entries of subscriptions.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::id::SubscriptionId;
use super::request::Terms;
use crate::streams::wire::{EntryError, Offset, StreamPath};

/// Path of the root of all streams, unless their router is part of another one.
const MOUNT: &str = "/v1/stream";

/// Separates id and path in the key of a link; neither can contain it.
const SEPARATOR: u8 = 0;

/// The stored state of a subscription, without its links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SubscriptionEntry {
    pub(crate) terms: Terms,
    /// Path of the root of all streams, such as `/v1/stream`. Entries of earlier versions have a URL, whose host the creator of
    /// the subscription chose: only its path is read.
    #[serde(rename = "base", deserialize_with = "path_of_base")]
    pub(crate) mount: String,
    pub(crate) created_ms: u64,
    /// First log id that was not used yet when it was created: streams with this or a later one are newer.
    pub(crate) since_log: u64,
    /// Unique among all subscriptions, including deleted ones.
    pub(crate) nonce: Arc<str>,
    /// Number of wakes so far.
    pub(crate) generation: u64,
    /// State of the current wake; `None` if the last one has ended.
    pub(crate) wake: Option<WakeState>,
    /// True if a stream that the pattern matches and that has no link counts as read. In earlier versions it counted as unread
    /// if it was newer than the subscription.
    #[serde(default)]
    pub(crate) lazy_links: bool,
}

/// The state of a wake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WakeState {
    /// It will be delivered at `next_ms`, after `attempts` failed attempts.
    Due { attempts: u32, next_ms: u64 },
    /// Its event is in the wake stream; no worker has claimed it yet.
    Announced,
    /// It is leased until `until_ms` to a worker, or to the receiver of a webhook, which has no name.
    Held { worker: Option<Arc<str>>, until_ms: u64 },
}

/// The stored state of a link to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LinkEntry {
    /// The incarnation of the stream; `None` if the stream did not exist yet.
    pub(crate) log: Option<u64>,
    /// The position of the acknowledged offset; `None` is "-1".
    acked: Option<u64>,
    /// The era of the acknowledged offset.
    #[serde(default, skip_serializing_if = "is_zero")]
    era: u64,
    /// True if the stream was linked by name.
    pub(crate) explicit: bool,
}

/// A key pair that signs webhooks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyEntry {
    /// Base64 of the key pair in PKCS#8.
    pub(crate) pkcs8: String,
    /// URL-safe base64, without padding, of the public key.
    pub(crate) x: String,
    pub(crate) created_ms: u64,
    /// The time at which a newer key replaced it.
    pub(crate) replaced_ms: Option<u64>,
}

impl SubscriptionEntry {
    pub(crate) fn to_bytes(&self) -> Bytes {
        serialize(self)
    }

    /// Reads an entry. Errors: it is malformed.
    pub(crate) fn read(key: &[u8], value: &[u8]) -> Result<(SubscriptionId, Self), EntryError> {
        let id = std::str::from_utf8(key).ok().and_then(|text| SubscriptionId::parse(text).ok());
        let id = id.ok_or_else(|| EntryError { what: "a subscription", cause: "its id is malformed".to_owned() })?;
        let entry = read("a subscription", &id, value)?;
        Ok((id, entry))
    }
}

/// Reads the path of the root of all streams, or the URL in its place.
fn path_of_base<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let base = String::deserialize(deserializer)?;
    Ok(if base.contains("://") { MOUNT.to_owned() } else { base })
}

fn is_zero(era: &u64) -> bool {
    *era == 0
}

impl LinkEntry {
    pub(crate) fn new(log: Option<u64>, acked: Option<Offset>, explicit: bool) -> Self {
        Self { log, acked: acked.map(Offset::position), era: acked.map_or(0, Offset::era), explicit }
    }

    /// The acknowledged offset; `None` is "-1".
    pub(crate) fn acked(&self) -> Option<Offset> {
        self.acked.map(|position| Offset::at(self.era, position))
    }

    pub(crate) fn to_bytes(self) -> Bytes {
        serialize(&self)
    }

    /// Reads an entry. Errors: it is malformed.
    pub(crate) fn read(path: &StreamPath, value: &[u8]) -> Result<Self, EntryError> {
        read("a link of a subscription", path, value)
    }
}

impl KeyEntry {
    pub(crate) fn to_bytes(&self) -> Bytes {
        serialize(self)
    }

    /// Reads an entry. Errors: it is malformed.
    pub(crate) fn read(kid: &str, value: &[u8]) -> Result<Self, EntryError> {
        read("a signing key", &kid, value)
    }
}

/// Returns the store key of a link.
pub(crate) fn link_key(id: &SubscriptionId, path: &StreamPath) -> Bytes {
    let mut key = BytesMut::with_capacity(id.as_str().len() + 1 + path.as_str().len());
    key.put_slice(id.as_str().as_bytes());
    key.put_u8(SEPARATOR);
    key.put_slice(path.as_str().as_bytes());
    key.freeze()
}

/// Returns the prefix of the store keys of all links of a subscription.
pub(crate) fn links_prefix(id: &SubscriptionId) -> Bytes {
    let mut prefix = BytesMut::with_capacity(id.as_str().len() + 1);
    prefix.put_slice(id.as_str().as_bytes());
    prefix.put_u8(SEPARATOR);
    prefix.freeze()
}

/// Parses the store key of a link. Errors: it is malformed.
pub(crate) fn link_of(key: &[u8]) -> Result<(SubscriptionId, StreamPath), EntryError> {
    let wrong = |cause: &str| EntryError { what: "a link of a subscription", cause: cause.to_owned() };
    let text = std::str::from_utf8(key).map_err(|_| wrong("its key is not UTF-8"))?;
    let (id, path) = text.split_once(char::from(SEPARATOR)).ok_or_else(|| wrong("its key has no path"))?;
    let id = SubscriptionId::parse(id).map_err(|error| wrong(&error.to_string()))?;
    let path = StreamPath::stored(path).map_err(|error| wrong(&error.to_string()))?;
    Ok((id, path))
}

fn serialize(entry: &impl Serialize) -> Bytes {
    serde_json::to_vec(entry).expect("numbers and strings always serialize").into()
}

fn read<T: DeserializeOwned>(what: &'static str, name: &impl ToString, value: &[u8]) -> Result<T, EntryError> {
    serde_json::from_slice(value).map_err(|error| EntryError { what, cause: format!("{}: {error}", name.to_string()) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Delivery, Pattern};
    use super::*;

    fn wake_state() -> impl Strategy<Value = WakeState> {
        prop_oneof![
            (any::<u32>(), any::<u64>()).prop_map(|(attempts, next_ms)| WakeState::Due { attempts, next_ms }),
            Just(WakeState::Announced),
            (prop::option::of(".{1,5}"), any::<u64>())
                .prop_map(|(worker, until_ms)| WakeState::Held { worker: worker.map(Into::into), until_ms }),
        ]
    }

    fn path() -> impl Strategy<Value = StreamPath> {
        "[a-z*]{1,3}(/[a-z*]{1,3}){0,2}".prop_map(|text| StreamPath::parse(&text).unwrap())
    }

    fn terms() -> impl Strategy<Value = Terms> {
        let delivery = prop_oneof![
            ".{0,9}".prop_map(|url| Delivery::Webhook { url }),
            path().prop_map(|stream| Delivery::PullWake { stream }),
        ];
        let pattern = prop::option::of(prop::sample::select(vec!["a/*", "**", "a/**/b"]));
        let streams = prop::collection::btree_set(path(), 0..4);
        (delivery, pattern, streams, any::<u64>(), prop::option::of(".{0,9}")).prop_map(
            |(delivery, pattern, streams, lease_ttl_ms, description)| {
                let pattern = pattern.map(|text| Pattern::parse(text).unwrap());
                Terms { delivery, pattern, streams, lease_ttl_ms, description }
            },
        )
    }

    fn entry() -> impl Strategy<Value = SubscriptionEntry> {
        let numbers = (any::<u64>(), any::<u64>(), any::<u64>());
        (terms(), "/[a-z/]{0,9}", "[0-9a-f]{1,9}", numbers, prop::option::of(wake_state()), any::<bool>()).prop_map(
            |(terms, mount, nonce, (created_ms, since_log, generation), wake, lazy_links)| {
                let nonce = nonce.into();
                SubscriptionEntry { terms, mount, created_ms, since_log, nonce, generation, wake, lazy_links }
            },
        )
    }

    proptest! {
        #[test]
        fn a_subscription_is_read_back_and_a_truncated_one_is_not(entry in entry(), cut in 1_usize..200) {
            let bytes = entry.to_bytes();
            prop_assert_eq!(SubscriptionEntry::read(b"s", &bytes), Ok((SubscriptionId::parse("s").unwrap(), entry)));
            prop_assert!(SubscriptionEntry::read(b"s", &bytes[..bytes.len() - cut.min(bytes.len())]).is_err());
        }

        #[test]
        fn a_link_is_read_back_and_a_truncated_one_is_not(
            log: Option<u64>, acked in prop::option::of((0..9_u64, 0..99_u64)), explicit: bool, path in path(), id in "[^/\\pC]{1,9}", cut in 1_usize..20,
        ) {
            let (entry, id) = (LinkEntry::new(log, acked.map(|(era, position)| Offset::at(era, position)), explicit), SubscriptionId::parse(&id).unwrap());
            let bytes = entry.to_bytes();
            prop_assert_eq!(LinkEntry::read(&path, &bytes), Ok(entry));
            prop_assert!(LinkEntry::read(&path, &bytes[..bytes.len() - cut]).is_err());
            prop_assert!(link_key(&id, &path).starts_with(&links_prefix(&id)));
            prop_assert_eq!(link_of(&link_key(&id, &path)), Ok((id, path)));
        }

        #[test]
        fn garbage_is_refused_without_a_panic(key in prop::collection::vec(any::<u8>(), 0..40), value in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(SubscriptionEntry::read(&key, &value).is_err());
            prop_assert!(KeyEntry::read("ds_1", &value).is_err());
            LinkEntry::read(&StreamPath::parse("a").unwrap(), &value).ok();
            link_of(&key).ok();
        }
    }
}
