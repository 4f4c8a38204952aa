//! Secrets do not appear in what is printed.

use toml::Value;

/// What stands where a secret would.
const HIDDEN: &str = "***";

/// The value as it may be shown: secrets, and user and password in URLs, are replaced by `***`.
pub(super) fn hide(key: &str, value: &Value) -> Value {
    let secret = [".secret", ".token", ".tokens"].iter().any(|name| key.ends_with(name));
    let unset = value.as_array().is_some_and(Vec::is_empty);
    match value {
        Value::String(text) if secret && text.is_empty() => value.clone(),
        _ if secret && unset => value.clone(),
        Value::String(text) if !secret => Value::String(hide_userinfo(text)),
        other if !secret => other.clone(),
        _ => Value::String(HIDDEN.to_owned()),
    }
}

/// `http://user:password@host/` becomes `http://***@host/`.
fn hide_userinfo(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some(at) = rest[..authority_end].rfind('@') else { return text.to_owned() };
    format!("{scheme}://{HIDDEN}{}", &rest[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, text: &str, expected: &str) {
        assert_eq!(hide(key, &Value::String(text.to_owned())), Value::String(expected.to_owned()));
    }

    #[test]
    fn a_secret_is_hidden_and_an_unset_one_is_seen_to_be_unset() {
        check("webhook.secret", "whsec_abc", "***");
        check("webhook.secret", "", "");
        check("bus.token", "s3cret", "***");
    }

    #[test]
    fn user_and_password_are_hidden_in_urls() {
        check("bus.url", "http://user:p@ss@exocom:3100/a@b", "http://***@exocom:3100/a@b");
        check("bus.url", "http://exocom:3100/a@b", "http://exocom:3100/a@b");
        check("bus.url", "wss://user:p@exocom/services", "wss://***@exocom/services");
        check("bus.url", "embedded", "embedded");
    }
}
