//! Errors of the rules of subscriptions.

use crate::streams::subscriptions::wire::{IdError, InvalidRequest, SubscriptionId};
use crate::streams::wire::StreamPath;

/// The reason a request was refused. Nothing has changed. The message is for the person who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The request is malformed.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// The id is malformed.
    #[error(transparent)]
    Id(#[from] IdError),
    /// No subscription has this id.
    #[error("subscription {id} does not exist")]
    NotFound {
        /// The id.
        id: SubscriptionId,
    },
    /// A subscription with this id and other terms exists.
    #[error("subscription {id} exists with other terms")]
    Exists {
        /// The id.
        id: SubscriptionId,
    },
    /// The call is for the other type of subscription.
    #[error("{call} is only for subscriptions of type {expected}")]
    OtherType {
        /// The name of the call.
        call: &'static str,
        /// The type it is for.
        expected: &'static str,
    },
    /// The stream is the subscription's own wake stream.
    #[error("{path} is the subscription's own wake_stream: it would wake itself endlessly")]
    OwnWakeStream {
        /// The stream.
        path: StreamPath,
    },
    /// The token is missing or invalid.
    #[error("the token is missing, or not valid for this subscription")]
    TokenInvalid,
    /// The token has expired.
    #[error("the token has expired")]
    TokenExpired,
    /// The wake has ended or was replaced by another one.
    #[error("this wake has ended: the subscription is at generation {current}")]
    Fenced {
        /// The current generation.
        current: u64,
    },
    /// The offset cannot be acknowledged.
    #[error("{path} cannot be acknowledged at {offset}: {reason}")]
    Offset {
        /// The stream.
        path: StreamPath,
        /// The offset.
        offset: String,
        /// The reason.
        reason: &'static str,
    },
    /// Another worker holds the lease.
    #[error("{worker} has claimed generation {generation}")]
    Claimed {
        /// The worker.
        worker: String,
        /// The generation of its wake.
        generation: u64,
    },
    /// No stream has unacknowledged data.
    #[error("nothing is pending")]
    NothingPending,
    /// The limit on subscriptions is reached.
    #[error("cannot add a subscription: the limit of {subscriptions_max} is reached")]
    TooMany {
        /// The limit.
        subscriptions_max: usize,
    },
    /// The limit on the links, or the bytes, of all subscriptions is exceeded.
    #[error(
        "the streams that it names do not fit: all subscriptions together may have {links_max} links, and {bytes_max} bytes with \
         their texts (streams.subscriptions_links_max, streams.subscriptions_bytes_max)"
    )]
    TooManyLinks {
        /// The limit of links.
        links_max: usize,
        /// The limit of bytes.
        bytes_max: usize,
    },
    /// The patterns of all subscriptions have too many segments.
    #[error(
        "cannot add the pattern: those of all subscriptions may have {segments_max} different segments together; expected a \
         shorter one, or one that begins as others do"
    )]
    TooManyPatterns {
        /// The limit.
        segments_max: usize,
    },
}
