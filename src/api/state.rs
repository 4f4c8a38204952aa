//! State that all routes share.

use std::sync::Arc;

use crate::http::Limits;
use crate::metrics::Exposition;
use crate::relay::Relay;

/// Sources of operational data other than the relay.
#[derive(Clone)]
pub struct Operations {
    /// The answer to `/metrics`.
    pub(crate) metrics: Arc<Exposition>,
}

/// State of every route.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) relay: Relay,
    pub(super) limits: Arc<Limits>,
    pub(super) operations: Operations,
}
