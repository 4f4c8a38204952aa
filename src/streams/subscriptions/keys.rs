//! Generation of keys, and signing.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::error::Error;
use super::wire::{KeyEntry, Secret, jwk_thumbprint};

/// Generates a token secret and a signing key with its name. Errors: [`Error::Keys`].
pub(super) fn generate(now_ms: u64) -> Result<(Secret, (String, KeyEntry)), Error> {
    let random = SystemRandom::new();
    let mut secret = [0; 32];
    random.fill(&mut secret).map_err(|_| Error::Keys { cause: "the system provides no random numbers".into() })?;
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).map_err(|error| Error::Keys { cause: error.to_string() })?;
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|error| Error::Keys { cause: error.to_string() })?;
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    let kid = jwk_thumbprint(&x);
    let pkcs8 = STANDARD.encode(pkcs8.as_ref());
    Ok((Secret(secret), (kid, KeyEntry { pkcs8, x, created_ms: now_ms, replaced_ms: None })))
}

/// Signs a text. Errors: [`Error::Keys`] if the key is malformed.
pub(super) fn sign(key: &KeyEntry, text: &[u8]) -> Result<Vec<u8>, Error> {
    let pkcs8 = STANDARD.decode(&key.pkcs8).map_err(|error| Error::Keys { cause: error.to_string() })?;
    let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|error| Error::Keys { cause: error.to_string() })?;
    Ok(pair.sign(text).as_ref().to_vec())
}
