//! Keys that verify JWTs. RFC 7517, RFC 7518 6, RFC 8037. Pure.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::Rejected;
use super::der::parse_pem;
use super::material::Material;
use super::parts::{Algorithm, Parts};

/// Maximum number of keys.
const KEYS_MAX: usize = 64;

/// Minimum length of a shared secret: that of the hash. RFC 7518 3.2.
pub(crate) const SECRET_BYTES_MIN: usize = 32;

/// The keys of an issuer. A key is good for one algorithm, whatever a token says.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeySet(Vec<Key>);

#[derive(Debug, Clone)]
struct Key {
    /// Its name; a key without one is tried for every token.
    kid: Option<String>,
    material: Material,
}

/// The source of a set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The configuration, or a file of it, which may have shared secrets.
    Private,
    /// A URL, which everyone can read.
    Public,
}

impl KeySet {
    /// Parses keys: a JWK set, a JWK, or public keys in PEM. Keys of a set for other purposes or algorithms are left out.
    /// Errors: the text for the user.
    pub(crate) fn parse(text: &str, origin: Origin) -> Result<Self, String> {
        if text.trim_start().starts_with("-----") {
            let materials = parse_pem(text)?;
            return Ok(Self(materials.into_iter().map(|material| Key { kid: None, material }).collect()));
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|error| format!("it is neither a JWK set in JSON nor a public key in PEM: {error}"))?;
        let single = [value.clone()];
        let keys = value.get("keys").and_then(Value::as_array).map_or(&single[..], Vec::as_slice);
        if keys.len() > KEYS_MAX {
            return Err(format!("it has {} keys, at most {KEYS_MAX} are allowed", keys.len()));
        }
        let usable: Vec<Key> = keys.iter().filter_map(|key| Key::parse(key, origin)).collect();
        match usable.is_empty() {
            true => Err("it has no key for HS256, RS256, ES256 or EdDSA".to_owned()),
            false => Ok(Self(usable)),
        }
    }

    /// Returns the set of one shared secret.
    pub(crate) fn of_secret(secret: &str) -> Self {
        Self(vec![Key { kid: None, material: Material::secret(secret.as_bytes()) }])
    }

    /// Adds the keys of another set.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// Returns true if a key may be the one of the token.
    pub(super) fn has_key_for(&self, parts: &Parts<'_>) -> bool {
        self.candidates(parts).next().is_some()
    }

    /// Verifies the signature. Errors: [`Rejected::UnknownKey`], [`Rejected::NoKey`], [`Rejected::Signature`].
    pub(super) fn verify(&self, parts: &Parts<'_>) -> Result<(), Rejected> {
        let signed = parts.signed.as_bytes();
        if self.candidates(parts).any(|key| key.material.verify(signed, &parts.signature)) {
            return Ok(());
        }
        let has_algorithm = self.0.iter().any(|key| key.material.algorithm() == parts.algorithm);
        match &parts.kid {
            _ if self.has_key_for(parts) => Err(Rejected::Signature),
            Some(kid) if has_algorithm => Err(Rejected::UnknownKey { kid: kid.chars().take(100).collect() }),
            Some(_) | None => Err(Rejected::NoKey { algorithm: parts.algorithm.name() }),
        }
    }

    /// Returns the keys that may have signed a token: those of its algorithm that have its `kid`. A token, or a key, without a
    /// `kid` leaves that open.
    fn candidates<'a>(&'a self, parts: &Parts<'a>) -> impl Iterator<Item = &'a Key> {
        let (algorithm, kid) = (parts.algorithm, parts.kid.clone());
        self.0.iter().filter(move |key| {
            let is_named = match (&key.kid, &kid) {
                (Some(own), Some(kid)) => own == kid,
                (None, _) | (_, None) => true,
            };
            key.material.algorithm() == algorithm && is_named
        })
    }
}

impl Key {
    /// Parses a JWK; `None` if it is of no use here.
    fn parse(jwk: &Value, origin: Origin) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?.trim_end_matches('=')).ok();
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => Material::rsa(&bytes("n")?, &bytes("e")?)?,
            ("EC", Some("P-256")) => Material::p256([vec![4], bytes("x")?, bytes("y")?].concat())?,
            ("OKP", Some("Ed25519")) => Material::ed25519(bytes("x")?)?,
            ("oct", _) if origin == Origin::Private => {
                Material::secret(&bytes("k").filter(|secret| secret.len() >= SECRET_BYTES_MIN)?)
            }
            _ => return None,
        };
        let is_for_it = |name: &str| Algorithm::named(name) == Some(material.algorithm());
        if !text("alg").is_none_or(is_for_it) {
            return None;
        }
        Some(Self { kid: text("kid").map(str::to_owned), material })
    }
}
