//! Garbage for the parsers of streams.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::value::RawValue;

use super::wire::{
    AppendRequest, ContentType, CreateRequest, JsonError, Offset, ProducerEntry, ReadRequest, StreamEntry, StreamPath,
    messages_end, record_of, whole_messages,
};
use crate::mutation::{mutated, mutated_text};

const PATHS: [&str; 8] =
    ["orders", "orders/2024/eu", "a%20b", "%C3%A9", "__registry__", "a/%2e%2e/b", "__ds/subscriptions", "a;v=1/b"];

const OFFSETS: [&str; 4] = [
    "0000000000000000_0000000000000042",
    "9999999999999999_9999999999999999",
    "-1",
    "0000000000000001_0000000000000000",
];

const TYPES: [&str; 5] = [
    "application/json",
    "text/plain; charset=utf-8",
    "text/plain;charset=\"iso-8859-1\"",
    "a/b",
    "application/x.y+json;q=1",
];

const NAMES: [&str; 13] = [
    "content-type",
    "stream-ttl",
    "stream-expires-at",
    "stream-closed",
    "stream-forked-from",
    "stream-fork-offset",
    "stream-fork-sub-offset",
    "stream-seq",
    "producer-id",
    "producer-epoch",
    "producer-seq",
    "if-none-match",
    "stream-cursor",
];

const VALUES: [&str; 9] = [
    "application/json",
    "3600",
    "2030-01-01T00:00:00Z",
    "2030-01-01T00:00:00.123+01:30",
    "true",
    "/v1/stream/orders",
    "0000000000000000_0000000000000042",
    "writer-1",
    "7",
];

const JSON: [&str; 8] = [
    "[1,2]",
    "[[1,2],[3,4]]",
    r#"{"a":[1,"]",{"b":"\"}"}]}"#,
    r#" [ "a\\" , {"x":null} , -1.5e3 ] "#,
    "true",
    "[]",
    r#""text \u00e9""#,
    r#"[{"id":1,"tags":["a","b"]},{"id":2}]"#,
];

fn headers() -> impl Strategy<Value = HeaderMap> {
    let examples = VALUES.into_iter().chain(OFFSETS).chain(TYPES);
    vec((select(&NAMES[..]), mutated(examples)), 0..6).prop_map(|headers| {
        let valid = headers
            .into_iter()
            .filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_bytes(&value).ok()?)));
        let mut map = HeaderMap::new();
        for (name, value) in valid {
            map.append(name, value);
        }
        map
    })
}

/// Returns the messages of a body as serde reads it, verbatim; `None` if it is not JSON.
fn model(body: &[u8]) -> Option<Vec<String>> {
    let whole: &RawValue = serde_json::from_slice(body).ok()?;
    let text = |value: &RawValue| value.get().to_owned();
    match whole.get().starts_with('[') {
        true => Some(serde_json::from_str::<Vec<&RawValue>>(whole.get()).ok()?.into_iter().map(text).collect()),
        false => Some(vec![text(whole)]),
    }
}

/// Splits a record at the ends of its messages.
fn messages_of(record: &[u8]) -> Vec<String> {
    let (mut rest, mut messages) = (record, Vec::new());
    while let Some(end) = messages_end(rest, 1) {
        let message = String::from_utf8(rest[..end - 1].to_vec()).unwrap();
        messages.push(message.trim_matches([' ', '\t', '\r', '\n']).to_owned());
        rest = &rest[end..];
    }
    assert_eq!(rest, b"");
    messages
}

proptest! {
    #[test]
    fn a_path_is_read_in_one_way_and_never_leads_upwards(text in mutated_text(PATHS)) {
        if let Ok(path) = StreamPath::parse(&text) {
            prop_assert_eq!(StreamPath::parse(path.as_str()), Ok(path.clone()));
            prop_assert!(path.as_str().len() <= 3 * StreamPath::BYTES_MAX);
            let decoded = percent_encoding::percent_decode_str(path.as_str()).decode_utf8_lossy().into_owned();
            let segments: BTreeSet<&str> = decoded.split(['/', '\\']).collect();
            prop_assert!(!segments.contains("..") && !segments.contains(".") && !segments.contains(""), "{:?}", path);
            prop_assert!(HeaderValue::from_str(path.as_str()).is_ok());
        }
        drop(StreamPath::stored(&text));
    }

    #[test]
    fn an_offset_has_one_text(text in mutated_text(OFFSETS)) {
        if let Some(offset) = Offset::parse(&text) {
            prop_assert_eq!(offset.to_string(), text);
        }
    }

    #[test]
    fn a_content_type_can_be_sent_back(text in mutated_text(TYPES)) {
        if let Some(content_type) = ContentType::parse(&text) {
            prop_assert_eq!(ContentType::parse(content_type.as_str()), Some(content_type.clone()));
            prop_assert!(HeaderValue::from_str(content_type.as_str()).is_ok());
            let _ = (content_type.kind(), content_type.is_utf8());
        }
    }

    #[test]
    fn headers_of_requests_never_panic(headers in headers()) {
        let (created, appended) = (CreateRequest::parse(&headers, "/v1/stream/"), AppendRequest::parse(&headers));
        // What is wrong can be said in an answer.
        drop((created.map_err(|error| error.to_string()), appended.map_err(|error| error.to_string())));
    }

    #[test]
    fn queries_never_panic(
        query in mutated_text(["offset=-1&live=sse", "offset=0000000000000000_0000000000000042&live=long-poll&cursor=7", "offset=now&x=%41"]),
    ) {
        drop(ReadRequest::parse(&query).map_err(|error| error.to_string()));
    }

    #[test]
    fn an_append_has_the_messages_that_serde_reads(body in mutated(JSON)) {
        match (record_of(&body), model(&body)) {
            (Ok(record), Some(messages)) => {
                let record = record.unwrap_or_default();
                prop_assert_eq!(messages_of(&record), messages.clone());
                prop_assert_eq!(messages_end(&record, messages.len() as u64), Some(record.len()));
                prop_assert_eq!(whole_messages(&record, record.len()), record.len());
            }
            (Err(JsonError::NotText { at }), None) => prop_assert!(at < body.len()),
            (Err(JsonError::Syntax { .. }), None) => {}
            (record, messages) => prop_assert!(false, "{:?} {:?}", record, messages),
        }
    }

    #[test]
    fn records_and_entries_of_a_damaged_store_never_panic(bytes in mutated(JSON), key in mutated(PATHS), count in 0_u64..9) {
        let end = messages_end(&bytes, count);
        prop_assert!(end.is_none_or(|end| end <= bytes.len()));
        prop_assert!(whole_messages(&bytes, count as usize * 9) <= bytes.len());
        drop(StreamEntry::read(&key, &bytes));
        drop(ProducerEntry::read(&bytes));
        let _ = Bytes::from(bytes);
    }
}
