//! User and password in a URL: taken off to be sent as Basic authorization (RFC 7617), and hidden where the URL is shown.

use std::fmt;

use axum::http::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;

/// The replacement for what is hidden.
const HIDDEN: &str = "***";

/// Splits the user and the password off a URL. Returns the rest, and both as a value of `Authorization`, decoded; `None` if
/// there are none. A text that is not a URL is returned as it is.
pub(crate) fn split_credentials(url: &str) -> (String, Option<HeaderValue>) {
    let Some((scheme, credentials, rest)) = parts(url) else { return (url.to_owned(), None) };
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let mut decoded: Vec<u8> = percent_decode_str(user).collect();
    decoded.push(b':');
    decoded.extend(percent_decode_str(password));
    let value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(decoded)));
    let mut value = value.expect("base64 is visible ASCII");
    value.set_sensitive(true);
    (format!("{scheme}://{rest}"), Some(value))
}

/// Returns true if the URL has a user or a password.
pub(crate) fn has_credentials(url: &str) -> bool {
    parts(url).is_some()
}

/// Returns the URL as it may be shown and logged: with `***` in place of a user, a password and the value of a query. Also
/// those of a text that is only meant to be a URL are hidden, such as one whose password has a slash in it.
pub(crate) fn hide_credentials(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (&url[..scheme.len() + 3], rest));
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let has_host = !scheme.is_empty() && has_host(rest);
    let end = if has_host { authority(rest).len() } else { rest.len() };
    let shown = match rest[..end].rfind('@') {
        Some(at) => format!("{HIDDEN}{}", &rest[at..]),
        None => rest.to_owned(),
    };
    match query {
        None => format!("{scheme}{shown}"),
        // A password may have a question mark in it.
        Some(query) if !has_host && query.contains('@') => {
            let at = query.rfind('@').unwrap_or_default();
            format!("{scheme}{HIDDEN}{}", &query[at..])
        }
        Some(_) => format!("{scheme}{shown}?{HIDDEN}"),
    }
}

/// Formats settings for debugging, with the values of `secrets` and the credentials in URLs hidden.
pub(crate) fn debug_without_secrets(
    formatter: &mut fmt::Formatter<'_>,
    settings: &impl Serialize,
    secrets: &[&str],
) -> fmt::Result {
    let settings = serde_json::to_value(settings).map_err(|_| fmt::Error)?;
    let mut printed = formatter.debug_struct("Config");
    for (name, value) in settings.as_object().into_iter().flatten() {
        match value {
            _ if secrets.contains(&name.as_str()) => printed.field(name, &HIDDEN),
            Value::String(text) if text.contains("://") => printed.field(name, &hide_credentials(text)),
            value => printed.field(name, &format_args!("{value}")),
        };
    }
    printed.finish()
}

/// Returns scheme, credentials, and what follows their `@`.
fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let at = authority(rest).rfind('@')?;
    Some((scheme, &rest[..at], &rest[at + 1..]))
}

/// Returns the part of a URL between its scheme and its path. RFC 3986 3.2.
fn authority(rest: &str) -> &str {
    &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]
}

/// Returns true if the URL's authority ends with a host, and a port if there is one.
fn has_host(rest: &str) -> bool {
    let authority = authority(rest);
    let host = authority.rsplit('@').next().unwrap_or_default();
    let port = host.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or("", |(_, port)| port);
    !host.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, rest: &str, credentials: Option<&str>) {
        let (split, value) = split_credentials(url);
        let value = value.map(|value| value.to_str().unwrap().to_owned());
        let expected = credentials.map(|text| format!("Basic {}", STANDARD.encode(text)));
        assert_eq!((split.as_str(), value), (rest, expected), "{url}");
        assert_eq!(has_credentials(url), credentials.is_some());
    }

    #[test]
    fn credentials_are_decoded_and_the_rest_is_unchanged() {
        check("http://service:3000/base", "http://service:3000/base", None);
        check("http://service/a@b", "http://service/a@b", None);
        check("http://user:secret@service:3000/base", "http://service:3000/base", Some("user:secret"));
        check("https://user@service", "https://service", Some("user:"));
        check("https://:secret@service", "https://service", Some(":secret"));
        check("ws://us%65r:p%40ss%3A%2F%c3%a9@[::1]:3100", "ws://[::1]:3100", Some("user:p@ss:/\u{e9}"));
        check("http://user:p@ss@service", "http://service", Some("user:p@ss"));
        check("user:secret@service", "user:secret@service", None);
        let (_, value) = split_credentials("http://user:secret@service");
        assert!(!format!("{value:?}").contains("dXNlc"), "the value is not printed");
    }

    #[test]
    fn credentials_are_hidden_also_in_what_is_no_url() {
        for (url, shown) in [
            ("http://exocom:3100/a@b", "http://exocom:3100/a@b"),
            ("http://user:secret@exocom:3100/a@b", "http://***@exocom:3100/a@b"),
            ("http://user:p@ss@exocom", "http://***@exocom"),
            ("http://user:p/ss@exocom:3100", "http://***@exocom:3100"),
            ("http://user:p?ss@exocom:3100", "http://***@exocom:3100"),
            ("http://user:p#ss@exocom:3100", "http://***@exocom:3100"),
            ("user:secret@exocom:3100", "***@exocom:3100"),
            ("http:/user:secret@exocom:3100", "***@exocom:3100"),
            ("http://exocom?token=secret", "http://exocom?***"),
            ("http://[::1]:3100", "http://[::1]:3100"),
            ("http://user:secret@[::1]", "http://***@[::1]"),
            ("embedded", "embedded"),
            ("", ""),
        ] {
            assert_eq!(hide_credentials(url), shown);
        }
    }
}
