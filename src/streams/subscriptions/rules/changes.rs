//! What has to be written of subscriptions, and how it is put back.

use bytes::Bytes;

use super::subscription::{Link, Subscription};
use crate::streams::rules::{Change, KeySpace};
use crate::streams::subscriptions::wire::{SubscriptionId, link_key};
use crate::streams::wire::StreamPath;

/// The key of the secret of tokens.
pub(crate) const TOKENS: &[u8] = b"tokens";

/// What the keys of signing keys begin with: the protocol has it so.
pub(crate) const KEY_PREFIX: &[u8] = b"ds_";

/// The entry as it is now.
pub(super) fn kept(subscription: &Subscription) -> Change {
    let value = Some(subscription.entry.to_bytes());
    Change::Value { space: KeySpace::Subscriptions, key: key_of(&subscription.id), value }
}

/// There is no such subscription any more.
pub(super) fn forgotten(id: &SubscriptionId) -> Change {
    Change::Value { space: KeySpace::Subscriptions, key: key_of(id), value: None }
}

/// The link as it is now.
pub(super) fn link_kept(id: &SubscriptionId, path: &StreamPath, link: &mut Link) -> Change {
    link.written = true;
    Change::Value { space: KeySpace::SubscriptionLinks, key: link_key(id, path), value: Some(link.entry().to_bytes()) }
}

/// There is no such link any more.
pub(super) fn link_forgotten(id: &SubscriptionId, path: &StreamPath) -> Change {
    Change::Value { space: KeySpace::SubscriptionLinks, key: link_key(id, path), value: None }
}

pub(super) fn secret_kept(key: &[u8], value: Bytes) -> Change {
    Change::Value { space: KeySpace::SubscriptionSecrets, key: Bytes::copy_from_slice(key), value: Some(value) }
}

pub(super) fn secret_forgotten(key: &str) -> Change {
    Change::Value { space: KeySpace::SubscriptionSecrets, key: Bytes::copy_from_slice(key.as_bytes()), value: None }
}

fn key_of(id: &SubscriptionId) -> Bytes {
    Bytes::copy_from_slice(id.as_str().as_bytes())
}
