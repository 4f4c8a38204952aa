//! `Cache-Control`, `Vary` and cursors of the answers to reads.

use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, VARY};
use axum::http::{HeaderMap, HeaderValue};
use uuid::Uuid;

use super::content::Content;
use crate::streams::config::Cache;
use crate::streams::reader::Reader;
use crate::streams::service::Streams;
use crate::streams::wire::{Begin, Lifetime, next_cursor};

/// Time that caches may store content that never changes, in seconds: a year, the longest that RFC 9111 readers honour.
const CACHED_S: u64 = 365 * 24 * 60 * 60;

/// The cursor of an answer to a client that sent this one.
pub(super) fn cursor(streams: &Streams, client: Option<&str>) -> u64 {
    // A random number costs a system call, and is needed only to jump beyond a client's cursor.
    let dice = client.map_or(0, |_| Uuid::new_v4().as_u64_pair().0);
    next_cursor(client, streams.now_ms(), streams.config().cursor_interval_ms, dice)
}

/// Returns the `Cache-Control` of a read. It is cached for long only if its URL names the era of this stream and nothing can
/// be added to it: such an answer never changes. Every other one is revalidated, because the stream may grow, or be
/// deleted and made again, also as a fork: what a fork inherits has the era of its source, as another fork of that name would.
pub(super) fn cache_control(streams: &Streams, reader: &Reader, (from, content): (Begin, &Content)) -> HeaderValue {
    let scope = match streams.config().cache {
        Cache::Off => return HeaderValue::from_static("no-store"),
        Cache::Public => "public",
        Cache::Private => "private",
    };
    let names_era = matches!(from, Begin::After(offset) if reader.is_of_own_era(offset));
    let fixed = content.closed || !content.up_to_date;
    let left_s = time_left(streams, reader.lifetime()).map_or(u64::MAX, |left| left.as_secs());
    let text = match names_era && fixed && left_s > 0 {
        true => format!("{scope}, max-age={}, immutable", left_s.min(CACHED_S)),
        false => format!("{scope}, no-cache"),
    };
    HeaderValue::try_from(text).expect("words and numbers are visible ASCII")
}

/// Returns the time until a stream of this lifetime expires if it is not used; `None` if it never does.
fn time_left(streams: &Streams, lifetime: &Lifetime) -> Option<Duration> {
    match lifetime {
        Lifetime::Unlimited => None,
        Lifetime::Idle { ttl_s } => Some(Duration::from_secs(*ttl_s)),
        Lifetime::Until { at_ms, .. } => Some(Duration::from_millis(at_ms.saturating_sub(streams.now_ms()))),
    }
}

/// Adds that the answer may depend on the caller: a proxy in front may let only some read.
pub(super) fn vary(headers: &mut HeaderMap) {
    let others = headers.get_all(VARY).iter().filter_map(|value| value.to_str().ok());
    let all = std::iter::once("authorization").chain(others).collect::<Vec<_>>().join(", ");
    headers.insert(VARY, HeaderValue::try_from(all).expect("the parts are values of headers"));
}

/// Keeps shared caches from storing an answer that its caller had to have a right for.
pub(super) fn make_private(headers: &mut HeaderMap) {
    let text = headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
    if let Some(rest) = text.and_then(|text| text.strip_prefix("public")) {
        let value = HeaderValue::try_from(format!("private{rest}"));
        headers.insert(CACHE_CONTROL, value.expect("it is a header already, with another word"));
    }
}
