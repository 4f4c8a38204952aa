//! Hides secrets in printed values.

use toml::Value;

/// The replacement for a secret.
const HIDDEN: &str = "***";

/// Returns the printable value: secrets, and user and password in URLs, are replaced by `***`.
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

/// Turns `http://user:password@host/` into `http://***@host/`.
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
    fn a_secret_is_hidden_unless_it_is_unset() {
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
