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

/// Maximum length of a header, most of which are stored, in bytes.
const HEADER_BYTES_MAX: usize = 1024;

/// Maximum length of `Producer-Id`, in bytes.
const PRODUCER_ID_BYTES_MAX: usize = 256;

/// Maximum length of `Stream-Forked-From`, in bytes: a path, after the prefix of the server's URLs.
const FORKED_FROM_BYTES_MAX: usize = 4096;

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
    /// The value of a header is too long.
    #[error("{name} has {bytes} bytes, at most {bytes_max} are allowed")]
    HeaderTooLong {
        /// The header.
        name: HeaderName,
        /// The length of the value.
        bytes: usize,
        /// The maximum.
        bytes_max: usize,
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
            seq: text(headers, &header::SEQ)?.map(|seq| not_empty(&header::SEQ, seq)).transpose()?,
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, RequestError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let bytes_max = match name {
        name if name == header::PRODUCER_ID => PRODUCER_ID_BYTES_MAX,
        name if name == header::FORKED_FROM => FORKED_FROM_BYTES_MAX,
        _ => HEADER_BYTES_MAX,
    };
    if value.len() > bytes_max {
        return Err(RequestError::HeaderTooLong { name: name.clone(), bytes: value.len(), bytes_max });
    }
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(wrong(name, &String::from_utf8_lossy(value.as_bytes()), "UTF-8")),
    }
}

fn wrong(name: &HeaderName, got: &str, expected: &'static str) -> RequestError {
    RequestError::Header { name: name.clone(), got: got.chars().take(100).collect(), expected }
}

fn not_empty(name: &HeaderName, text: &str) -> Result<Arc<str>, RequestError> {
    if text.is_empty() { Err(wrong(name, text, "at least one character")) } else { Ok(text.into()) }
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
            id: not_empty(&header::PRODUCER_ID, id)?,
            epoch: number(&header::PRODUCER_EPOCH, epoch)?,
            seq: number(&header::PRODUCER_SEQ, seq)?,
        })),
        _ => Err(RequestError::IncompleteProducer),
    }
}

#[cfg(test)]
mod tests;
