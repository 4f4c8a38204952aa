//! The outgoing half of a relay.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::draft::{Draft, Sent};
use super::idempotency::{Call, Calls, Joined, Purpose};
use super::notices::{Notice, failure, request_of};
use super::outbox::{Log, Outbox, Unconfirmed};
use super::replies::Replies;
use super::requests::{ReplyOutcome, Requests};
use super::rules::{Dropped, Oldest};
use crate::bus;
use crate::chain::chain;
use crate::message::{FAILED, Message, MessageId, Payload, Receipt, ReplyTo, Verdict};
use crate::relay::dead_letters::DeadLetters;
use crate::relay::events::EventSender;
use crate::relay::identity::Identity;
use crate::relay::presence::Presence;
use crate::relay::{Config, Direction, Error, Metrics};
use crate::time::deadline_in;

/// Number of replies that a requester waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    One,
    Many,
}

/// Sends messages and requests, and matches replies with requests.
pub(in crate::relay) struct Outgoing {
    identity: Arc<Identity>,
    presence: Arc<Presence>,
    outbox: Outbox,
    requests: Arc<Requests>,
    calls: Calls,
    dead_letters: Arc<DeadLetters>,
    events: EventSender,
    metrics: Metrics,
}

impl Outgoing {
    /// Creates the outgoing half. With a log there is a receiver, for [`Outgoing::confirm_all`].
    pub(in crate::relay) fn new(
        (identity, presence): (Arc<Identity>, Arc<Presence>),
        config: &Config,
        log: Option<Arc<dyn Log>>,
        dead_letters: Arc<DeadLetters>,
        events: EventSender,
        metrics: Metrics,
    ) -> (Self, Option<mpsc::Receiver<Unconfirmed>>) {
        let (outbox, unconfirmed) = Outbox::new(config, log);
        let requests = Arc::new(Requests::new(config));
        let window = Duration::from_millis(config.idempotency_window_ms);
        let replies = config.memory.part(config.idempotency_bytes_max);
        let calls = Calls::new(config.idempotency_keys_max, window, replies);
        (Self { identity, presence, outbox, requests, calls, dead_letters, events, metrics }, unconfirmed)
    }

    /// Sends a draft and waits until it is accepted. Under an idempotency key only the first of equal drafts is sent.
    /// Not cancel-safe: the message of a dropped call may still be sent.
    pub(in crate::relay) async fn send(&self, draft: Draft) -> Result<Sent, Error> {
        if draft.idempotency_key.is_none() {
            let (sent, receipt) = self.start(draft);
            return receipt.wait().await.map(|()| sent);
        }
        let call = self.call(draft, None, Instant::now())?;
        call.accepted().await?;
        Ok(Sent { id: call.id.clone(), activity_id: call.activity_id.clone() })
    }

    /// Sends a draft, regardless of its idempotency key. The receipt says when it is accepted.
    pub(in crate::relay) fn start(&self, draft: Draft) -> (Sent, Receipt<Result<(), Error>>) {
        let message = self.compose(draft);
        (Sent::of(&message), self.dispatch(message, None))
    }

    /// Sends a message that already has its id and activity. Its sender becomes this relay.
    pub(in crate::relay) async fn forward(&self, mut message: Message) -> Result<(), Error> {
        message.sender = Some(self.identity.role.clone());
        self.dispatch(message, None).wait().await
    }

    /// Makes a request and waits for its reply. Under an idempotency key only the first of equal requests is made, and its
    /// reply is kept for all of them. Dropping the future ends the request; its message may have been sent.
    pub(in crate::relay) async fn request(&self, draft: Draft, timeout: Duration) -> Result<Message, Error> {
        let (name, deadline, made) = (draft.name.clone(), deadline_in(timeout), std::time::Instant::now());
        let exchange = async {
            if draft.idempotency_key.is_some() {
                return self.join(draft, deadline, Answers::One)?.next().await;
            }
            let message = self.compose_request(draft, timeout, Answers::One);
            let (_guard, reply) = self.requests.wait_for_one(&message.id)?;
            self.dispatch(message, Some(deadline)).wait().await?;
            reply.await.unwrap_or(Err(Error::Closed))
        };
        let ended = tokio::time::timeout_at(deadline, exchange).await;
        let outcome = ended.unwrap_or_else(|_| Err(Error::NoReply { name: name.clone(), timeout }));
        self.metrics.requested(&name, made, &outcome);
        outcome
    }

    /// Makes a request and returns the stream of its replies. Under an idempotency key it has the replies of the first of
    /// equal requests. Errors: those that are known at once.
    pub(in crate::relay) fn replies(&self, draft: Draft, timeout: Duration) -> Result<Replies, Error> {
        let (name, deadline) = (draft.name.clone(), deadline_in(timeout));
        if draft.idempotency_key.is_some() {
            return Ok(Replies::joined(self.join(draft, deadline, Answers::Many)?, name, (timeout, deadline)));
        }
        let message = self.compose_request(draft, timeout, Answers::Many);
        let waiting = self.requests.wait_for_many(&message.id)?;
        let receipt = self.dispatch(message, Some(deadline));
        Replies::own(waiting, receipt, name, (timeout, deadline))
    }

    /// Joins the call under the draft's idempotency key as a requester who waits until `deadline`.
    fn join(&self, draft: Draft, deadline: Instant, answers: Answers) -> Result<Joined, Error> {
        let guard = self.requests.join()?;
        Ok(Joined::new(self.call(draft, Some(answers), deadline)?, guard))
    }

    /// Returns the call under the draft's idempotency key, after publishing its message, unless it is on its way. It is a
    /// request if it expects `answers`.
    fn call(&self, draft: Draft, answers: Option<Answers>, deadline: Instant) -> Result<Arc<Call>, Error> {
        let now = Instant::now();
        let purpose = if answers.is_some() { Purpose::Request } else { Purpose::Send };
        let key = draft.idempotency_key.clone().unwrap_or_default();
        let mark = (draft.fingerprint(purpose), purpose);
        let mut message = self.compose(draft);
        let (call, ends_at) = self.calls.enter(&key, mark, &message, deadline.into_std(), now.into_std())?;
        if !call.start() {
            return Ok(call);
        }
        let window = Instant::from_std(ends_at).saturating_duration_since(now);
        if let Some(answers) = answers {
            self.expect_replies(&mut message, window, answers);
        }
        let until = answers.map(|_| now + window);
        message.id = call.id.clone();
        message.activity_id = Some(call.activity_id.clone());
        message.properties.repeat_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        if let Receipt::Now(outcome) = self.dispatch(message, until) {
            call.accept(outcome);
        }
        Ok(call)
    }

    /// Checks a message, and publishes it at once if the bus is in this process, else puts it into the outbox. A request,
    /// whose requester waits until `until`, fails if the bus cannot be reached. The receipt says when the message is
    /// accepted.
    pub(in crate::relay) fn dispatch(&self, message: Message, until: Option<Instant>) -> Receipt<Result<(), Error>> {
        if self.outbox.is_closed() {
            return Receipt::Now(Err(Error::Closed));
        }
        if let Err(error) = message.check_bounds(self.identity.payload_bytes_max) {
            return Receipt::Now(Err(error.into()));
        }
        match self.identity.bus.publish_now(&message) {
            None => match until.and_then(|_| self.presence.bus_error()) {
                Some(error) => Receipt::Now(Err(Error::Bus(error))),
                None => self.outbox.push(message, until),
            },
            Some(verdict) => {
                self.metrics.sent(&message.name, &verdict);
                Receipt::Now(error_of(&message, &verdict).map_or(Ok(()), Err))
            }
        }
    }

    fn compose(&self, draft: Draft) -> Message {
        draft.into_message(MessageId::from_uuid(Uuid::now_v7()), self.identity.role.clone())
    }

    fn compose_request(&self, draft: Draft, timeout: Duration, answers: Answers) -> Message {
        let mut message = self.compose(draft);
        self.expect_replies(&mut message, timeout, answers);
        message
    }

    /// Makes the message say that this instance waits for replies.
    fn expect_replies(&self, message: &mut Message, timeout: Duration, answers: Answers) {
        let instance = self.identity.instance.clone();
        message.properties.reply_to = Some(ReplyTo::new(instance, timeout, answers == Answers::Many));
    }

    /// Publishes messages of the outbox: see [`bus::Bus::publish`].
    pub(super) async fn publish(&self, batch: &[Message]) -> Result<Vec<Verdict>, bus::Error> {
        self.identity.bus.publish(batch).await
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Concludes a message that is in the outbox `since` then, on which the bus has decided. A failure goes to the requester who waits for a
    /// reply, else to the dead letters; that of a reply also to the requester elsewhere who waits for it.
    pub(super) fn conclude(&self, message: &Message, since: std::time::Instant, verdict: &Verdict) {
        self.metrics.sent(&message.name, verdict);
        self.metrics.published(&message.name, since, verdict);
        let Some(error) = error_of(message, verdict) else { return };
        if self.fail(&message.id, &error) {
            return;
        }
        if message.name.as_str() == FAILED {
            return self.late_notice(&message.id, &error);
        }
        tracing::warn!(message_id = %message.id, name = %message.name, error = chain(&error), "message was not sent");
        self.dead_letters.add(message, (Direction::Outgoing, error.cause()), chain(&error));
        if let Some(request) = request_of(message) {
            let reason = format!("its reply was not sent: {}", chain(&error));
            if let Err(error) = self.report_failure(&request, &reason, None) {
                tracing::warn!(message_id = %message.id, error = chain(&error), "the requester was not notified of the failure");
            }
        }
        self.events.error(error);
    }

    /// Counts a failure that reaches nobody, since its request has ended.
    fn late_notice(&self, id: &MessageId, error: &Error) {
        self.metrics.late_notice();
        tracing::debug!(message_id = %id, error = chain(error), "a request that has ended had failed");
    }

    /// Concludes a request that leaves the outbox without being published.
    pub(super) fn conclude_dropped(&self, dropped: Dropped) {
        let (message, error) = match dropped {
            Dropped::Overdue(message) => {
                let timeout_ms = message.properties.reply_to.as_ref().map_or(0, |reply_to| reply_to.timeout_ms);
                let (name, timeout) = (message.name.clone(), Duration::from_millis(timeout_ms));
                (message, Error::NoReply { name, timeout })
            }
            Dropped::Busy(message, retry_after) => (message, receiver_busy(retry_after)),
        };
        self.fail(&message.id, &error);
        self.outbox.give_up(&message);
    }

    /// Fails the requests that were not published yet, since the bus cannot be reached.
    pub(super) fn fail_unpublished(&self, error: &bus::Error) {
        for request in self.outbox.drop_unpublished_requests() {
            self.fail(&request.id, &Error::Bus(error.clone()));
        }
    }

    /// Accepts messages as the log stores them, until the outbox is closed.
    pub(in crate::relay) async fn confirm_all(self: Arc<Self>, unconfirmed: mpsc::Receiver<Unconfirmed>) {
        self.outbox.confirm_all(unconfirmed, |id, stored| self.calls.accept(id, stored)).await;
    }

    /// Completes a request with a reply.
    pub(in crate::relay) fn complete(&self, request: &MessageId, reply: &Message) -> ReplyOutcome {
        match self.requests.complete(request, reply) {
            ReplyOutcome::Unknown => self.calls.complete(request, reply),
            outcome @ (ReplyOutcome::Accepted | ReplyOutcome::Full | ReplyOutcome::Late(_)) => outcome,
        }
    }

    /// Ends a request with an error. Returns false if it does not wait.
    fn fail(&self, request: &MessageId, error: &Error) -> bool {
        self.requests.fail(request, error.clone()) || self.calls.fail(request, error.clone())
    }

    /// Sends the requester who waits for a reply to `request`, if there is one, the notice that there will be none. A payload
    /// that is too large is left out. Errors: those of [`Outgoing::dispatch`] that are known at once.
    pub(in crate::relay) fn report_failure(
        &self,
        request: &Message,
        reason: &str,
        payload: Option<Payload>,
    ) -> Result<(), Error> {
        if request.properties.reply_to.is_none() {
            return Ok(());
        }
        let notice = |payload| {
            let (name, payload) = failure(request, &self.identity.role, reason, payload);
            self.compose(Draft::new(name, payload).answering(request))
        };
        let mut message = notice(payload);
        if message.check_bounds(self.identity.payload_bytes_max).is_err() {
            message = notice(None);
        }
        match self.dispatch(message.clone(), None) {
            Receipt::Now(Err(Error::Busy { .. })) => match self.outbox.push(message, None) {
                Receipt::Now(outcome) => outcome,
                Receipt::Later(_) => Ok(()),
            },
            Receipt::Now(outcome) => outcome,
            Receipt::Later(_) => Ok(()),
        }
    }

    /// Processes a notice that the message `id` was not delivered, or not handled: the requester gets the error. A message
    /// that was sent without waiting for a reply becomes a dead letter.
    pub(in crate::relay) fn take_notice(&self, id: &MessageId, notice: &Message) {
        let Notice { error, message } = Notice::of(notice);
        if self.fail(id, &error) {
            return;
        }
        // What comes back may itself be the notice of a failure.
        let is_of_request =
            |message: &Message| message.properties.reply_to.is_some() || message.name.as_str() == FAILED;
        if matches!(error, Error::Failed { .. }) || message.as_ref().is_some_and(is_of_request) {
            return self.late_notice(id, &error);
        }
        tracing::warn!(message_id = %id, error = chain(&error), "message was not delivered");
        // The next call under its idempotency key sends it again.
        self.calls.accept(id, &Err(error.clone()));
        if let Some(message) = message {
            self.dead_letters.add(&message, (Direction::Outgoing, error.cause()), chain(&error));
        }
        self.events.error(error);
    }

    /// Gives a message back to the bus, for another instance of this role whose service answers, or the next one to come if
    /// this one `is_leaving`. Returns false if there is none, or the broker is not ours. Not cancel-safe: the message of a dropped call may have been given back.
    pub(in crate::relay) async fn give_back(&self, message: &Message, is_leaving: bool) -> bool {
        if !self.registers_names() {
            return false;
        }
        let mut message = message.clone();
        message.properties.returned = true;
        // A broker in this process does not outlive it, so the message cannot wait there.
        let verdict = match self.identity.bus.publish_now(&message) {
            Some(verdict) => Some(verdict),
            None => {
                message.properties.leaving = is_leaving;
                self.identity.bus.publish(&[message]).await.ok().and_then(|verdicts| verdicts.into_iter().next())
            }
        };
        verdict == Some(Verdict::Accepted)
    }

    /// Returns true if the broker learns from this relay which messages it receives.
    pub(in crate::relay) fn registers_names(&self) -> bool {
        self.identity.bus.registers_names()
    }

    /// Returns true if a request with this id waits for a reply.
    pub(in crate::relay) fn awaits(&self, request: &MessageId) -> bool {
        self.requests.contains(request) || self.calls.contains(request)
    }

    /// Ends the requests that still wait when the relay is closed: their requesters get [`Error::Closed`].
    pub(in crate::relay) fn end_requests(&self) {
        self.requests.fail_all(&Error::Closed);
        self.calls.fail_all(&Error::Closed);
    }

    pub(in crate::relay) fn waiting_requests(&self) -> usize {
        self.requests.len()
    }

    /// Messages in the outbox, or on their way from there to the bus.
    pub(in crate::relay) fn queued(&self) -> usize {
        self.outbox.len()
    }

    /// Accepts no more messages from now on.
    pub(in crate::relay) fn close(&self) {
        self.outbox.close();
    }

    /// Waits until the outbox is closed and all its messages are published. Cancel-safe.
    pub(in crate::relay) async fn emptied(&self) {
        self.outbox.emptied().await;
    }

    /// Messages in the outbox that are held back, since their receiver is busy.
    pub(in crate::relay) fn held(&self) -> usize {
        self.outbox.held()
    }

    /// Returns the message of the outbox that has waited longest, and for how long.
    pub(in crate::relay) fn oldest(&self) -> Option<(Oldest, Duration)> {
        self.outbox.oldest()
    }
}

fn error_of(message: &Message, verdict: &Verdict) -> Option<Error> {
    let name = || message.name.clone();
    match verdict {
        Verdict::Accepted => None,
        Verdict::NoReceivers => Some(Error::NoReceivers(name())),
        Verdict::Forbidden { detail } | Verdict::Refused { detail } => {
            Some(Error::Refused { name: name(), detail: detail.clone() })
        }
        Verdict::Busy { retry_after } => Some(receiver_busy(*retry_after)),
    }
}

fn receiver_busy(retry_after: Duration) -> Error {
    Error::Busy { what: "a receiver's queue, or the table of open requests of the broker,", places: 0, retry_after }
}
