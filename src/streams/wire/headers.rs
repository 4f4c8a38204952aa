//! The headers of `PUT` and `POST`.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

use super::content_type::ContentType;
use super::names::header;
use super::offset::Offset;
use super::path::{PathError, StreamPath};
use super::time::parse_instant;

/// Maximum epoch and sequence number of a producer: the largest integer that JavaScript represents exactly.
const PRODUCER_NUMBER_MAX: u64 = (1 << 53) - 1;

/// Maximum length of `Stream-Seq` and `Producer-Id`, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// The reason why a request is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The value of a header is invalid.
    #[error("{name} is {got:?}, expected {expected}")]
    Header {
        /// The header.
        name: HeaderName,
        /// The value.
        got: String,
        /// A description of valid values.
        expected: &'static str,
    },
    /// The request has both kinds of lifetime.
    #[error("Stream-TTL and Stream-Expires-At exclude each other: send one of them")]
    TwoLifetimes,
    /// A header of forks on a request that is not a fork.
    #[error("{name} needs Stream-Forked-From")]
    NoFork {
        /// The header.
        name: HeaderName,
    },
    /// Some of a producer's headers are missing.
    #[error("Producer-Id, Producer-Epoch and Producer-Seq must be sent together")]
    IncompleteProducer,
    /// A parameter of the query is invalid.
    #[error("{name} in the query is {got:?}, expected {expected}")]
    Query {
        /// The parameter.
        name: &'static str,
        /// The value.
        got: String,
        /// A description of valid values.
        expected: &'static str,
    },
    /// A parameter occurs in the query more than once.
    #[error("the query has {name} more than once")]
    Repeated {
        /// The parameter.
        name: &'static str,
    },
    /// The query asks to follow the stream without an offset.
    #[error("live needs offset, such as offset=-1 or offset=now")]
    LiveWithoutOffset,
    /// The path is not that of a stream.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// The lifetime of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifetime {
    /// Until it is deleted.
    #[default]
    Unlimited,
    /// Until it was not used for some time.
    Idle {
        /// `Stream-TTL`.
        ttl_s: u64,
    },
    /// Until a point in time.
    Until {
        /// Milliseconds since 1970.
        at_ms: u64,
        /// `Stream-Expires-At`, verbatim.
        text: Arc<str>,
    },
}

/// The source of a fork, and the point at which it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkRequest {
    /// The stream to fork.
    pub source: StreamPath,
    /// The offset; `None` for the end of the source.
    pub offset: Option<Offset>,
    /// Messages, or bytes, of the append after the offset that the fork also contains.
    pub sub_offset: u64,
}

/// A `PUT`, without its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateRequest {
    /// The media type; `None` if it is missing or malformed.
    pub content_type: Option<ContentType>,
    /// The lifetime, if the request has one.
    pub lifetime: Option<Lifetime>,
    /// True to create a closed stream.
    pub closed: bool,
    /// For a fork, its source.
    pub fork: Option<ForkRequest>,
}

impl CreateRequest {
    /// Parses the headers of a `PUT`. `mount` is the prefix of all stream paths in URLs, such as `/v1/stream/`.
    pub fn parse(headers: &HeaderMap, mount: &str) -> Result<Self, RequestError> {
        Ok(Self {
            content_type: content_type(headers)?.and_then(ContentType::parse),
            lifetime: lifetime(headers)?,
            closed: closed(headers),
            fork: fork(headers, mount)?,
        })
    }
}

/// Identifies a request of an idempotent producer. PROTOCOL "Idempotent producers".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerStamp {
    /// The producer's id.
    pub id: Arc<str>,
    /// Incremented when the producer restarts.
    pub epoch: u64,
    /// The number of the request in its epoch, from 0.
    pub seq: u64,
}

/// A `POST`, without its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppendRequest {
    /// The media type; a malformed one counts as the default type, which matches only streams of that type.
    pub content_type: Option<ContentType>,
    /// True to close the stream after the append.
    pub closed: bool,
    /// The writer's own sequence: texts that grow.
    pub seq: Option<Arc<str>>,
    /// The producer's stamp, if the request has one.
    pub producer: Option<ProducerStamp>,
}

impl AppendRequest {
    /// Parses the headers of a `POST`.
    pub fn parse(headers: &HeaderMap) -> Result<Self, RequestError> {
        Ok(Self {
            producer: producer(headers)?,
            content_type: content_type(headers)?.map(|text| ContentType::parse(text).unwrap_or_default()),
            closed: closed(headers),
            seq: text(headers, &header::SEQ)?.map(|seq| bounded(&header::SEQ, seq)).transpose()?,
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, RequestError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(wrong(name, &String::from_utf8_lossy(value.as_bytes()), "UTF-8")),
    }
}

fn wrong(name: &HeaderName, got: &str, expected: &'static str) -> RequestError {
    RequestError::Header { name: name.clone(), got: got.chars().take(100).collect(), expected }
}

fn bounded(name: &HeaderName, text: &str) -> Result<Arc<str>, RequestError> {
    match text.len() {
        1..=TEXT_BYTES_MAX => Ok(text.into()),
        _ => Err(wrong(name, text, "1 to 1024 bytes")),
    }
}

fn content_type(headers: &HeaderMap) -> Result<Option<&str>, RequestError> {
    Ok(text(headers, &CONTENT_TYPE)?.filter(|text| !text.is_empty()))
}

/// True for `true` in any case; any other value counts as absent.
fn closed(headers: &HeaderMap) -> bool {
    headers.get(&header::CLOSED).is_some_and(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"true"))
}

fn lifetime(headers: &HeaderMap) -> Result<Option<Lifetime>, RequestError> {
    let ttl = text(headers, &header::TTL)?;
    let until = text(headers, &header::EXPIRES_AT)?;
    match (ttl, until) {
        (Some(_), Some(_)) => Err(RequestError::TwoLifetimes),
        (None, None) => Ok(None),
        (Some(text), None) => {
            let seconds = decimal(text).ok_or_else(|| wrong(&header::TTL, text, "whole seconds without leading zeros"));
            Ok(Some(Lifetime::Idle { ttl_s: seconds? }))
        }
        (None, Some(text)) => {
            let instant = parse_instant(text);
            let at_ms = instant.ok_or_else(|| {
                wrong(&header::EXPIRES_AT, text, "a time in RFC 3339 format such as 2030-01-01T00:00:00Z")
            })?;
            Ok(Some(Lifetime::Until { at_ms, text: text.into() }))
        }
    }
}

/// `0`, or digits that do not begin with 0.
fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok()).flatten()
}

fn fork(headers: &HeaderMap, mount: &str) -> Result<Option<ForkRequest>, RequestError> {
    let offset = text(headers, &header::FORK_OFFSET)?;
    let sub_offset = text(headers, &header::FORK_SUB_OFFSET)?;
    let Some(source) = text(headers, &header::FORKED_FROM)? else {
        return match (offset, sub_offset) {
            (None, None) => Ok(None),
            (Some(_), _) => Err(RequestError::NoFork { name: header::FORK_OFFSET.clone() }),
            (None, Some(_)) => Err(RequestError::NoFork { name: header::FORK_SUB_OFFSET.clone() }),
        };
    };
    let path = source.strip_prefix(mount);
    let path = path.ok_or_else(|| wrong(&header::FORKED_FROM, source, "the path of a stream's URL"))?;
    let offset = offset
        .map(|text| Offset::parse(text).ok_or_else(|| wrong(&header::FORK_OFFSET, text, "an offset of the source")));
    let sub_offset = sub_offset.map(|text| {
        decimal(text).ok_or_else(|| wrong(&header::FORK_SUB_OFFSET, text, "a count without leading zeros"))
    });
    Ok(Some(ForkRequest {
        source: StreamPath::parse(path)?,
        offset: offset.transpose()?,
        sub_offset: sub_offset.transpose()?.unwrap_or(0),
    }))
}

fn producer(headers: &HeaderMap) -> Result<Option<ProducerStamp>, RequestError> {
    let number = |name, text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten().filter(|number| *number <= PRODUCER_NUMBER_MAX);
        number.ok_or_else(|| wrong(name, text, "a number from 0 to 9007199254740991"))
    };
    let (id, epoch, seq) = (
        text(headers, &header::PRODUCER_ID)?,
        text(headers, &header::PRODUCER_EPOCH)?,
        text(headers, &header::PRODUCER_SEQ)?,
    );
    match (id, epoch, seq) {
        (None, None, None) => Ok(None),
        (Some(id), Some(epoch), Some(seq)) => Ok(Some(ProducerStamp {
            id: bounded(&header::PRODUCER_ID, id)?,
            epoch: number(&header::PRODUCER_EPOCH, epoch)?,
            seq: number(&header::PRODUCER_SEQ, seq)?,
        })),
        _ => Err(RequestError::IncompleteProducer),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).unwrap();
        pairs.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect()
    }

    fn create(pairs: &[(&'static str, &str)]) -> Result<CreateRequest, RequestError> {
        CreateRequest::parse(&headers(pairs), "/v1/stream/")
    }

    fn append(pairs: &[(&'static str, &str)]) -> Result<AppendRequest, RequestError> {
        AppendRequest::parse(&headers(pairs))
    }

    #[test]
    fn a_lifetime_is_whole_seconds_or_an_instant_and_never_both() {
        assert_eq!(create(&[("stream-ttl", "0")]).unwrap().lifetime, Some(Lifetime::Idle { ttl_s: 0 }));
        for text in ["", "-1", "+1", "01", "1.5", "1e3", "abc", "99999999999999999999"] {
            assert!(create(&[("stream-ttl", text)]).is_err(), "{text:?}");
        }
        assert!(create(&[("stream-expires-at", "soon")]).is_err());
        let both = create(&[("stream-ttl", "1"), ("stream-expires-at", "2030-01-01T00:00:00Z")]);
        assert_eq!(both, Err(RequestError::TwoLifetimes));
    }

    #[test]
    fn only_true_in_any_case_closes_and_no_value_is_an_error() {
        for (text, closed) in [("true", true), ("TRUE", true), ("1", false), ("yes", false), ("", false)] {
            assert_eq!(create(&[("stream-closed", text)]).unwrap().closed, closed, "{text:?}");
        }
    }

    #[test]
    fn a_malformed_media_type_is_ignored_on_put_and_matches_nothing_on_post() {
        assert_eq!(create(&[("content-type", "nonsense")]).unwrap().content_type, None);
        assert_eq!(append(&[("content-type", "nonsense")]).unwrap().content_type, Some(ContentType::default()));
        assert_eq!(append(&[("content-type", "")]).unwrap().content_type, None);
    }

    #[test]
    fn a_fork_names_its_source_as_a_url_path() {
        let at = "0000000000000000_0000000000000009";
        let request = create(&[
            ("stream-forked-from", "/v1/stream/a/b"),
            ("stream-fork-offset", at),
            ("stream-fork-sub-offset", "2"),
        ]);
        let fork = request.unwrap().fork.unwrap();
        assert_eq!((fork.source.as_str(), fork.offset, fork.sub_offset), ("a/b", Offset::parse(at), 2));
        assert!(create(&[("stream-forked-from", "a/b")]).is_err());
        assert!(create(&[("stream-forked-from", "/v1/stream/a"), ("stream-fork-offset", "-1")]).is_err());
        assert!(create(&[("stream-fork-sub-offset", "0")]).is_err());
        for text in ["", "-1", "01", "x"] {
            assert!(create(&[("stream-forked-from", "/v1/stream/a"), ("stream-fork-sub-offset", text)]).is_err());
        }
    }

    #[test]
    fn a_producer_has_all_of_its_headers_or_none() {
        let (id, epoch, seq) = (("producer-id", "p"), ("producer-epoch", "1"), ("producer-seq", "2"));
        let stamp = append(&[id, epoch, seq]).unwrap().producer.unwrap();
        assert_eq!((&*stamp.id, stamp.epoch, stamp.seq), ("p", 1, 2));
        for half in [&[id][..], &[epoch], &[id, seq], &[epoch, seq]] {
            assert_eq!(append(half), Err(RequestError::IncompleteProducer));
        }
        assert!(append(&[("producer-id", ""), epoch, seq]).is_err());
        for text in ["", "-1", "1.0", "9007199254740992", "abc"] {
            assert!(append(&[id, ("producer-epoch", text), seq]).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 10)) {
            let names = [
                &header::TTL, &header::EXPIRES_AT, &header::CLOSED, &header::SEQ, &header::FORKED_FROM,
                &header::FORK_OFFSET, &header::FORK_SUB_OFFSET, &header::PRODUCER_ID, &header::PRODUCER_EPOCH,
                &header::PRODUCER_SEQ,
            ];
            for count in 0..names.len() {
                let pairs = names.into_iter().zip(&values).take(count + 1);
                // Bytes that cannot be in a header are never parsed.
                let values = pairs.filter_map(|(name, value)| Some((name.clone(), HeaderValue::from_bytes(value).ok()?)));
                let headers: HeaderMap = values.collect();
                CreateRequest::parse(&headers, "/v1/stream/").ok();
                AppendRequest::parse(&headers).ok();
            }
        }
    }
}
