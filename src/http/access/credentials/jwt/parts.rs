//! The three parts of a JWT. RFC 7515 3.1, RFC 7519. Pure.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::Rejected;

/// Maximum length of a JWT, in bytes.
pub(super) const BYTES_MAX: usize = 16 * 1024;

/// The algorithms that signatures may have. `none` is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Returns the algorithm of this name in a header or a key.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "HS256" => Some(Self::Hs256),
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            // RFC 8037 3.1, RFC 9864 2.2.
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// Returns its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A JWT whose signature is not verified yet.
#[derive(Debug, Clone)]
pub(super) struct Parts<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    /// The text that is signed.
    pub(super) signed: &'a str,
    pub(super) signature: Vec<u8>,
    payload: Vec<u8>,
}

impl<'a> Parts<'a> {
    /// Parses a token. Keys and URLs in its header (`jwk`, `jku`, `x5u`, `x5c`) are ignored. Errors: [`Rejected`].
    pub(super) fn parse(token: &'a str) -> Result<Self, Rejected> {
        if token.len() > BYTES_MAX {
            return Err(Rejected::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Rejected::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Rejected::Malformed)?;
        let header: Map<String, Value> = serde_json::from_slice(&decode(header)?).map_err(|_| Rejected::Malformed)?;
        if header.contains_key("crit") {
            return Err(Rejected::Critical);
        }
        let name = header.get("alg").and_then(Value::as_str).ok_or(Rejected::Malformed)?;
        let algorithm = Algorithm::named(name).ok_or_else(|| match name.eq_ignore_ascii_case("none") {
            true => Rejected::Unsigned,
            false => Rejected::Algorithm { name: name.chars().take(20).collect() },
        })?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(Rejected::Malformed),
        };
        Ok(Self { algorithm, kid, signed, signature: decode(signature)?, payload: decode(payload)? })
    }

    /// Returns the claims. To be called once the signature is verified.
    pub(super) fn claims(&self) -> Result<Map<String, Value>, Rejected> {
        serde_json::from_slice(&self.payload).map_err(|_| Rejected::Malformed)
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Rejected> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Rejected::Malformed)
}
