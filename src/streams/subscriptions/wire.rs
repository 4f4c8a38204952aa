//! Bytes to types and back: what clients ask for, what they and receivers get, and what the store keeps.

mod entry;
mod id;
mod invalid;
mod pattern;
mod request;
mod token;
mod view;

pub(crate) use entry::{KeyEntry, LinkEntry, Stage, SubscriptionEntry, link_key, link_of};
pub(crate) use id::{IdError, SubscriptionId};
pub(crate) use invalid::InvalidRequest;
pub(crate) use pattern::{Pattern, Step};
pub(crate) use request::{
    Acknowledgement, Claim, Delivery, Release, Terms, claim_request, done_answer, links_request, release_request,
    stream_in_url, terms_request, wake_request,
};
pub(crate) use token::{Secret, Token, TokenError};
pub(crate) use view::{
    ClaimedView, JwksView, LinkType, StreamView, SubscriptionView, WakeEvent, WakeView, jwk_thumbprint, offset_text,
    signature_header, signed_text,
};
