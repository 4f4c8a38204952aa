//! Header names, in lower case as the http crate requires. PROTOCOL "Names".

/// The protocol's own headers.
#[allow(missing_docs, reason = "each of them is the header's name")]
pub mod header {
    use http::HeaderName;

    pub static NEXT_OFFSET: HeaderName = HeaderName::from_static("stream-next-offset");
    pub static UP_TO_DATE: HeaderName = HeaderName::from_static("stream-up-to-date");
    pub static CLOSED: HeaderName = HeaderName::from_static("stream-closed");
    pub static CURSOR: HeaderName = HeaderName::from_static("stream-cursor");
    pub static TTL: HeaderName = HeaderName::from_static("stream-ttl");
    pub static EXPIRES_AT: HeaderName = HeaderName::from_static("stream-expires-at");
    pub static SEQ: HeaderName = HeaderName::from_static("stream-seq");
    pub static FORKED_FROM: HeaderName = HeaderName::from_static("stream-forked-from");
    pub static FORK_OFFSET: HeaderName = HeaderName::from_static("stream-fork-offset");
    pub static FORK_SUB_OFFSET: HeaderName = HeaderName::from_static("stream-fork-sub-offset");
    pub static DATA_ENCODING: HeaderName = HeaderName::from_static("stream-sse-data-encoding");
    pub static PRODUCER_ID: HeaderName = HeaderName::from_static("producer-id");
    pub static PRODUCER_EPOCH: HeaderName = HeaderName::from_static("producer-epoch");
    pub static PRODUCER_SEQ: HeaderName = HeaderName::from_static("producer-seq");
    pub static PRODUCER_EXPECTED_SEQ: HeaderName = HeaderName::from_static("producer-expected-seq");
    pub static PRODUCER_RECEIVED_SEQ: HeaderName = HeaderName::from_static("producer-received-seq");
}
