//! JSON Web Tokens: signature, time, issuer and audience. RFC 7519, RFC 8725.
//!
//! A key is good for one algorithm only, so a token cannot choose how it is verified: one that is signed with HS256 and the
//! text of an RSA key finds no key.

mod claims;
mod der;
mod fetching;
#[cfg(test)]
mod fuzz;
mod keys;
mod material;
mod parts;
#[cfg(test)]
mod tests;

use std::sync::{Arc, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use quick_cache::sync::Cache;

use super::super::config::Config;
use super::super::principal::Principal;
use super::tokens::{Hash, read_secret};
use super::{Error, Lookup};
use claims::ClaimRules;
use fetching::Fetching;
pub(crate) use keys::{KeySet, Origin, SECRET_BYTES_MIN};
use parts::Parts;

/// Number of verified tokens that are remembered, so that not every request costs a signature.
const VERIFIED_MAX: usize = 1000;

/// The reason why a token is not accepted. The text is safe to show to its bearer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejected {
    /// It is something else.
    #[error("the token is none of the configuration, and no JWT")]
    Malformed,
    /// It is longer than any token needs to be.
    #[error("the token has more than {} bytes", parts::BYTES_MAX)]
    TooLong,
    /// Its algorithm is `none`.
    #[error("the JWT is not signed: its algorithm is none")]
    Unsigned,
    /// Its algorithm is not one of ours.
    #[error("the algorithm of the JWT is {name:?}: expected HS256, RS256, ES256 or EdDSA")]
    Algorithm {
        /// The algorithm.
        name: String,
    },
    /// It has extensions that have to be understood. RFC 7515 4.1.11.
    #[error("the JWT has critical extensions (crit), which are not supported")]
    Critical,
    /// No key of its algorithm is configured.
    #[error("the JWT is signed with {algorithm}, and no key for that is configured")]
    NoKey {
        /// The algorithm.
        algorithm: &'static str,
    },
    /// No key has its `kid`.
    #[error("no key with the kid {kid:?} of the JWT is known")]
    UnknownKey {
        /// The name of the key.
        kid: String,
    },
    /// The signature is wrong.
    #[error("the signature of the JWT is wrong")]
    Signature,
    /// It would be good for ever.
    #[error("the JWT has no exp: expected the time at which it expires")]
    NoExpiry,
    /// Its time is over.
    #[error("the JWT has expired (exp)")]
    Expired,
    /// Its time has not come.
    #[error("the JWT is not valid yet (nbf)")]
    NotYet,
    /// Another issuer made it.
    #[error("the JWT is of another issuer (iss) than access.jwt_issuer")]
    Issuer,
    /// It is for others.
    #[error("the JWT is for another audience (aud) than those of access.jwt_audiences")]
    Audience,
    /// It is for an audience, and ours is not known.
    #[error("the JWT is for an audience (aud), and access.jwt_audiences is not set")]
    AudienceUnset,
    /// A claim has another type than the standard says.
    #[error("the claim {name} of the JWT has the wrong type")]
    Claim {
        /// The claim.
        name: &'static str,
    },
}

/// Verifies JWTs, and knows the keys.
pub(crate) struct Jwt {
    rules: ClaimRules,
    keys: RwLock<Arc<KeySet>>,
    /// The keys of the configuration, which stay when those of a URL change.
    own: KeySet,
    fetching: Option<Fetching>,
    /// The callers of verified tokens, and the time until which they are good.
    verified: Cache<Hash, (Principal, f64)>,
}

impl Jwt {
    /// Reads the settings and their files; `None` if there are no keys. Blocks. Errors: [`Error::KeyFile`], [`Error::Keys`].
    pub(crate) fn read(config: &Config) -> Result<Option<Self>, Error> {
        let mut own = KeySet::default();
        let file = |file: &String| read_secret(file).map_err(|source| Error::KeyFile { file: file.clone(), source });
        let mut secrets = vec![config.jwt_secret.clone()];
        if !config.jwt_secret_file.is_empty() {
            secrets.push(file(&config.jwt_secret_file)?);
        }
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            if secret.len() < SECRET_BYTES_MIN {
                let cause = format!("the shared secret has fewer than {SECRET_BYTES_MIN} bytes");
                return Err(Error::Keys { key: "access.jwt_secret_file", cause });
            }
            own.extend(&KeySet::of_secret(secret));
        }
        let mut texts = vec![("access.jwt_key", config.jwt_key.clone())];
        if !config.jwt_key_file.is_empty() {
            texts.push(("access.jwt_key_file", file(&config.jwt_key_file)?));
        }
        for (key, text) in texts.iter().filter(|(_, text)| !text.is_empty()) {
            let parsed = KeySet::parse(text, Origin::Private).map_err(|cause| Error::Keys { key, cause })?;
            own.extend(&parsed);
        }
        if !config.has_jwt() {
            return Ok(None);
        }
        let rules = ClaimRules {
            issuer: config.jwt_issuer.clone(),
            audiences: config.jwt_audiences.clone(),
            leeway_s: std::time::Duration::from_millis(config.jwt_leeway_ms).as_secs_f64(),
            role_claim: config.jwt_role_claim.clone(),
        };
        Ok(Some(Self {
            rules,
            keys: RwLock::new(Arc::new(own.clone())),
            own,
            fetching: (!config.jwt_keys_url.is_empty()).then(|| Fetching::of(&config.jwt_keys_url)),
            verified: Cache::new(VERIFIED_MAX),
        }))
    }

    /// Finds the caller of a token that is none of the configuration. Does not block.
    pub(crate) fn find(&self, token: &str, hash: Hash) -> Lookup {
        self.find_at(token, hash, now_s())
    }

    fn find_at(&self, token: &str, hash: Hash, now_s: f64) -> Lookup {
        if let Some((principal, expires_s)) = self.verified.get(&hash) {
            if now_s < expires_s {
                return Lookup::Found(principal);
            }
            self.verified.remove(&hash);
        }
        let parts = match Parts::parse(token) {
            Ok(parts) => parts,
            Err(rejected) => return Lookup::rejected(&rejected),
        };
        let keys = self.keys();
        if self.fetching.as_ref().is_some_and(|fetching| fetching.is_due(keys.has_key_for(&parts))) {
            return Lookup::Fetch;
        }
        let checked = keys.verify(&parts).and_then(|()| self.rules.check(parts.claims()?, now_s));
        match checked {
            Ok(accepted) => {
                let principal = Principal::from(accepted.identity);
                self.verified.insert(hash, (principal.clone(), accepted.expires_s));
                Lookup::Found(principal)
            }
            Err(Rejected::NoKey { .. } | Rejected::UnknownKey { .. })
                if self.fetching.as_ref().is_some_and(|fetching| !fetching.has_succeeded()) =>
            {
                Lookup::NoKeys
            }
            Err(rejected) => Lookup::rejected(&rejected),
        }
    }

    /// Fetches the keys of the URL, if that is due. If it fails, the keys that are known stay. Cancel-safe: a dropped call fetches
    /// nothing.
    pub(crate) async fn fetch(&self) {
        let Some(fetching) = &self.fetching else { return };
        if let Some(fetched) = fetching.fetch().await {
            let mut keys = self.own.clone();
            keys.extend(&fetched);
            *self.keys.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(keys);
            // A key may be gone.
            self.verified.clear();
        }
    }

    fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
