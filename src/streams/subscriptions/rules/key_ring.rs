//! The secret that signs tokens, and the keys that sign webhooks.

use std::collections::BTreeMap;

use super::changes::{KEY_PREFIX, put_signing_key, put_token_secret, remove_signing_key};
use crate::streams::rules::Change;
use crate::streams::subscriptions::wire::{JwksView, KeyEntry, Secret};

/// The token secret and the signing keys, with their rotation.
pub(crate) struct KeyRing {
    rotation_ms: u64,
    overlap_ms: u64,
    secret: Option<Secret>,
    keys: BTreeMap<String, KeyEntry>,
}

impl KeyRing {
    /// Creates an empty key ring. A signing key is replaced after `rotation_ms` and stays published for at least
    /// `overlap_ms` more.
    pub(super) fn new(rotation_ms: u64, overlap_ms: u64) -> Self {
        Self { rotation_ms, overlap_ms, secret: None, keys: BTreeMap::new() }
    }

    /// Adds a signing key that was read from the store.
    pub(crate) fn restore_key(&mut self, kid: String, key: KeyEntry) {
        self.keys.insert(kid, key);
    }

    /// Sets the token secret that was read from the store.
    pub(crate) fn restore_secret(&mut self, secret: Secret) {
        self.secret = Some(secret);
    }

    /// Returns the time at which a new signing key is due, in milliseconds since 1970; 0 if there is no key or no secret
    /// yet.
    pub(crate) fn rotation_due_ms(&self) -> u64 {
        let current = self.signing_key().filter(|_| self.secret.is_some());
        current.map_or(0, |(_, key)| key.created_ms.saturating_add(self.rotation_ms))
    }

    /// Adopts the new signing key if one is due, and removes keys whose overlap has ended. Adopts `secret` only if there
    /// is none yet.
    pub(crate) fn rotate(
        &mut self,
        now_ms: u64,
        secret: &Secret,
        (kid, key): (String, KeyEntry),
        changes: &mut Vec<Change>,
    ) {
        if self.secret.is_none() {
            changes.push(put_token_secret(secret));
            self.secret = Some(secret.clone());
        }
        if self.rotation_due_ms() > now_ms {
            return;
        }
        let overlap_ms = self.overlap_ms;
        let ended = |key: &KeyEntry| key.replaced_ms.is_some_and(|at_ms| at_ms.saturating_add(overlap_ms) <= now_ms);
        for (kid, _) in self.keys.extract_if(.., |_, key| ended(key)) {
            changes.push(remove_signing_key(&kid));
        }
        for (kid, key) in self.keys.iter_mut().filter(|(_, key)| key.replaced_ms.is_none()) {
            key.replaced_ms = Some(now_ms);
            changes.push(put_signing_key(kid, key));
        }
        debug_assert!(kid.as_bytes().starts_with(KEY_PREFIX));
        changes.push(put_signing_key(&kid, &key));
        self.keys.insert(kid, key);
    }

    pub(super) fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// Returns the current signing key with its name.
    pub(crate) fn signing_key(&self) -> Option<(&String, &KeyEntry)> {
        self.keys.iter().find(|(_, key)| key.replaced_ms.is_none())
    }

    /// Returns the published keys, which verify signatures.
    pub(crate) fn jwks(&self) -> JwksView {
        JwksView(self.keys.iter().map(|(kid, key)| (kid.clone(), key.clone())).collect())
    }
}
