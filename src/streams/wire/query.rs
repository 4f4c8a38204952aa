//! The query of a `GET`.

use percent_encoding::percent_decode_str;

use super::headers::RequestError;
use super::offset::Offset;

/// Maximum length of a cursor, which is a number, in bytes.
const CURSOR_BYTES_MAX: usize = 20;

/// The position where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// At the start of the stream.
    Start,
    /// At the current end.
    Now,
    /// After an offset.
    After(Offset),
}

/// The way in which a reader follows the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    /// Not at all: it reads what there is.
    No,
    /// One request for the next data.
    LongPoll,
    /// Server-sent events.
    Events,
}

/// The query of a `GET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRequest {
    /// The position where reading begins.
    pub from: Begin,
    /// The way in which the reader follows.
    pub live: Live,
    /// The last cursor that it got.
    pub cursor: Option<String>,
}

impl ReadRequest {
    /// Parses the query; unknown parameters are ignored. PROTOCOL "Query parameters".
    pub fn parse(query: &str) -> Result<Self, RequestError> {
        let offset = parameter(query, "offset")?;
        let live = match parameter(query, "live")?.as_deref() {
            None => Live::No,
            Some("long-poll") => Live::LongPoll,
            Some("sse") => Live::Events,
            Some(got) => return Err(wrong("live", got, "long-poll or sse")),
        };
        if live != Live::No && offset.is_none() {
            return Err(RequestError::LiveWithoutOffset);
        }
        let from = match offset.as_deref() {
            None | Some("-1") => Begin::Start,
            Some("now") => Begin::Now,
            Some(text) => Begin::After(
                Offset::parse(text).ok_or_else(|| wrong("offset", text, "-1, now, or an offset of the stream"))?,
            ),
        };
        // A longer one is not from this server.
        let cursor = parameter(query, "cursor").unwrap_or_default().filter(|cursor| cursor.len() <= CURSOR_BYTES_MAX);
        Ok(Self { from, live, cursor })
    }
}

fn wrong(name: &'static str, got: &str, expected: &'static str) -> RequestError {
    RequestError::Query { name, got: got.chars().take(100).collect(), expected }
}

fn parameter(query: &str, name: &'static str) -> Result<Option<String>, RequestError> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut values = pairs.filter(|(key, _)| decoded(key) == name).map(|(_, value)| decoded(value));
    let value = values.next();
    match values.next() {
        None => Ok(value),
        Some(_) => Err(RequestError::Repeated { name }),
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reading_begins_at_the_start_now_or_after_an_offset() {
        let from = |query| ReadRequest::parse(query).map(|request| request.from);
        assert_eq!(from(""), Ok(Begin::Start));
        assert_eq!(from("offset=-1&unknown=x"), Ok(Begin::Start));
        assert_eq!(from("offset=now"), Ok(Begin::Now));
        assert_eq!(from("offset=0000000000000000%5F0000000000000000"), Ok(Begin::After(Offset::START)));
        for query in ["offset=", "offset", "offset=a,b", "offset=..", "offset=%00", "offset=-1&offset=-1", "offset=NOW"]
        {
            assert!(from(query).is_err(), "{query}");
        }
    }

    #[test]
    fn following_needs_an_offset_and_a_known_mode() {
        assert_eq!(ReadRequest::parse("live=sse"), Err(RequestError::LiveWithoutOffset));
        assert_eq!(ReadRequest::parse("live=sse&offset=now").unwrap().live, Live::Events);
        assert!(ReadRequest::parse("live=yes&offset=now").is_err());
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(query in "\\PC{0,60}") {
            ReadRequest::parse(&query).ok();
        }
    }
}
