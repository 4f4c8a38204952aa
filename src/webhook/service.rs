//! The webhook: calls the service until it answers, and sends its replies.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};

use super::absence::Absence;
use super::attempts::{Attempts, Failure};
use super::gate::{CallPermit, Gate, pause};
use super::request::Target;
use super::rules::{Change, Disposition, Failing, Health, Limits, Outcome, Schedule, Warnings};
use super::unsent::{Held, Unsent};
use super::wire::{self, AnswerError, Meaning, Reply};
use super::{Config, Error, Format, Metrics};
use crate::http::{Answer, Client, ClientError, has_credentials, hide_credentials};
use crate::message::{Message, ReplyTo};
use crate::relay::{self, Attributed, Context, Fallback, Relay, handler};
use crate::sync::lock;

/// Delivers messages to one service. Cheap to clone; clones share connections, concurrency limit and breaker.
#[derive(Clone)]
pub struct Webhook(Arc<Inner>);

struct Inner {
    client: Client,
    target: Target,
    gate: Gate,
    config: Config,
    metrics: Metrics,
    warnings: Mutex<Warnings>,
    failing: Mutex<Failing>,
    absence: Absence,
    unsent: Unsent,
}

/// Result of one call.
enum CallResult {
    /// It is handled, and these are the replies, which take memory until they are sent.
    Handled(Vec<Reply>, Held),
    /// The message was given back, and goes to another instance.
    Returned,
    Retry(Failure),
}

impl Webhook {
    /// Creates a webhook. Opens no connection until the first message.
    /// Errors: [`Error::Forward`], [`Error::Secret`].
    pub(crate) fn start(config: &Config, metrics: Metrics) -> Result<Self, Error> {
        let limits = Limits {
            failures: config.breaker_failures,
            open: config.breaker_open(),
            open_max: config.breaker_open_max(),
        };
        Ok(Self(Arc::new(Inner {
            client: Client::new(config.client_limits()),
            target: Target::new(config)?,
            gate: Gate::new(config.concurrent_max, limits),
            config: config.clone(),
            metrics,
            warnings: Mutex::default(),
            failing: Mutex::default(),
            absence: Absence::new(),
            unsent: Unsent::new(config),
        })))
    }

    /// Returns the handler that the relay runs for messages without a handler of their own: see [`Relay::start`].
    pub(crate) fn fallback(&self) -> Fallback {
        let (webhook, health) = (self.clone(), self.clone());
        Fallback {
            handler: handler(move |message, context| {
                let webhook = webhook.clone();
                async move {
                    let delivered = webhook.deliver(&message, &context).await;
                    delivered.map_err(|error| Attributed { cause: error.cause(), error: error.into() }.into())
                }
            }),
            error: Arc::new(move || health.trouble()),
        }
    }

    /// Returns why calls to the service are paused, or `None` if they are not. `None` does not prove that the service is
    /// up: it may not have been called yet, or the next message may be the probe.
    pub fn trouble(&self) -> Option<String> {
        let cause = self.0.gate.trouble()?;
        Some(format!("the service at {} is not responding: {cause}", self.0.target.authority()))
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    pub(super) fn absence(&self) -> &Absence {
        &self.0.absence
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(super) fn hang(&self) -> Duration {
        self.0.config.hang()
    }

    /// Returns host and port of the service, for messages and logs.
    pub(super) fn authority(&self) -> &str {
        self.0.target.authority()
    }

    /// Returns true if this process has started the service.
    pub(super) fn is_supervised(&self) -> bool {
        self.0.config.is_supervised
    }

    /// The place of the service.
    pub(super) fn target(&self) -> &Target {
        &self.0.target
    }

    /// Delivers `message` to the service and sends the service's replies to the bus. Returns when the service has handled
    /// it and the outbox has taken the replies, or at the deadline. Holds no concurrency permit while it waits.
    ///
    /// Errors: the reason for the dead letter. Not cancel-safe: a dropped call may have reached the service.
    async fn deliver(&self, message: &Message, context: &Context) -> Result<(), Error> {
        let outcome = self.deliver_with_retries(message, context).await;
        let counter = match &outcome {
            Ok(CallResult::Returned) => &self.0.metrics.returned,
            Ok(CallResult::Handled(..) | CallResult::Retry(_)) => &self.0.metrics.handled,
            Err(_) => &self.0.metrics.failed,
        };
        counter.inc();
        outcome.map(drop)
    }

    async fn deliver_with_retries(&self, message: &Message, context: &Context) -> Result<CallResult, Error> {
        let mut attempts = self.attempts(message);
        let mut cause = None;
        let (replies, held) = loop {
            match self.call(message, context, &mut attempts.schedule).await? {
                CallResult::Handled(replies, held) => break (replies, held),
                CallResult::Returned => return Ok(CallResult::Returned),
                CallResult::Retry(failure) => {
                    let Some(waited) = self.unless_returned(message, context, attempts.wait(&failure)).await else {
                        return Ok(CallResult::Returned);
                    };
                    if !failure.cut_short || cause.is_none() {
                        cause = Some(failure.cause);
                    }
                    waited.ok_or_else(|| gave_up(&attempts.schedule, cause.take().unwrap_or_default()))?;
                    self.0.metrics.retried.inc();
                }
            }
        };
        attempts.backoff.reset();
        for reply in replies {
            send(reply, context, &mut attempts).await?;
        }
        Ok(CallResult::Handled(Vec::new(), held))
    }

    /// Waits for `waiting`. While the service is away, it tries meanwhile to give the message back for another instance.
    /// Returns `None` once that has succeeded.
    async fn unless_returned<T>(
        &self,
        message: &Message,
        context: &Context,
        waiting: impl Future<Output = T>,
    ) -> Option<T> {
        let absence = &self.0.absence;
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                biased;
                waited = &mut waiting => return Some(waited),
                () = absence.is_due() => {}
            }
            // Not in the select: an attempt that has begun must be concluded.
            let is_given_back = context.relay().return_message(message).await;
            absence.tried(is_given_back);
            if is_given_back {
                tracing::debug!(message_id = %message.id, name = %message.name, "given back for another instance");
                return None;
            }
        }
    }

    /// Waits for the permission to make a call. Returns `None` once the message was given back instead.
    async fn admitted(
        &self,
        message: &Message,
        context: &Context,
        deadline: Instant,
    ) -> Option<Result<CallPermit<'_>, String>> {
        // A service that hangs takes the call and does not answer it: another instance first.
        if self.0.absence.is_away() {
            self.unless_returned(message, context, tokio::task::yield_now()).await?;
        }
        self.unless_returned(message, context, self.0.gate.acquire(deadline)).await
    }

    /// Calls the service once, as soon as the gate admits the call. Errors: everything that a retry would not fix.
    async fn call(&self, message: &Message, context: &Context, schedule: &mut Schedule) -> Result<CallResult, Error> {
        let inner = &*self.0;
        let Some(expected) = self.unless_returned(message, context, inner.unsent.expect()).await else {
            return Ok(CallResult::Returned);
        };
        let permit = match self.admitted(message, context, schedule.retry_until()).await {
            None => return Ok(CallResult::Returned),
            Some(Ok(permit)) => permit,
            Some(Err(cause)) => return Err(gave_up(schedule, cause)),
        };
        schedule.begin_attempt();
        let request = inner.target.request(message, schedule.attempts(), SystemTime::now())?;
        let (made, call) = (Instant::now(), inner.client.call(request));
        let timeout = inner.config.client_limits().timeout;
        let cut = schedule.shortened(Instant::now(), timeout);
        let answer = match cut {
            None => call.await,
            Some(left) => tokio::time::timeout(left, call).await.unwrap_or_else(|_| {
                Err(ClientError::Timeout { authority: inner.target.authority().to_owned(), timeout: left })
            }),
        };
        let (outcome, cause) = classify(&answer);
        let status = match outcome {
            Outcome::Status(status) => Some(status),
            Outcome::Silence => None,
        };
        inner.metrics.called(&message.name, made, status);
        if let Some(change) = permit.finish(outcome, &cause) {
            self.report(change, cause.clone(), context.relay());
        }
        self.report_failure(message, outcome.disposition(), &cause);
        match (outcome.disposition(), answer) {
            (Disposition::Handled, Ok(answer)) => {
                let replies = self.replies(message, &answer)?;
                let held = expected.keep(if replies.is_empty() { 0 } else { answer.body.len() });
                Ok(CallResult::Handled(replies, held))
            }
            (Disposition::Handled, Err(error)) => Err(Error::AnswerTooLarge(error)),
            (Disposition::Retry, Err(ClientError::Url { url })) => Err(Error::Url(ClientError::Url { url })),
            (Disposition::Retry, answer) => {
                tracing::debug!(cause, attempts = schedule.attempts(), "call to the service failed, retrying");
                let cut_short = cut.is_some() && matches!(answer, Err(ClientError::Timeout { .. }));
                let retry_after = answer.ok().and_then(|answer| answer.retry_after());
                Ok(CallResult::Retry(Failure { cause, retry_after, cut_short }))
            }
            (Disposition::Redirected(status), answer) => Err(redirected(status, answer)),
            (Disposition::Refused(status), answer) => Err(refused(status, answer)),
        }
    }

    /// Returns the replies in an answer. One that is something else has none, which is counted and reported now and then.
    fn replies(&self, message: &Message, answer: &Answer) -> Result<Vec<Reply>, AnswerError> {
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let content_type = header(CONTENT_TYPE.as_str());
        let replies_max = self.0.config.answer_replies_max;
        let meaning = match self.0.target.format() {
            Format::Exocom => wire::meaning(content_type, &answer.body, replies_max)?,
            Format::Cloudevents => match header(wire::TYPE_HEADER) {
                Some(ce_type) => return Ok(vec![wire::event(ce_type, content_type, &answer.body)?]),
                None => wire::event_meaning(content_type, &answer.body, replies_max)?,
            },
        };
        match meaning {
            Meaning::Replies(replies) => Ok(replies),
            Meaning::Other(other) => {
                self.0.metrics.other_answers.inc();
                if lock(&self.0.warnings).is_due(other, Instant::now()) {
                    tracing::warn!(
                        url = self.0.target.authority(),
                        name = %message.name,
                        "the service answers with {}, which is no reply: the message counts as handled. A reply is JSON \
                         such as {{\"reply\":{{\"name\":\"users.created\",\"payload\":{{}}}}}}; an answer without one is empty",
                        wire::describe(&answer.body)
                    );
                }
                Ok(Vec::new())
            }
        }
    }

    /// Reports in the log that the service fails to handle messages of a name, or does handle them again. Refusals are reported
    /// with the dead letter.
    fn report_failure(&self, message: &Message, disposition: Disposition, cause: &str) {
        let (url, name) = (self.0.target.authority(), &message.name);
        match disposition {
            Disposition::Retry => {
                if let Some(failures) = lock(&self.0.failing).failed(name, Instant::now()) {
                    tracing::warn!(url, %name, failures, cause, "the service fails to handle messages, retrying");
                }
            }
            Disposition::Handled => {
                if let Some(failures) = lock(&self.0.failing).succeeded(name) {
                    tracing::info!(url, %name, failures, "the service handles these messages again");
                }
            }
            Disposition::Redirected(_) | Disposition::Refused(_) => {}
        }
    }

    /// Reports in log, metrics and events that calls are paused or have resumed.
    fn report(&self, change: Change, cause: String, relay: &Relay) {
        let url = self.0.target.authority();
        match pause(change) {
            Some(wait) => {
                let wait = humantime::format_duration(wait);
                tracing::warn!(url, cause, "the service is not responding; pausing calls for {wait}");
                self.0.metrics.breaker_open.set(1);
                relay.emit_error(relay::Error::ServiceAway { url: url.to_owned(), cause });
            }
            None => {
                tracing::info!(url, "the service is responding again; resuming calls");
                self.0.metrics.breaker_open.set(0);
            }
        }
    }

    fn attempts(&self, message: &Message) -> Attempts {
        let config = &self.0.config;
        let patience = message.properties.reply_to.as_ref().map(ReplyTo::timeout);
        Attempts::new(Schedule::new(Instant::now(), config.deadline(), patience), config.retry_wait_max())
    }
}

/// Sends one reply. Retries while the outbox is full, until the deadline; the service is not called again.
async fn send(reply: Reply, context: &Context, attempts: &mut Attempts) -> Result<(), Error> {
    loop {
        match context.reply_payload(reply.name.clone(), reply.payload.clone()).await {
            Ok(_) => return Ok(()),
            Err(relay::Error::Busy { what, places, retry_after }) => {
                let busy = relay::Error::Busy { what, places, retry_after };
                let failure = Failure { cause: busy.to_string(), retry_after: Some(retry_after), cut_short: false };
                if attempts.wait(&failure).await.is_none() {
                    return Err(Error::Unsent { name: reply.name, cause: busy });
                }
            }
            Err(cause) => return Err(Error::Unsent { name: reply.name, cause }),
        }
    }
}

/// Returns the outcome of a call, and the cause to report if it failed.
fn classify(answer: &Result<Answer, ClientError>) -> (Outcome, String) {
    match answer {
        Ok(answer) => {
            let outcome = Outcome::Status(answer.status.as_u16());
            let failed = outcome.health() == Health::Failing || outcome.disposition() == Disposition::Retry;
            let cause = if failed { answered(answer.status, &answer.body) } else { String::new() };
            (outcome, cause)
        }
        Err(ClientError::AnswerTooLarge { status, .. }) => {
            (Outcome::Status(status.as_u16()), answered(*status, b"an answer over the limit"))
        }
        Err(error) => (Outcome::Silence, error.to_string()),
    }
}

fn answered(status: StatusCode, body: &[u8]) -> String {
    format!("the service answered {}: {}", status.as_u16(), wire::excerpt(body))
}

fn redirected(status: u16, answer: Result<Answer, ClientError>) -> Error {
    let location = answer.ok().and_then(|answer| answer.headers.get(LOCATION).cloned());
    let location = location.map_or("an unknown location".to_owned(), |location| wire::excerpt(location.as_bytes()));
    let location = if has_credentials(&location) { hide_credentials(&location) } else { location };
    Error::Redirected { status, location }
}

fn refused(status: u16, answer: Result<Answer, ClientError>) -> Error {
    let body = answer.map_or_else(|error| error.to_string(), |answer| wire::excerpt(&answer.body));
    Error::Refused { status, body }
}

fn gave_up(schedule: &Schedule, last: String) -> Error {
    Error::GaveUp { attempts: schedule.attempts(), elapsed: schedule.elapsed(Instant::now()), last }
}
