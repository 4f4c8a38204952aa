//! Messages of the registry: change events of the state protocol 0.3, with one row per stream.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

use super::entry::StreamEntry;
use super::headers::Lifetime;
use super::path::StreamPath;
use super::time::print_instant;

/// The kind of a message. The state protocol allows no headers of ours, so the reason for the end of a stream is part of the
/// deleted row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    /// A stream was created.
    Insert,
    /// A stream has changed.
    Update,
    /// A stream was deleted by a client.
    Deleted,
    /// A stream has expired.
    Expired,
}

#[derive(Serialize)]
struct Message<'a> {
    r#type: &'static str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Description<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_value: Option<Description<'a>>,
    headers: Operation,
}

#[derive(Serialize)]
struct Operation {
    operation: &'static str,
    timestamp: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Description<'a> {
    path: &'a str,
    content_type: &'a str,
    created_at: u64,
    closed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forked_from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fork_offset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fork_sub_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// The record of a message, with its comma, about the stream as it is, or was until `at_ms`.
pub(crate) fn registry_record(row: Row, path: &StreamPath, entry: &StreamEntry, at_ms: u64) -> Bytes {
    let (operation, reason) = match row {
        Row::Insert => ("insert", None),
        Row::Update => ("update", None),
        Row::Deleted => ("delete", Some("deleted")),
        Row::Expired => ("delete", Some("expired")),
    };
    let description = Description { reason, ..describe(path, entry) };
    let (value, old_value) = if reason.is_none() { (Some(description), None) } else { (None, Some(description)) };
    let headers = Operation { operation, timestamp: print_instant(at_ms) };
    let message = Message { r#type: "stream", key: path.as_str(), value, old_value, headers };
    let mut record = BytesMut::new().writer();
    serde_json::to_writer(&mut record, &message).expect("numbers and texts can be written to memory");
    let mut record = record.into_inner();
    record.put_u8(b',');
    record.freeze()
}

/// Returns roughly the length of a record about the stream: at least half of it.
pub(crate) fn registry_record_bytes(path: &StreamPath, entry: &StreamEntry) -> u64 {
    let source = entry.origin.as_ref().map_or(0, |origin| origin.source.len() + 80);
    (2 * path.as_str().len() + entry.content_type.as_str().len() + source + 200) as u64
}

fn describe<'a>(path: &'a StreamPath, entry: &'a StreamEntry) -> Description<'a> {
    let (ttl_seconds, expires_at) = match &entry.lifetime {
        Lifetime::Unlimited => (None, None),
        Lifetime::Idle { ttl_s } => (Some(*ttl_s), None),
        Lifetime::Until { text, .. } => (None, Some(&**text)),
    };
    let origin = entry.origin.as_ref();
    Description {
        path: path.as_str(),
        content_type: entry.content_type.as_str(),
        created_at: entry.created_ms,
        closed: entry.closed.is_some(),
        ttl_seconds,
        expires_at,
        forked_from: origin.map(|origin| origin.source.as_str()),
        fork_offset: origin.map(|origin| origin.offset().to_string()),
        fork_sub_offset: origin.map(|origin| origin.sub_offset).filter(|sub_offset| *sub_offset > 0),
        reason: None,
    }
}
