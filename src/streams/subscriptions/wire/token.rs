//! Bearer tokens that prove the caller was given a wake: bound to a subscription, a generation and a time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use super::id::SubscriptionId;

/// The secret that signs tokens.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) [u8; 32]);

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// The nonce of the subscription, which distinguishes it from others with the same id.
    pub(crate) nonce: String,
    pub(crate) generation: u64,
    pub(crate) expires_ms: u64,
}

/// The reason a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// It was not signed with our secret, or is for another subscription.
    Invalid,
    /// It has expired.
    Expired,
}

impl Token {
    /// Returns the token as text: `nonce.generation.expires.signature`.
    pub(crate) fn sign(&self, secret: &Secret, id: &SubscriptionId) -> String {
        let claims = format!("{}.{}.{}", self.nonce, self.generation, self.expires_ms);
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key(secret), signed_text(id, &claims).as_bytes()));
        format!("{claims}.{signature}")
    }

    /// Verifies and parses a token of the subscription. Errors: [`TokenError`].
    pub(crate) fn read(text: &str, secret: &Secret, id: &SubscriptionId, now_ms: u64) -> Result<Self, TokenError> {
        let (claims, signature) = text.rsplit_once('.').ok_or(TokenError::Invalid)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Invalid)?;
        hmac::verify(&key(secret), signed_text(id, claims).as_bytes(), &signature).map_err(|_| TokenError::Invalid)?;
        let mut parts = claims.split('.');
        let (nonce, generation, expires) = (parts.next(), parts.next(), parts.next());
        let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).ok_or(TokenError::Invalid);
        let (generation, expires_ms) = (number(generation)?, number(expires)?);
        match expires_ms > now_ms {
            true => Ok(Self { nonce: nonce.unwrap_or_default().to_owned(), generation, expires_ms }),
            false => Err(TokenError::Expired),
        }
    }
}

fn key(secret: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &secret.0)
}

/// Returns the text to sign. The id comes last: the fields before it contain no spaces, so the text can be read in only
/// one way.
fn signed_text(id: &SubscriptionId, claims: &str) -> String {
    format!("exorelay subscription {claims} {id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token { nonce: "n1".into(), generation: 7, expires_ms: 1_000 }
    }

    fn read(text: &str, id: &str, now_ms: u64) -> Result<Token, TokenError> {
        Token::read(text, &Secret([1; 32]), &SubscriptionId::parse(id).unwrap(), now_ms)
    }

    #[test]
    fn a_token_is_valid_until_it_expires() {
        let signed = token().sign(&Secret([1; 32]), &SubscriptionId::parse("a").unwrap());
        assert_eq!(read(&signed, "a", 999), Ok(token()));
        assert_eq!(read(&signed, "a", 1_000), Err(TokenError::Expired));
        assert_eq!(read(&signed, "b", 999), Err(TokenError::Invalid));
        assert_eq!(read(&signed.replace(".7.", ".8."), "a", 999), Err(TokenError::Invalid));
        assert_eq!(
            read(&token().sign(&Secret([2; 32]), &SubscriptionId::parse("a").unwrap()), "a", 0),
            Err(TokenError::Invalid)
        );
        for garbage in ["", ".", "a.b.c.d", "é", &signed[..signed.len() - 1]] {
            assert_eq!(read(garbage, "a", 0), Err(TokenError::Invalid), "{garbage}");
        }
    }
}
