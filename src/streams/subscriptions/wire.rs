//! Conversion between bytes and types: requests, responses, webhook bodies and store entries.

mod entry;
mod id;
mod invalid;
mod page;
mod pattern;
mod request;
mod token;
mod view;

pub(crate) use entry::{KeyEntry, LinkEntry, SubscriptionEntry, WakeState, link_key, link_of, links_prefix};
pub(crate) use id::{IdError, SubscriptionId};
pub(crate) use invalid::InvalidRequest;
pub(crate) use page::Page;
pub(crate) use pattern::{Pattern, Segment};
pub(crate) use request::{
    Acknowledgement, Claim, Delivery, Release, Terms, is_done, parse_acknowledgement, parse_claim, parse_links,
    parse_release, parse_terms, parse_url_stream,
};
pub(crate) use token::{Secret, Token, TokenError};
pub(crate) use view::{
    ClaimedView, JwksView, LinkType, StreamView, SubscriptionView, WakeEvent, WakeView, jwk_thumbprint, offset_text,
    signature_header, signed_text,
};
