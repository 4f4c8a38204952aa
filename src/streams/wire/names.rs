//! Header names, in the lower case that every HTTP library of ours uses. PROTOCOL "Names".

/// The protocol's own headers.
#[allow(missing_docs, reason = "each constant is the header's name")]
pub mod header {
    pub const NEXT_OFFSET: &str = "stream-next-offset";
    pub const UP_TO_DATE: &str = "stream-up-to-date";
    pub const CLOSED: &str = "stream-closed";
    pub const CURSOR: &str = "stream-cursor";
    pub const TTL: &str = "stream-ttl";
    pub const EXPIRES_AT: &str = "stream-expires-at";
    pub const SEQ: &str = "stream-seq";
    pub const FORKED_FROM: &str = "stream-forked-from";
    pub const FORK_OFFSET: &str = "stream-fork-offset";
    pub const FORK_SUB_OFFSET: &str = "stream-fork-sub-offset";
    pub const DATA_ENCODING: &str = "stream-sse-data-encoding";
    pub const PRODUCER_ID: &str = "producer-id";
    pub const PRODUCER_EPOCH: &str = "producer-epoch";
    pub const PRODUCER_SEQ: &str = "producer-seq";
    pub const PRODUCER_EXPECTED_SEQ: &str = "producer-expected-seq";
    pub const PRODUCER_RECEIVED_SEQ: &str = "producer-received-seq";
}
