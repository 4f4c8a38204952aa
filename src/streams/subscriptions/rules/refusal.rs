//! The reasons to say no.

use crate::streams::subscriptions::wire::{IdError, InvalidRequest, SubscriptionId};
use crate::streams::wire::StreamPath;

/// Why a command changed nothing. The text is for the person who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The request cannot be understood.
    #[error("{0}")]
    Invalid(#[from] InvalidRequest),
    /// The id cannot be one.
    #[error("{0}")]
    Id(#[from] IdError),
    /// There is none of this id.
    #[error("there is no subscription {id}")]
    NotFound {
        /// The id.
        id: SubscriptionId,
    },
    /// There is one of this id, with other terms.
    #[error("the subscription {id} exists with other terms")]
    Exists {
        /// The id.
        id: SubscriptionId,
    },
    /// The call is for the other type of subscription.
    #[error("{call} is for subscriptions of type {expected}")]
    OtherType {
        /// The call.
        call: &'static str,
        /// The type.
        expected: &'static str,
    },
    /// A stream is the subscription's own wake stream.
    #[error("{path} is the subscription's own wake_stream: it would wake itself without end")]
    OwnWakeStream {
        /// The stream.
        path: StreamPath,
    },
    /// There is no token, or one that proves nothing.
    #[error("the token is missing, or not one of this subscription")]
    TokenInvalid,
    /// The token is too old.
    #[error("the token has expired")]
    TokenExpired,
    /// The wake is over, or another one has taken its place.
    #[error("this wake is over: the subscription is at generation {current}")]
    Fenced {
        /// The last generation.
        current: u64,
    },
    /// A place that cannot be acknowledged.
    #[error("{path} cannot be acknowledged at {offset}: {reason}")]
    Offset {
        /// The stream.
        path: StreamPath,
        /// The place.
        offset: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Somebody else works on it.
    #[error("{worker} has claimed generation {generation}")]
    Claimed {
        /// Who.
        worker: String,
        /// Which wake.
        generation: u64,
    },
    /// There is nothing to work on.
    #[error("nothing is pending")]
    NothingPending,
    /// There is no place for another subscription.
    #[error("there is no place for another subscription: there are {subscriptions_max}")]
    TooMany {
        /// The bound.
        subscriptions_max: usize,
    },
    /// The subscription would have too many links.
    #[error("a subscription has at most {links_max} streams")]
    TooManyLinks {
        /// The bound.
        links_max: usize,
    },
}
