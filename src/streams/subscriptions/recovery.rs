//! Reading subscriptions back from the store.

use super::rules::{KEY_PREFIX, SubscriptionLimits, SubscriptionSet, TOKEN_SECRET_KEY};
use super::wire::{KeyEntry, LinkEntry, Secret, SubscriptionEntry, link_of};
use crate::store::Store;
use crate::streams::commit::table_of;
use crate::streams::config::Config;
use crate::streams::error::Error;
use crate::streams::recovery::each;
use crate::streams::rules::{KeySpace, Ledger};
use crate::streams::wire::EntryError;

/// Reads all subscriptions and brings them up to date with `ledger`.
pub(super) fn recover(
    store: &dyn Store,
    config: &Config,
    ledger: &mut Ledger,
    now_ms: u64,
) -> Result<SubscriptionSet, Error> {
    let mut set = SubscriptionSet::new(limits(config));
    each(store, table_of(KeySpace::SubscriptionSecrets), |key, value| {
        if key.starts_with(KEY_PREFIX) {
            let kid = String::from_utf8_lossy(key).into_owned();
            let entry = KeyEntry::read(&kid, value)?;
            set.keys.restore_key(kid, entry);
        } else if key == TOKEN_SECRET_KEY {
            let wrong = |_| EntryError { what: "the token secret", cause: format!("{} bytes", value.len()) };
            set.keys.restore_secret(Secret(value.try_into().map_err(wrong)?));
        }
        Ok(())
    })?;
    each(store, table_of(KeySpace::Subscriptions), |key, value| {
        let (id, entry) = SubscriptionEntry::read(key, value)?;
        // Newer streams are recognized by a larger log id, even if the clock that numbers them was set back.
        ledger.skip_logs(entry.since_log);
        set.restore((now_ms, ledger), id, entry);
        Ok(())
    })?;
    each(store, table_of(KeySpace::SubscriptionLinks), |key, value| {
        let (id, path) = link_of(key)?;
        let entry = LinkEntry::read(&path, value)?;
        set.restore_link(&id, path, entry);
        Ok(())
    })?;
    set.catch_up(ledger);
    Ok(set)
}

fn limits(config: &Config) -> SubscriptionLimits {
    SubscriptionLimits {
        subscriptions_max: config.subscriptions_max,
        links_max: config.subscriptions_links_max,
        bytes_max: config.subscriptions_bytes_max,
        wake_streams_max: config.subscriptions_wake_streams_max,
        token_ttl_ms: config.subscriptions_token_ttl_ms,
        retry_wait_max_ms: config.subscriptions_retry_wait_max_ms,
        webhook_timeout_ms: config.subscriptions_webhook_timeout_ms,
        key_rotation_ms: config.subscriptions_key_rotation_ms,
        key_overlap_ms: config.subscriptions_key_overlap_ms,
    }
}
