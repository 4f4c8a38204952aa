//! Checks of the texts in `[access]`.

use std::net::IpAddr;

use axum::http::Uri;

use super::urls::is_url;
use crate::http::access::{KeyOrigin, KeySet, SECRET_BYTES_MIN};

/// Checks the value of a key of `[access]`. Errors: the expectation, without the value, which may be a secret.
pub(super) fn check_access(key: &str, text: &str) -> Result<(), String> {
    let (is_valid, expected) = match key {
        "access.jwt_keys_url" => (
            text.is_empty() || is_url(text, &["https"]) || is_url(text, &["http"]) && is_on_loopback(text),
            "an https URL without a query, such as https://login.example/.well-known/jwks.json (http only for this machine), \
             or an empty string",
        ),
        "access.jwt_secret" => (
            text.is_empty() || text.len() >= SECRET_BYTES_MIN,
            "at least 32 bytes, as the hash of HS256 has, or an empty string",
        ),
        "access.jwt_role_claim" => (!text.is_empty(), "the name of a claim, such as roles"),
        "access.cookie" | "access.query" => (
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
            "letters, digits, `-`, `_` and `.`, or an empty string",
        ),
        "access.jwt_key" if !text.is_empty() => {
            let parsed = KeySet::parse(text, KeyOrigin::Private);
            return parsed.map(|_| ()).map_err(|cause| format!("expected keys: {cause}"));
        }
        _ => (true, ""),
    };
    if is_valid { Ok(()) } else { Err(format!("expected {expected}")) }
}

/// Returns true if a URL names this machine by an address, or as `localhost`.
fn is_on_loopback(text: &str) -> bool {
    let url = text.parse::<Uri>().ok();
    url.as_ref().and_then(Uri::host).is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_all(key: &str, good: &[&str], bad: &[&str]) {
        good.iter().for_each(|text| assert_eq!(check_access(key, text), Ok(()), "{key} {text:?}"));
        bad.iter().for_each(|text| assert!(check_access(key, text).is_err(), "{key} {text:?}"));
    }

    #[test]
    fn keys_come_from_a_url_that_nobody_on_the_way_can_change() {
        check_all(
            "access.jwt_keys_url",
            &[
                "",
                "https://login.example/jwks.json",
                "http://127.0.0.1:9000/keys",
                "http://localhost/k",
                "http://[::1]/k",
            ],
            &[
                "http://login.example/jwks.json",
                "http://localhost.example/",
                "https://a/?b",
                "ftp://a",
                "login.example",
            ],
        );
    }

    #[test]
    fn secrets_are_long_and_names_are_names() {
        check_all("access.jwt_secret", &["", &"x".repeat(32)], &["short", &"x".repeat(31)]);
        check_all("access.cookie", &["", "__Host-session"], &["a b", "a=b", "a;b"]);
        check_all("access.query", &["", "access_token"], &["a&b", "\u{fc}"]);
        check_all("access.jwt_role_claim", &["roles"], &[""]);
        check_all("access.jwt_key", &[""], &["no key", "{}", "-----BEGIN PUBLIC KEY-----"]);
    }
}
