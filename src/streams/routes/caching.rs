//! Entity tags, `Cache-Control` and cursors of the answers to reads.

use axum::http::HeaderValue;
use uuid::Uuid;

use crate::streams::config::Cache;
use crate::streams::reader::{Reader, Slice};
use crate::streams::service::Streams;
use crate::streams::wire::{EntityTag, Offset, next_cursor};

/// Time that caches may store an answer, in seconds, and time that they may use it while they revalidate it.
const CACHED_S: (u64, u64) = (60, 300);

/// The cursor of an answer to a client that sent this one.
pub(super) fn cursor(streams: &Streams, client: Option<&str>) -> u64 {
    // A random number costs a system call, and is needed only to jump beyond a client's cursor.
    let dice = client.map_or(0, |_| Uuid::new_v4().as_u64_pair().0);
    next_cursor(client, streams.now_ms(), streams.config().cursor_interval_ms, dice)
}

pub(super) fn tag_of(reader: &Reader, slice: &Slice) -> EntityTag {
    let position = |offset: Offset| offset.position().unwrap_or_default();
    EntityTag { log: reader.life(), start: position(slice.start), end: position(slice.next), closed: slice.closed }
}

/// Content never changes, so it can be cached; the end of a stream cannot.
pub(super) fn cache_control(streams: &Streams, reader: &Reader, slice: &Slice) -> HeaderValue {
    let scope = match streams.config().cache {
        Cache::Off => return HeaderValue::from_static("no-store"),
        _ if slice.is_empty() => return HeaderValue::from_static("no-cache"),
        Cache::Public => "public",
        Cache::Private => "private",
    };
    let (fresh_s, stale_s) = CACHED_S;
    let left_s = streams.time_left(reader.lifetime()).map_or(u64::MAX, |left| left.as_secs());
    let (fresh_s, stale_s) = (fresh_s.min(left_s), stale_s.min(left_s.saturating_sub(fresh_s)));
    let text = format!("{scope}, max-age={fresh_s}, stale-while-revalidate={stale_s}");
    HeaderValue::try_from(text).expect("words and numbers are visible ASCII")
}
