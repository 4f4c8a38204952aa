//! Tokens that callers present. Pure.

use std::hint::black_box;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

/// Returns the token of `Authorization: Bearer`; the name of the scheme is case-insensitive. RFC 6750 2.1, RFC 9110 11.1.
pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares a presented token with the secret. The time it takes depends on the lengths only, so that a caller cannot
/// guess the secret byte by byte.
pub(crate) fn equals_secret(presented: &str, secret: &str) -> bool {
    equals_bytes(presented.as_bytes(), secret.as_bytes())
}

/// As [`equals_secret`], for bytes.
pub(crate) fn equals_bytes(presented: &[u8], secret: &[u8]) -> bool {
    let bytes = presented.iter().zip(secret);
    let differences = bytes.fold(0, |sum, (left, right)| black_box(sum | (left ^ right)));
    presented.len() == secret.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_token_follows_the_scheme() {
        let check = |value: &'static str, expected: Option<&str>| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            assert_eq!(bearer_token(&headers), expected, "{value}");
        };
        check("Bearer s3cret", Some("s3cret"));
        check("bearer  s3cret", Some("s3cret"));
        check("Basic s3cret", None);
        check("Bearer", None);
        assert_eq!(bearer_token(&HeaderMap::new()), None);
    }

    #[test]
    fn only_the_whole_secret_is_equal() {
        assert!(equals_secret("s3cret", "s3cret"));
        for wrong in ["", "s3cre", "s3cret2", "S3cret"] {
            assert!(!equals_secret(wrong, "s3cret"), "{wrong}");
        }
    }
}
