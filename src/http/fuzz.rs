//! Garbage for the parsers that all listeners and clients share.

use std::io::Write;
use std::sync::LazyLock;

use axum::http::header::{CONTENT_ENCODING, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::runtime::{Builder, Runtime};

use super::coding::{CodingError, Codings};
use super::sse::Decoder;
use super::{hide_credentials, split_credentials};
use crate::mutation::{mutated, mutated_text};

/// Limit of decoded bodies.
const BYTES_MAX: usize = 10_000;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).build().unwrap());

const EVENTS: [&str; 5] = [
    "event: message\nid: 7\ndata: {\"id\":\"7\"}\n\n",
    "data: {\r\ndata:  \"a\": 1\r\ndata: }\r\n\r\n",
    ": still here\n\nretry: 5\nevent: drain\ndata\n\n",
    "\u{feff}data: first\rdata:second\r\r",
    "data\n\ndata\ndata\n\ndata:\n\nevent:x\n\ndata: y\n\n",
];

/// Reads a whole stream of events as the standard says it, at once. HTML Standard 9.2.6.
fn model(stream: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream));
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<&str> = lines.split('\n').collect();
    // What follows the last line break is not complete.
    lines.pop();
    let (mut events, mut name, mut data) = (Vec::new(), "", Vec::new());
    for line in lines {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => {
                let called = if name.is_empty() { "message" } else { name };
                if !data.is_empty() {
                    events.push((called.to_owned(), data.join("\n")));
                }
                (name, data) = ("", Vec::new());
            }
            "event" => name = value,
            "data" => data.push(value),
            _ => {}
        }
    }
    events
}

fn encoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let (mut gzip, mut zlib, mut raw) = (
        flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default()),
        flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default()),
        flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default()),
    );
    [&mut gzip as &mut dyn Write, &mut zlib, &mut raw].into_iter().for_each(|to| to.write_all(bytes).unwrap());
    match coding {
        "gzip" => gzip.finish().unwrap(),
        "deflate" => zlib.finish().unwrap(),
        "raw" => raw.finish().unwrap(),
        _ => zstd::encode_all(bytes, 0).unwrap(),
    }
}

fn headers(name: axum::http::HeaderName, value: &[u8]) -> Option<HeaderMap> {
    Some(HeaderMap::from_iter([(name, HeaderValue::from_bytes(value).ok()?)]))
}

fn decode(coding: &str, body: Vec<u8>) -> Result<Bytes, CodingError> {
    let codings = Codings::of(&headers(CONTENT_ENCODING, coding.as_bytes()).unwrap()).unwrap();
    RUNTIME.block_on(codings.decode(Bytes::from(body), BYTES_MAX))
}

proptest! {
    #[test]
    fn events_are_those_of_the_standard_however_they_are_split(
        stream in mutated(EVENTS), cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut decoder = Decoder::default();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let mut events = Vec::new();
        for cut in cuts.windows(2) {
            events.extend(decoder.push(&stream[cut[0]..cut[1]]).unwrap());
        }
        let events: Vec<(String, String)> = events.into_iter().map(|event| (event.name, event.data)).collect();
        prop_assert_eq!(events, model(&stream));
    }

    #[test]
    fn a_coded_body_is_decoded_to_what_it_was_or_refused_at_the_limit(
        coding in select(&["gzip", "deflate", "raw", "zstd"][..]), byte: u8, bytes in vec(any::<u8>(), 1..200), times in 1_usize..200,
    ) {
        let plain = [bytes.repeat(times), vec![byte; times * 100]].concat();
        let name = if coding == "raw" { "deflate" } else { coding };
        match decode(name, encoded(coding, &plain)) {
            Ok(decoded) => prop_assert_eq!(decoded, plain),
            Err(CodingError::TooLarge { .. }) => prop_assert!(plain.len() > BYTES_MAX),
            // Deflate without its frame may begin like a frame.
            Err(_) => prop_assert_eq!(coding, "raw"),
        }
    }

    #[test]
    fn a_damaged_coded_body_stays_within_its_limit(
        coding in select(&["gzip", "deflate", "zstd", "gzip, zstd", "deflate, deflate, deflate, deflate"][..]),
        body in mutated(["gzip", "deflate", "raw", "zstd"].map(|coding| encoded(coding, &[b'x'; 100_000]))),
    ) {
        if let Ok(decoded) = decode(coding, body) {
            prop_assert!(decoded.len() <= BYTES_MAX);
        }
    }

    #[test]
    fn codings_have_a_bound(value in mutated(["gzip, deflate", "x-gzip", "identity", "chunked", "zstd,,gzip"])) {
        for name in [CONTENT_ENCODING, TRANSFER_ENCODING] {
            if let Some(Err(error)) = headers(name, &value).map(|headers| Codings::of(&headers)) {
                prop_assert!(error.to_string().len() < 1_000);
            }
        }
    }

    #[test]
    fn no_password_is_left_in_a_url_that_is_shown(url in mutated_text(["http://user:pa55@exocom:3100/a?b", "wss://u:pa55@h"])) {
        let (rest, authorization) = split_credentials(&url);
        if let Some(value) = authorization {
            prop_assert!(value.is_sensitive() && rest.len() < url.len());
            prop_assert_eq!(split_credentials(&rest).1.is_some() && rest == url, false);
        }
        drop(hide_credentials(&url));
    }
}
