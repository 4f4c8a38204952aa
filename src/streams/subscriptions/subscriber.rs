//! The rights of a caller who subscribes: a subscription shows which streams there are and how they grow, and may make the server
//! call a URL or write to a stream.

use axum::http::Extensions;

use super::error::Error;
use super::rules::Refusal;
use super::service::SubscriptionService;
use super::wire::{Delivery, Pattern, SubscriptionId, Terms};
use crate::http::access::{Target, Verb, allow, allow_some, allow_target, is_in_force};
use crate::streams::wire::StreamPath;

/// A caller with the right to some subscriptions.
pub(super) struct Subscriber(Extensions);

impl Subscriber {
    /// Checks that the caller of a request may subscribe to something. Errors: [`Error::Access`].
    pub(super) fn of(extensions: &Extensions) -> Result<Self, Error> {
        allow_some(extensions, Verb::Subscribe).map_err(Error::Access)?;
        Ok(Self(extensions.clone()))
    }

    /// Checks the right to a new subscription; one that writes to a stream needs the right to append to it, too.
    /// Errors: [`Error::Access`].
    pub(super) fn check_terms(&self, terms: &Terms) -> Result<(), Error> {
        if let Delivery::PullWake { stream } = &terms.delivery {
            allow(&self.0, Verb::Append, stream.as_str()).map_err(Error::Access)?;
        }
        self.check_pattern(terms.pattern.as_ref())?;
        self.check_streams(&terms.streams)
    }

    /// Checks the right to subscribe to streams. Errors: [`Error::Access`].
    pub(super) fn check_streams<'a>(&self, paths: impl IntoIterator<Item = &'a StreamPath>) -> Result<(), Error> {
        let mut paths = paths.into_iter();
        paths.try_for_each(|path| allow(&self.0, Verb::Subscribe, path.as_str())).map_err(Error::Access)
    }

    /// Checks the right to a subscription, if it exists. Errors: [`Error::Access`], those of [`SubscriptionService::get`].
    pub(super) async fn check_existing(&self, service: &SubscriptionService, id: &SubscriptionId) -> Result<(), Error> {
        if !is_in_force(&self.0) {
            return Ok(());
        }
        let (pattern, streams) = match service.objects(id).await {
            Ok(objects) => objects,
            Err(Error::Refused(Refusal::NotFound { .. })) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.check_pattern(pattern.as_ref())?;
        self.check_streams(&streams)
    }

    fn check_pattern(&self, pattern: Option<&Pattern>) -> Result<(), Error> {
        let Some(pattern) = pattern else { return Ok(()) };
        allow_target(&self.0, Verb::Subscribe, Target::Matching(pattern.as_str())).map_err(Error::Access)
    }
}
