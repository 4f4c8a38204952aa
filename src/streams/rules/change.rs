//! Changes that decisions make.

use std::sync::Arc;

use bytes::Bytes;

use super::content::Record;
use super::event::LifecycleEvent;
use crate::streams::wire::StreamPath;

/// A change that has to be written, or published. Entries and producers are written as the ledger has them by then, so
/// several changes of one stream in a commit write its entry once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A new stream.
    Created { path: StreamPath },
    /// The entry of a stream has changed.
    Entry { path: StreamPath },
    /// A record was added at the end of a stream's own log.
    Record { path: StreamPath, log: u64, start: u64, record: Record },
    /// The entry of a producer has changed.
    Producer { path: StreamPath, log: u64, id: Arc<str> },
    /// A stream was removed with its log and its producers.
    Removed { path: StreamPath, log: u64 },
    /// Nothing to write: an event to announce.
    Happened(Box<LifecycleEvent>),
    /// The value of a key beside the streams has changed; `None` removes it.
    Value { space: KeySpace, key: Bytes, value: Option<Bytes> },
    /// All keys beside the streams that begin like this were removed.
    Sweep { space: KeySpace, prefix: Bytes },
}

/// A space of keys beside the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KeySpace {
    /// Subscriptions: id to entry.
    Subscriptions,
    /// Links of subscriptions to streams: id and path to entry.
    SubscriptionLinks,
    /// The secret of tokens, and signing keys by their names.
    SubscriptionSecrets,
    /// Single numbers.
    Counters,
}
