//! Digests of tokens, so that no token itself is kept.

use super::credentials::{hash, parse_hash};
use super::token::equals_bytes;

/// The beginning of a configured token that is written as its digest.
const HASHED: &str = "sha256:";

/// The SHA-256 digest of a token. Cheap to copy.
#[derive(Clone, Copy)]
pub(crate) struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Returns the digest of a token that a caller presents.
    pub(crate) fn of(token: &str) -> Self {
        Self(hash(token))
    }

    /// Parses a configured token: `sha256:` and 64 hexadecimal digits, or the token itself in visible ASCII. Returns `None` for
    /// anything else.
    pub(crate) fn configured(text: &str) -> Option<Self> {
        match text.strip_prefix(HASHED) {
            Some(digits) => parse_hash(digits).map(Self),
            None => Some(text)
                .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()))
                .map(Self::of),
        }
    }

    /// Compares two digests in constant time.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        equals_bytes(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_configured_plain_or_as_its_digest() {
        // FIPS 180-4, the digest of "abc".
        let hashed = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for configured in ["abc", hashed, &hashed.to_uppercase().replace("SHA256", "sha256")] {
            let digest = TokenDigest::configured(configured).unwrap();
            assert!(digest.equals(&TokenDigest::of("abc")), "{configured}");
            for wrong in ["", "ab", "abd", "abcd", hashed] {
                assert!(!digest.equals(&TokenDigest::of(wrong)), "{wrong}");
            }
        }
        for malformed in ["", "two words", "über", "sha256:", "sha256:abc", &hashed[..hashed.len() - 1], "sha256:zz"] {
            assert!(TokenDigest::configured(malformed).is_none(), "{malformed}");
        }
    }
}
