//! Checks of values beyond their type, by key.

use std::collections::HashSet;
use std::net::IpAddr;
use std::str::FromStr;

use axum::http::HeaderName;
use axum::http::uri::Authority;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use toml::Value;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::check_access::check_access;
use super::urls::is_url;
use crate::http::access::{TokenDigest, network};
use crate::http::{has_credentials, socket_path};
use crate::message::Role;

/// Maximum of every time: one year.
const TIME_MS_MAX: i64 = 365 * 24 * 60 * 60 * 1000;

/// Maximum time for which a JWT is good after its end: ten minutes.
const LEEWAY_MS_MAX: i64 = 10 * 60 * 1000;

/// Maximum of every other number.
const COUNT_MAX: i64 = u32::MAX as i64;

/// Maximum length of a namespace: names that are sent leave room for it.
const NAMESPACE_BYTES_MAX: usize = 255;

/// Length of a webhook secret (Standard Webhooks, "Signature scheme").
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Maximum number of webhook secrets, each of which signs every request.
const SECRETS_MAX: usize = 8;

/// Checks a value of the right type. Errors: the expectation, without the value, which may be a secret.
pub(super) fn check(key: &str, value: &Value) -> Result<(), String> {
    match value {
        Value::Integer(number) => check_number(key, *number),
        Value::String(text) => check_text(key, text),
        Value::Array(values) => check_list(key, values),
        Value::Boolean(_) | Value::Float(_) | Value::Datetime(_) | Value::Table(_) => Ok(()),
    }
}

fn check_number(key: &str, number: i64) -> Result<(), String> {
    let range = match key {
        "drain.grace_ms" | "broker.settle_ms" => 0..=TIME_MS_MAX,
        "access.jwt_leeway_ms" => 0..=LEEWAY_MS_MAX,
        "streams.read_bytes_max" => 0..=COUNT_MAX,
        _ if key.ends_with("_ms") => 1..=TIME_MS_MAX,
        _ if key.ends_with("_max") => 1..=COUNT_MAX,
        _ => 0..=COUNT_MAX,
    };
    if range.contains(&number) {
        return Ok(());
    }
    Err(format!("expected a number from {} to {}", range.start(), range.end()))
}

fn check_text(key: &str, text: &str) -> Result<(), String> {
    let (is_valid, expected) = match key {
        "bus.url" => (
            text == "embedded" || is_url(text, &["http", "https", "ws", "wss"]),
            "embedded, or a URL such as http://127.0.0.1:3100 or ws://127.0.0.1:3100 without a query",
        ),
        "bus.token" | "listen.token" => (
            text.bytes().all(|byte| byte.is_ascii_graphic()),
            "visible ASCII characters without spaces, or an empty string",
        ),
        "webhook.forward" => (
            text.is_empty() || is_url(text, &["http", "https"]),
            "an http or https URL without a query, such as http://127.0.0.1:3000 or http://user:p%40ssword@service, or an \
             empty string",
        ),
        _ if key.starts_with("access.") => return check_access(key, text),
        "streams.public_url" => (
            text.is_empty() || is_url(text, &["http", "https"]) && !has_credentials(text),
            "an http or https URL without credentials and query, such as https://streams.example.com, or an empty string",
        ),
        "bus.advertise" => (
            text.is_empty() || is_address(text) && !text.ends_with(":0"),
            "HOST:PORT such as 10.0.0.7:4000, or an empty string",
        ),
        "edge.address" | "ops.address" => (
            text.is_empty() || is_address(text),
            "HOST:PORT such as 127.0.0.1:4002 (port 0 takes a free one), or an empty string",
        ),
        "relay.namespace" => (
            is_namespace(text),
            "the part of a message name before its first dot, 255 bytes at most, or an empty string",
        ),
        "log.level" => {
            (is_filter(text), "off, error, warn, info, debug, trace, or directives such as info,exorelay::bus=debug")
        }
        "api.address" => (
            is_address(text) || socket_path(text).is_some_and(|path| !path.as_os_str().is_empty()),
            "HOST:PORT such as 127.0.0.1:4001 (port 0 takes a free one), or unix:PATH such as unix:/run/exorelay.sock",
        ),
        "api.socket_mode" => (is_mode(text), "three or four octal digits such as 0600 or 0660"),
        _ if key.ends_with(".address") => {
            (is_address(text), "HOST:PORT such as 127.0.0.1:4000 (port 0 takes a free one)")
        }
        _ => (true, ""),
    };
    if is_valid { Ok(()) } else { Err(format!("expected {expected}")) }
}

fn check_list(key: &str, values: &[Value]) -> Result<(), String> {
    let texts = || values.iter().map(|value| value.as_str().unwrap_or_default());
    let (is_valid, expected) = match key {
        "streams.subscriptions_webhook_allowed" => {
            (texts().all(is_target), "networks such as 10.1.0.0/16, addresses, or hosts without a port")
        }
        // Not with the value: it may be a secret without its role.
        "broker.tokens" => (
            texts().all(is_role_and_token) && are_different(texts()),
            "ROLE=TOKEN entries such as users=s3cret, or *=s3cret for all roles without one; the token is visible ASCII without \
             spaces, or sha256: and 64 hexadecimal digits",
        ),
        "broker.operator_tokens" => {
            (texts().all(is_token), "tokens in visible ASCII without spaces, or sha256: and 64 hexadecimal digits")
        }
        "broker.instance_networks" => {
            (texts().all(|text| network(text).is_some()), "networks such as 10.1.0.0/16, or addresses")
        }
        "webhook.secret" => (
            texts().all(is_secret) && values.len() <= SECRETS_MAX,
            "whsec_ and 24 to 64 bytes in base64, a list of at most 8 of them, or an empty string",
        ),
        "http.hosts" => (
            is_all_or(texts(), is_host),
            "hosts such as relay.internal or relay.internal:4001, without a scheme; or * alone, which allows all",
        ),
        _ if key.ends_with(".cors_origins") => (
            is_all_or(texts(), is_origin),
            "origins of web pages such as https://app.example, in lower case and without a path; loopback, for all of this \
             machine; or * alone, which allows all",
        ),
        "http.trusted_proxies" => {
            (texts().all(|text| network(text).is_some()), "networks such as 10.1.0.0/16, or addresses")
        }
        "access.browser_listeners" => (
            texts().all(|text| ["api", "broker", "edge", "ops", "streams"].contains(&text)),
            "names of listeners: api, broker, edge, ops, streams",
        ),
        "streams.cors_headers" => {
            (texts().all(|text| HeaderName::from_str(text).is_ok()), "names of headers such as x-api-key, or *")
        }
        _ => (true, ""),
    };
    if is_valid { Ok(()) } else { Err(format!("expected {expected}")) }
}

/// Returns true for `*` alone, which would leave other entries without effect, or a list of valid entries.
fn is_all_or<'a>(mut texts: impl Iterator<Item = &'a str> + Clone, is_valid: impl Fn(&str) -> bool) -> bool {
    texts.clone().eq(["*"]) || texts.all(is_valid)
}

fn are_different<'a>(mut texts: impl Iterator<Item = &'a str>) -> bool {
    let mut known = HashSet::new();
    texts.all(|text| known.insert(text))
}

/// Returns true for a network, an address, or a host.
fn is_target(text: &str) -> bool {
    let host = |text: &str| !text.is_empty() && !text.contains(['/', ':', ' ']);
    text.parse::<IpNet>().is_ok() || text.parse::<IpAddr>().is_ok() || host(text)
}

fn is_role_and_token(text: &str) -> bool {
    text.split_once('=').is_some_and(|(role, token)| Role::parse(role).is_ok() && is_token(token))
}

fn is_token(text: &str) -> bool {
    TokenDigest::configured(text).is_some()
}

/// Returns true for a host with or without a port, as it is in `Host` and in the `Origin` of a web page.
fn is_host(text: &str) -> bool {
    let authority = text.parse::<Authority>().ok();
    authority.is_some_and(|authority| !authority.host().is_empty() && !text.contains(['@', '*']))
}

/// Returns true for what browsers send as `Origin`, and for the word that stands for those of this machine. Fetch 3.2: in lower
/// case, without a path; or `null`.
fn is_origin(text: &str) -> bool {
    let is_written = |(scheme, host): (&str, &str)| !scheme.is_empty() && is_host(host) && text == text.to_lowercase();
    ["null", "loopback"].contains(&text) || text.split_once("://").is_some_and(is_written)
}

fn is_mode(text: &str) -> bool {
    (3..=4).contains(&text.len()) && u32::from_str_radix(text, 8).is_ok_and(|mode| mode <= 0o777)
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn is_secret(text: &str) -> bool {
    let bytes = text.strip_prefix("whsec_").and_then(|encoded| STANDARD.decode(encoded).ok());
    bytes.is_some_and(|bytes| SECRET_BYTES.contains(&bytes.len()))
}

fn is_namespace(text: &str) -> bool {
    text.len() <= NAMESPACE_BYTES_MAX && !text.contains(|letter: char| letter == '.' || letter.is_control())
}

/// Returns true for valid filter directives. A lone word must be a level: `loud` would be taken for a module name and
/// silence all others.
fn is_filter(text: &str) -> bool {
    let known = |part: &str| part.contains(['=', '[']) || part.contains("::") || part.parse::<LevelFilter>().is_ok();
    let words = text.split(',').map(str::trim);
    !text.trim().is_empty() && words.into_iter().all(known) && EnvFilter::try_new(text).is_ok()
}

#[cfg(test)]
mod tests;
