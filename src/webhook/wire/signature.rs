//! Standard Webhooks 1.0 secrets and signatures.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// Prefix of every symmetric secret.
const PREFIX: &str = "whsec_";

/// Allowed length of a decoded secret.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Reason why a text is not a valid signing secret. Never contains the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It does not start with `whsec_`.
    #[error("it does not start with \"whsec_\"")]
    Prefix,
    /// The rest is not base64.
    #[error("the part after \"whsec_\" is not base64")]
    Base64,
    /// It is too short or too long.
    #[error("it has {bytes} bytes")]
    Length {
        /// Decoded length.
        bytes: usize,
    },
}

/// A parsed signing secret.
#[derive(Clone)]
pub(crate) struct Secret(hmac::Key);

impl Secret {
    /// Parses `whsec_` followed by 24 to 64 bytes in base64.
    pub(crate) fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretError::Prefix)?;
        let key = STANDARD.decode(encoded).map_err(|_| SecretError::Base64)?;
        if !BYTES.contains(&key.len()) {
            return Err(SecretError::Length { bytes: key.len() });
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// Returns the `webhook-signature` header for a request with this `webhook-id`, `webhook-timestamp` and body.
    pub(crate) fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let mut mac = hmac::Context::with_key(&self.0);
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        let mut signature = String::from("v1,");
        STANDARD.encode_string(mac.sign(), &mut signature);
        signature
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_secret(bytes: usize, expected: Result<(), SecretError>) {
        let text = format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        assert_eq!(Secret::parse(&text).map(drop), expected);
    }

    #[test]
    fn the_example_of_the_specification_gets_the_published_signature() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_non_ascii_id_is_signed_as_utf8() {
        let secret = Secret::parse("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX").unwrap();
        // Computed with Python's hmac module.
        let expected = "v1,SX/ERh4o5xopq5K38dQA8fztk/CQ+U5GGwtCTXCzZAs=";
        assert_eq!(secret.sign("größe 1", "1700000000", br#"{"id":"1"}"#), expected);
    }

    #[test]
    fn a_secret_has_24_to_64_bytes() {
        check_secret(23, Err(SecretError::Length { bytes: 23 }));
        check_secret(24, Ok(()));
        check_secret(64, Ok(()));
        check_secret(65, Err(SecretError::Length { bytes: 65 }));
    }

    #[test]
    fn invalid_secrets_are_refused_and_not_printed() {
        let check = |text: &str, expected: SecretError| {
            let error = Secret::parse(text).unwrap_err();
            assert!(!error.to_string().contains("hunter2"));
            assert_eq!(error, expected);
        };
        check("hunter2", SecretError::Prefix);
        check("whsec_hunter2!", SecretError::Base64);
        check("", SecretError::Prefix);
        check("whsec_", SecretError::Length { bytes: 0 });
    }
}
