//! The cryptographic part of a key. RFC 7518 3, RFC 8037 3.1. Pure.

use ring::hmac;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::parts::Algorithm;

/// Minimum length of the modulus of an RSA key. RFC 7518 3.3.
const MODULUS_BYTES_MIN: usize = 256;

/// The cryptographic part of a key.
#[derive(Clone)]
pub(super) enum Material {
    Secret(hmac::Key),
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Material {
    /// Returns the key of a shared secret.
    pub(super) fn secret(secret: &[u8]) -> Self {
        Self::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Returns the key with this modulus and exponent, which may begin with zeros; `None` if it is too short.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let without_zeros = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
        let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
        (modulus.len() >= MODULUS_BYTES_MIN && !exponent.is_empty()).then_some(Self::Rsa { modulus, exponent })
    }

    /// Returns the key of an uncompressed point. SEC 1 2.3.3.
    pub(super) fn p256(point: Vec<u8>) -> Option<Self> {
        (point.len() == 65 && point.first() == Some(&4)).then_some(Self::P256(point))
    }

    /// Returns the key of these 32 bytes.
    pub(super) fn ed25519(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() == 32).then_some(Self::Ed25519(bytes))
    }

    /// Returns the only algorithm that it is good for.
    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Secret(_) => Algorithm::Hs256,
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Returns true if the signature is that of the key.
    pub(super) fn verify(&self, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => hmac::verify(key, signed, signature).is_ok(),
            Self::Rsa { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
                .is_ok(),
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
            }
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(signed, signature).is_ok(),
        }
    }
}

impl std::fmt::Debug for Material {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.algorithm().name())
    }
}
