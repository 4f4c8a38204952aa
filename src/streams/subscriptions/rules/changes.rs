//! Changes to what is stored about subscriptions.

use bytes::Bytes;

use super::subscription::{Link, Subscription};
use crate::streams::rules::{Change, KeySpace};
use crate::streams::subscriptions::wire::{KeyEntry, Secret, SubscriptionId, link_key, links_prefix};
use crate::streams::wire::StreamPath;

/// Storage key of the secret that signs tokens.
pub(crate) const TOKEN_SECRET_KEY: &[u8] = b"tokens";

/// Prefix of the names of signing keys, required by the protocol.
pub(crate) const KEY_PREFIX: &[u8] = b"ds_";

/// Stores the current entry of a subscription.
pub(super) fn put_subscription(subscription: &Subscription) -> Change {
    let value = Some(subscription.entry.to_bytes());
    Change::Value { space: KeySpace::Subscriptions, key: subscription_key(&subscription.id), value }
}

pub(super) fn remove_subscription(id: &SubscriptionId) -> Change {
    Change::Value { space: KeySpace::Subscriptions, key: subscription_key(id), value: None }
}

/// Stores the current entry of a link.
pub(super) fn put_link(id: &SubscriptionId, path: &StreamPath, link: &Link) -> Change {
    Change::Value { space: KeySpace::SubscriptionLinks, key: link_key(id, path), value: Some(link.entry().to_bytes()) }
}

pub(super) fn remove_link(id: &SubscriptionId, path: &StreamPath) -> Change {
    Change::Value { space: KeySpace::SubscriptionLinks, key: link_key(id, path), value: None }
}

/// Removes all links of a subscription from the store.
pub(super) fn remove_links(id: &SubscriptionId) -> Change {
    Change::Sweep { space: KeySpace::SubscriptionLinks, prefix: links_prefix(id) }
}

pub(super) fn put_token_secret(secret: &Secret) -> Change {
    put_secret(TOKEN_SECRET_KEY, Bytes::copy_from_slice(&secret.0))
}

pub(super) fn put_signing_key(kid: &str, key: &KeyEntry) -> Change {
    put_secret(kid.as_bytes(), key.to_bytes())
}

pub(super) fn remove_signing_key(kid: &str) -> Change {
    let key = Bytes::copy_from_slice(kid.as_bytes());
    Change::Value { space: KeySpace::SubscriptionSecrets, key, value: None }
}

fn put_secret(key: &[u8], value: Bytes) -> Change {
    Change::Value { space: KeySpace::SubscriptionSecrets, key: Bytes::copy_from_slice(key), value: Some(value) }
}

fn subscription_key(id: &SubscriptionId) -> Bytes {
    Bytes::copy_from_slice(id.as_str().as_bytes())
}
