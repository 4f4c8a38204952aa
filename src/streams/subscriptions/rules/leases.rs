//! Calls of workers and webhook receivers: claim, acknowledge and release.

use std::sync::Arc;

use super::changes::put_subscription;
use super::refusal::Refusal;
use super::set::SubscriptionSet;
use super::subscription::Subscription;
use crate::streams::rules::{Change, Ledger};
use crate::streams::subscriptions::wire::{
    Acknowledgement, Claim, ClaimedView, Release, SubscriptionId, Token, TokenError, WakeState,
};

/// The endpoint that an acknowledgement arrives at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AckEndpoint {
    /// For receivers of webhooks.
    Callback,
    /// For workers that have claimed a wake.
    Ack,
}

impl SubscriptionSet {
    /// Leases the current wake, or a new one, to a worker. Errors: [`Refusal::NotFound`], [`Refusal::OtherType`],
    /// [`Refusal::Claimed`], [`Refusal::NothingPending`].
    pub(crate) fn claim(
        &mut self,
        (now_ms, ledger): (u64, &Ledger),
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
        let needs_new_wake = matches!(subscription.entry.wake, Some(WakeState::Held { .. }) | None);
        let has_pending = subscription.has_pending();
        let subscription = self.find_mut(id)?;
        if !has_pending {
            if subscription.entry.wake.take().is_some() {
                changes.push(put_subscription(subscription));
            }
            self.reschedule(id);
            return Err(Refusal::NothingPending);
        }
        if needs_new_wake {
            subscription.entry.generation += 1;
        }
        let lease_ttl_ms = subscription.entry.terms.lease_ttl_ms;
        let worker = Some(Arc::from(claim.worker));
        subscription.entry.wake = Some(WakeState::Held { worker, until_ms: now_ms.saturating_add(lease_ttl_ms) });
        changes.push(put_subscription(subscription));
        self.reschedule(id);
        let subscription = self.find(id)?;
        let expires_ms = now_ms.saturating_add(self.limits.token_ttl_ms);
        let token = self.keys.secret().map(|secret| subscription.token(secret, expires_ms)).unwrap_or_default();
        let (wake_id, generation) = (subscription.wake_id(), subscription.entry.generation);
        Ok(ClaimedView { wake_id, generation, token, streams: self.snapshot(ledger, subscription), lease_ttl_ms })
    }

    /// Acknowledges offsets, all or none. Ends the wake if the request says `done`, and extends its lease otherwise.
    /// Returns true if another wake follows. Errors: [`Refusal::NotFound`], [`Refusal::OtherType`],
    /// [`Refusal::TokenInvalid`], [`Refusal::TokenExpired`], [`Refusal::Fenced`], [`Refusal::Offset`].
    pub(crate) fn acknowledge(
        &mut self,
        (now_ms, ledger): (u64, &Ledger),
        (id, endpoint, bearer): (&SubscriptionId, AckEndpoint, Option<&str>),
        request: &Acknowledgement,
        changes: &mut Vec<Change>,
    ) -> Result<bool, Refusal> {
        let subscription = self.find(id)?;
        match (endpoint, subscription.is_webhook()) {
            (AckEndpoint::Callback, true) | (AckEndpoint::Ack, false) => {}
            (AckEndpoint::Callback, false) => {
                return Err(Refusal::OtherType { call: "callback", expected: "webhook" });
            }
            (AckEndpoint::Ack, true) => return Err(Refusal::OtherType { call: "ack", expected: "pull-wake" }),
        }
        self.authorize(now_ms, (subscription, bearer), (&request.wake_id, request.generation))?;
        subscription.check_offsets(ledger, &request.acks)?;
        for (path, acked) in &request.acks {
            self.acknowledge_stream(ledger, (id, path), *acked, changes);
        }
        let subscription = self.find_mut(id)?;
        let until_ms = now_ms.saturating_add(subscription.entry.terms.lease_ttl_ms);
        let worker = match &subscription.entry.wake {
            Some(WakeState::Held { worker, .. }) => worker.clone(),
            Some(WakeState::Due { .. } | WakeState::Announced) | None => None,
        };
        subscription.entry.wake = (!request.done).then_some(WakeState::Held { worker, until_ms });
        changes.push(put_subscription(subscription));
        self.reschedule(id);
        Ok(request.done && self.find(id)?.has_pending())
    }

    /// Ends the wake without acknowledging anything; pending data starts a new one. Errors: [`Refusal::NotFound`],
    /// [`Refusal::TokenInvalid`], [`Refusal::TokenExpired`], [`Refusal::Fenced`].
    pub(crate) fn release(
        &mut self,
        now_ms: u64,
        (id, bearer): (&SubscriptionId, Option<&str>),
        request: &Release,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refusal> {
        let subscription = self.find(id)?;
        self.authorize(now_ms, (subscription, bearer), (&request.wake_id, request.generation))?;
        let subscription = self.find_mut(id)?;
        subscription.entry.wake = None;
        changes.push(put_subscription(subscription));
        self.reschedule(id);
        Ok(())
    }

    /// Checks that the caller was given the current wake and still holds its lease.
    fn authorize(
        &self,
        now_ms: u64,
        (subscription, bearer): (&Subscription, Option<&str>),
        (wake_id, generation): (&str, u64),
    ) -> Result<(), Refusal> {
        let (bearer, secret) = bearer.zip(self.keys.secret()).ok_or(Refusal::TokenInvalid)?;
        let token = Token::read(bearer, secret, &subscription.id, now_ms).map_err(|error| match error {
            TokenError::Invalid => Refusal::TokenInvalid,
            TokenError::Expired => Refusal::TokenExpired,
        })?;
        if token.nonce != *subscription.entry.nonce {
            return Err(Refusal::TokenInvalid);
        }
        let current = subscription.entry.generation;
        let ended = match &subscription.entry.wake {
            Some(WakeState::Held { until_ms, .. }) => *until_ms <= now_ms,
            // A receiver may call back before it has answered the webhook.
            Some(WakeState::Due { .. }) => !subscription.is_webhook(),
            Some(WakeState::Announced) | None => true,
        };
        let same = generation == current && token.generation == current && wake_id == subscription.wake_id();
        if ended || !same {
            return Err(Refusal::Fenced { current });
        }
        Ok(())
    }
}
