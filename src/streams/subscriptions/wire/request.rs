//! Request bodies.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::invalid::InvalidRequest;
use super::pattern::Pattern;
use crate::streams::wire::{Offset, StreamPath};

/// Allowed lease times.
const LEASE_TTL_MS: RangeInclusive<u64> = 1_000..=600_000;

const LEASE_TTL_DEFAULT_MS: u64 = 30_000;

const DESCRIPTION_BYTES_MAX: usize = 4096;

/// Maximum length of the URL of a webhook, in bytes.
const URL_BYTES_MAX: usize = 2048;

/// Maximum number of streams that one request names.
const STREAMS_MAX: usize = 10_000;

const WORKER_BYTES_MAX: usize = 256;

/// The definition of a subscription. Requests with equal terms are for the same subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    pub(crate) delivery: Delivery,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) streams: BTreeSet<StreamPath>,
    pub(crate) lease_ttl_ms: u64,
    pub(crate) description: Option<String>,
}

/// The way wakes are delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Delivery {
    /// A call to a URL.
    Webhook { url: String },
    /// An event in a stream that workers read.
    PullWake { stream: StreamPath },
}

/// A request to acknowledge offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acknowledgement {
    pub(crate) wake_id: String,
    pub(crate) generation: u64,
    /// Streams with offsets; `None` is "-1".
    pub(crate) acks: Vec<(StreamPath, Option<Offset>)>,
    pub(crate) done: bool,
}

/// A request of a worker for the lease of a wake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) worker: String,
}

/// A request to end a wake without acknowledging anything.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Release {
    pub(crate) wake_id: String,
    pub(crate) generation: u64,
}

#[derive(Deserialize)]
struct RawTerms {
    r#type: String,
    pattern: Option<String>,
    streams: Option<Vec<String>>,
    webhook: Option<RawWebhook>,
    wake_stream: Option<String>,
    lease_ttl_ms: Option<u64>,
    description: Option<String>,
}

#[derive(Deserialize)]
struct RawWebhook {
    url: String,
}

#[derive(Deserialize)]
struct RawLinks {
    streams: Vec<String>,
}

#[derive(Deserialize)]
struct RawAcknowledgement {
    wake_id: String,
    generation: u64,
    #[serde(default)]
    acks: Vec<RawAck>,
    #[serde(default)]
    done: bool,
}

#[derive(Deserialize)]
struct RawAck {
    stream: String,
    offset: String,
}

#[derive(Deserialize)]
struct RawClaim {
    worker: String,
}

/// Parses the body that creates a subscription; does not check whether its URL may be called. Errors:
/// [`InvalidRequest`].
pub(crate) fn parse_terms(body: &[u8]) -> Result<Terms, InvalidRequest> {
    let raw: RawTerms = parse(body)?;
    let delivery = match (raw.r#type.as_str(), raw.webhook, raw.wake_stream) {
        ("webhook", Some(webhook), _) if webhook.url.len() > URL_BYTES_MAX => {
            return refuse(&format!("webhook.url is longer than {URL_BYTES_MAX} bytes"));
        }
        ("webhook", Some(webhook), _) => Delivery::Webhook { url: webhook.url },
        ("webhook", None, _) => return refuse("type \"webhook\" needs webhook.url"),
        ("pull-wake", _, Some(stream)) => Delivery::PullWake { stream: path("wake_stream", &stream)? },
        ("pull-wake", _, None) => return refuse("type \"pull-wake\" needs wake_stream"),
        (other, ..) => return refuse(&format!("type is {other:.100?}, expected \"webhook\" or \"pull-wake\"")),
    };
    let pattern = raw.pattern.map(|text| Pattern::parse(&text)).transpose()?;
    let streams = paths(&raw.streams.unwrap_or_default())?;
    if pattern.is_none() && streams.is_empty() {
        return refuse("a subscription needs a pattern, streams, or both");
    }
    let lease_ttl_ms = raw.lease_ttl_ms.unwrap_or(LEASE_TTL_DEFAULT_MS);
    if !LEASE_TTL_MS.contains(&lease_ttl_ms) {
        let (min, max) = (LEASE_TTL_MS.start(), LEASE_TTL_MS.end());
        return refuse(&format!("lease_ttl_ms is {lease_ttl_ms}, expected {min} to {max}"));
    }
    if raw.description.as_ref().is_some_and(|text| text.len() > DESCRIPTION_BYTES_MAX) {
        return refuse(&format!("description is longer than {DESCRIPTION_BYTES_MAX} bytes"));
    }
    if matches!(&delivery, Delivery::PullWake { stream } if streams.contains(stream)) {
        return refuse("streams contains the subscription's own wake_stream, which would wake it endlessly");
    }
    if matches!(&delivery, Delivery::PullWake { stream } if stream.is_registry()) {
        return refuse("wake_stream is the registry, which only the server writes to; expected another stream");
    }
    Ok(Terms { delivery, pattern, streams, lease_ttl_ms, description: raw.description })
}

/// Parses the body that links streams. Errors: [`InvalidRequest`].
pub(crate) fn parse_links(body: &[u8]) -> Result<BTreeSet<StreamPath>, InvalidRequest> {
    let raw: RawLinks = parse(body)?;
    match raw.streams.is_empty() {
        true => refuse("streams is empty, expected at least one path"),
        false => paths(&raw.streams),
    }
}

/// Reads the body of a callback or an ack. Errors: [`InvalidRequest`].
pub(crate) fn parse_acknowledgement(body: &[u8]) -> Result<Acknowledgement, InvalidRequest> {
    let raw: RawAcknowledgement = parse(body)?;
    let offset = |text: &str| match text {
        "-1" => Ok(None),
        text => Offset::parse(text).map(Some).ok_or_else(|| invalid_offset(text)),
    };
    let acks = raw.acks.iter().map(|ack| Ok((path("stream", &ack.stream)?, offset(&ack.offset)?)));
    let acks = acks.collect::<Result<_, InvalidRequest>>()?;
    Ok(Acknowledgement { wake_id: raw.wake_id, generation: raw.generation, acks, done: raw.done })
}

/// Parses the body of a claim. Errors: [`InvalidRequest`].
pub(crate) fn parse_claim(body: &[u8]) -> Result<Claim, InvalidRequest> {
    let raw: RawClaim = parse(body)?;
    match raw.worker.is_empty() || raw.worker.len() > WORKER_BYTES_MAX {
        true => refuse(&format!("worker must have 1 to {WORKER_BYTES_MAX} bytes")),
        false => Ok(Claim { worker: raw.worker }),
    }
}

/// Parses the body of a release. Errors: [`InvalidRequest`].
pub(crate) fn parse_release(body: &[u8]) -> Result<Release, InvalidRequest> {
    parse(body)
}

/// Returns true if the answer to a webhook is `{"done": true}`.
pub(crate) fn is_done(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Answer {
        done: bool,
    }
    serde_json::from_slice(body).is_ok_and(|answer: Answer| answer.done)
}

/// Parses the path of a stream in the URL of a control route, percent-decoded by the router. Errors:
/// [`InvalidRequest`].
pub(crate) fn parse_url_stream(decoded: &str) -> Result<StreamPath, InvalidRequest> {
    path("the stream in the URL", decoded)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, InvalidRequest> {
    serde_json::from_slice(body).map_err(|error| InvalidRequest(format!("the body: {error}")))
}

fn paths(texts: &[String]) -> Result<BTreeSet<StreamPath>, InvalidRequest> {
    if texts.len() > STREAMS_MAX {
        return refuse(&format!("streams has {} paths, at most {STREAMS_MAX} are allowed", texts.len()));
    }
    texts.iter().map(|text| path("streams", text)).collect()
}

fn path(field: &str, text: &str) -> Result<StreamPath, InvalidRequest> {
    StreamPath::parse(text).map_err(|error| InvalidRequest(format!("{field}: {error}")))
}

fn refuse<T>(reason: &str) -> Result<T, InvalidRequest> {
    Err(InvalidRequest(reason.to_owned()))
}

fn invalid_offset(text: &str) -> InvalidRequest {
    InvalidRequest(format!("offset: {text:.100?} is not an offset"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn terms_are_equal_regardless_of_spelling_and_order() {
        let one = br#"{"type":"webhook","pattern":"%61/*","streams":["b","a","b"],"webhook":{"url":"https://x"}}"#;
        let other = br#"{"webhook":{"url":"https://x","more":1},"lease_ttl_ms":30000,"streams":["a","b"],
            "pattern":"a/*","type":"webhook","unknown":true}"#;
        assert_eq!(parse_terms(one).unwrap(), parse_terms(other).unwrap());
    }

    #[test]
    fn missing_fields_are_named() {
        let check = |body: &str, words: &str| {
            let refused = parse_terms(body.as_bytes()).unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        };
        check(r#"{"pattern":"a"}"#, "missing field `type`");
        check(r#"{"type":"webhook","pattern":"a"}"#, "webhook.url");
        check(r#"{"type":"pull-wake","pattern":"a"}"#, "wake_stream");
        check(r#"{"type":"webhook","webhook":{"url":"https://x"}}"#, "a pattern, streams, or both");
        check(r#"{"type":"pull-wake","wake_stream":"w","streams":["w"]}"#, "endlessly");
        check(r#"{"type":"pull-wake","wake_stream":"__registry__","pattern":"a"}"#, "only the server writes to");
    }

    #[test]
    fn only_a_literal_done_true_means_done() {
        assert!(is_done(br#"{"done":true,"more":1}"#));
        for other in ["", "{}", "true", r#"{"done":false}"#, r#"{"done":"true"}"#, r#"{"done":true"#] {
            assert!(!is_done(other.as_bytes()), "{other}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(parse_terms(&body).is_err());
            prop_assert!(parse_acknowledgement(&body).is_err());
            prop_assert!(!is_done(&body));
            parse_links(&body).ok();
            parse_claim(&body).ok();
            parse_release(&body).ok();
        }
    }
}
