//! What those who were woken may do: claim, acknowledge, release.

use std::sync::Arc;

use super::board::Board;
use super::changes::{kept, link_kept};
use super::refusal::Refusal;
use super::subscription::Subscription;
use crate::streams::rules::Change;
use crate::streams::subscriptions::wire::{
    Acknowledgement, Claim, ClaimedView, Release, Stage, SubscriptionId, Token, TokenError,
};

/// Which way an acknowledgement comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the receiver of a webhook.
    Callback,
    /// From a worker that has claimed a wake.
    Ack,
}

impl Board {
    /// Gives the work to a worker: the wake in flight, or a new one. Errors: [`Refusal::NotFound`],
    /// [`Refusal::OtherType`], [`Refusal::Claimed`], [`Refusal::NothingPending`].
    pub(crate) fn claim(
        &mut self,
        now_ms: u64,
        id: &SubscriptionId,
        claim: Claim,
        changes: &mut Vec<Change>,
    ) -> Result<ClaimedView, Refusal> {
        let subscription = self.find(id)?;
        if subscription.is_webhook() {
            return Err(Refusal::OtherType { call: "claim", expected: "pull-wake" });
        }
        if let Some(worker) = subscription.holder(now_ms) {
            return Err(Refusal::Claimed { worker, generation: subscription.entry.generation });
        }
        let over = matches!(subscription.entry.wake, Some(Stage::Held { .. }) | None);
        let nothing = !self.has_pending(subscription);
        let subscription = self.find_mut(id)?;
        if nothing {
            if subscription.entry.wake.take().is_some() {
                changes.push(kept(subscription));
            }
            self.plan(id);
            return Err(Refusal::NothingPending);
        }
        if over {
            subscription.entry.generation += 1;
        }
        let lease_ttl_ms = subscription.entry.terms.lease_ttl_ms;
        let worker = Some(Arc::from(claim.worker));
        subscription.entry.wake = Some(Stage::Held { worker, until_ms: now_ms.saturating_add(lease_ttl_ms) });
        changes.push(kept(subscription));
        self.plan(id);
        let subscription = self.find(id)?;
        let expires_ms = now_ms.saturating_add(self.bounds.token_ttl_ms);
        let token = self.secret.as_ref().map(|secret| subscription.token(secret, expires_ms)).unwrap_or_default();
        let (wake_id, generation) = (subscription.wake_id(), subscription.entry.generation);
        Ok(ClaimedView { wake_id, generation, token, streams: self.snapshot(subscription), lease_ttl_ms })
    }

    /// Takes places as acknowledged, all of them or none; ends the wake when it is done, and goes on with it otherwise.
    /// Returns whether there will be another wake. Errors: [`Refusal::NotFound`], [`Refusal::OtherType`],
    /// [`Refusal::TokenInvalid`], [`Refusal::TokenExpired`], [`Refusal::Fenced`], [`Refusal::Offset`].
    pub(crate) fn acknowledge(
        &mut self,
        now_ms: u64,
        (id, way, bearer): (&SubscriptionId, Way, Option<&str>),
        request: &Acknowledgement,
        changes: &mut Vec<Change>,
    ) -> Result<bool, Refusal> {
        let subscription = self.find(id)?;
        match (way, subscription.is_webhook()) {
            (Way::Callback, true) | (Way::Ack, false) => {}
            (Way::Callback, false) => return Err(Refusal::OtherType { call: "callback", expected: "webhook" }),
            (Way::Ack, true) => return Err(Refusal::OtherType { call: "ack", expected: "pull-wake" }),
        }
        self.check(now_ms, (subscription, bearer), (&request.wake_id, request.generation))?;
        subscription.check(&request.acks)?;
        let subscription = self.find_mut(id)?;
        for (path, acked) in &request.acks {
            let Some(link) = subscription.links.get_mut(path).filter(|link| link.acked != *acked) else { continue };
            link.acked = *acked;
            changes.push(link_kept(id, path, link));
            subscription.note(path);
        }
        let until_ms = now_ms.saturating_add(subscription.entry.terms.lease_ttl_ms);
        let worker = match &subscription.entry.wake {
            Some(Stage::Held { worker, .. }) => worker.clone(),
            Some(Stage::Due { .. } | Stage::Announced) | None => None,
        };
        subscription.entry.wake = (!request.done).then_some(Stage::Held { worker, until_ms });
        changes.push(kept(subscription));
        self.plan(id);
        Ok(request.done && self.has_pending(self.find(id)?))
    }

    /// Ends the wake; what is pending makes a new one. Errors: [`Refusal::NotFound`], [`Refusal::TokenInvalid`],
    /// [`Refusal::TokenExpired`], [`Refusal::Fenced`].
    pub(crate) fn release(
        &mut self,
        now_ms: u64,
        (id, bearer): (&SubscriptionId, Option<&str>),
        request: &Release,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refusal> {
        let subscription = self.find(id)?;
        self.check(now_ms, (subscription, bearer), (&request.wake_id, request.generation))?;
        let subscription = self.find_mut(id)?;
        subscription.entry.wake = None;
        changes.push(kept(subscription));
        self.plan(id);
        Ok(())
    }

    /// Whether the caller is the one whom the wake was given to, and still has it.
    fn check(
        &self,
        now_ms: u64,
        (subscription, bearer): (&Subscription, Option<&str>),
        (wake_id, generation): (&str, u64),
    ) -> Result<(), Refusal> {
        let (bearer, secret) = bearer.zip(self.secret.as_ref()).ok_or(Refusal::TokenInvalid)?;
        let token = Token::read(bearer, secret, &subscription.id, now_ms).map_err(|error| match error {
            TokenError::Invalid => Refusal::TokenInvalid,
            TokenError::Expired => Refusal::TokenExpired,
        })?;
        if token.nonce != *subscription.entry.nonce {
            return Err(Refusal::TokenInvalid);
        }
        let current = subscription.entry.generation;
        let over = match &subscription.entry.wake {
            Some(Stage::Held { until_ms, .. }) => *until_ms <= now_ms,
            // A receiver may call back before its answer is here.
            Some(Stage::Due { .. }) => !subscription.is_webhook(),
            Some(Stage::Announced) | None => true,
        };
        let same = generation == current && token.generation == current && wake_id == subscription.wake_id();
        if over || !same {
            return Err(Refusal::Fenced { current });
        }
        Ok(())
    }
}
