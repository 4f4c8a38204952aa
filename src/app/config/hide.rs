//! Hides secrets in printed values.

use toml::Value;

use super::tables;
use crate::http::hide_credentials;

/// The replacement for a secret.
const HIDDEN: &str = "***";

/// Returns the printable value: secrets, and user and password in URLs, are replaced by `***`.
pub(super) fn hide(key: &str, value: &Value) -> Value {
    let secrets = [".secret", ".token", ".tokens", "_tokens", "_secret", ".jwt_key"];
    let secret = secrets.iter().any(|name| key.ends_with(name));
    let unset = value.as_array().is_some_and(Vec::is_empty);
    match value {
        Value::String(text) if secret && text.is_empty() => value.clone(),
        _ if secret && unset => value.clone(),
        Value::String(text) if !secret && is_url(key, text) => Value::String(hide_credentials(text)),
        Value::Table(entry) if !secret => Value::Table(tables::as_written(entry)),
        Value::Array(items) if !secret => items.iter().map(|item| hide(key, item)).collect::<Vec<_>>().into(),
        other if !secret => other.clone(),
        _ => Value::String(HIDDEN.to_owned()),
    }
}

/// Returns true if the value is a URL, or was meant to be one.
fn is_url(key: &str, text: &str) -> bool {
    text.contains("://") || ["bus.url", "webhook.forward", "streams.public_url"].contains(&key)
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
        check("bus.url", "user:p@exocom", "***@exocom");
        check("webhook.forward", "http://user:p/x@exocom", "http://***@exocom");
        check("relay.role", "users@home", "users@home");
        let list = |url: &str| Value::Array(vec![Value::String(url.to_owned())]);
        assert_eq!(hide("streams.cors_origins", &list("http://user:p@page")), list("http://***@page"));
    }
}
