//! The webhook's handle: calls the service until it has an answer, and sends the replies.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};

use super::request::Target;
use super::rules::{Change, Fate, Health, Limits, Next, Outcome, Schedule};
use super::way::{Way, held_back};
use super::wire::{self, AnswerError, Reply};
use super::{Config, Error, Format, Metrics};
use crate::http::{Answer, Backoff, Client, ClientError};
use crate::message::Message;
use crate::relay::{self, Context, Fallback, Relay, handler};

/// The way of messages to one service. Cheap to clone; clones share connections, places and breaker.
#[derive(Clone)]
pub struct Webhook(Arc<Inner>);

struct Inner {
    client: Client,
    target: Target,
    way: Way,
    config: Config,
    metrics: Metrics,
}

/// The tries of one message.
struct Tries {
    schedule: Schedule,
    backoff: Backoff,
}

/// Why a try is to be made again.
struct Failure {
    cause: String,
    /// The wait that was asked for.
    asked: Option<Duration>,
    /// The call had less than its time because the deadline was near, so its cause says little.
    cut_short: bool,
}

/// What one call came to.
enum Called {
    Handled(Vec<Reply>),
    Again(Failure),
}

impl Webhook {
    /// Makes the webhook of these settings. Opens no connection, and calls nobody before there is a message.
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
            way: Way::new(config.concurrent_max, limits),
            config: config.clone(),
            metrics,
        })))
    }

    /// What the relay runs for messages without a handler: see [`Relay::start`].
    pub(crate) fn fallback(&self) -> Fallback {
        let (webhook, asked) = (self.clone(), self.clone());
        Fallback {
            handler: handler(move |message, context| {
                let webhook = webhook.clone();
                async move { Ok(webhook.deliver(&message, &context).await?) }
            }),
            error: Arc::new(move || asked.trouble()),
        }
    }

    /// Why no calls are made to the service at this moment, if that is so. `None` does not say that the service is there:
    /// nobody has called it yet, or the next message will be its probe.
    pub fn trouble(&self) -> Option<String> {
        let cause = self.0.way.trouble()?;
        Some(format!("the service at {} fails: {cause}", self.0.target.authority()))
    }

    /// Brings `message` to the service, and the service's replies to the bus. Returns when the service has handled it and
    /// the replies have their places, or at the deadline. Takes no place from other messages while it waits.
    ///
    /// Errors: the reason of the dead letter. Not cancel-safe: a dropped call may have reached the service.
    async fn deliver(&self, message: &Message, context: &Context) -> Result<(), Error> {
        let outcome = self.deliver_in_time(message, context).await;
        let counter = match &outcome {
            Ok(()) => &self.0.metrics.handled,
            Err(_) => &self.0.metrics.failed,
        };
        counter.inc();
        outcome
    }

    async fn deliver_in_time(&self, message: &Message, context: &Context) -> Result<(), Error> {
        let mut tries = self.tries();
        let mut cause = None;
        let replies = loop {
            match self.call(message, context, &mut tries.schedule).await? {
                Called::Handled(replies) => break replies,
                Called::Again(failure) => {
                    let again = tries.wait(&failure).await;
                    if !failure.cut_short || cause.is_none() {
                        cause = Some(failure.cause);
                    }
                    again.ok_or_else(|| gave_up(&tries.schedule, cause.take().unwrap_or_default()))?;
                    self.0.metrics.retried.inc();
                }
            }
        };
        tries.backoff.reset();
        for reply in replies {
            send(reply, context, &mut tries).await?;
        }
        Ok(())
    }

    /// Calls the service once, when there is a place and the breaker lets it. Errors: all that a further try would not
    /// mend.
    async fn call(&self, message: &Message, context: &Context, schedule: &mut Schedule) -> Result<Called, Error> {
        let inner = &*self.0;
        let pass = match inner.way.enter(schedule.deadline()).await {
            Ok(pass) => pass,
            Err(cause) => return Err(gave_up(schedule, cause)),
        };
        let request = inner.target.request(message, SystemTime::now())?;
        schedule.count();
        let call = inner.client.call(request);
        let limit = inner.config.client_limits().timeout;
        let cut = schedule.cut(Instant::now(), limit);
        let answer = match cut {
            None => call.await,
            Some(left) => tokio::time::timeout(left, call).await.unwrap_or_else(|_| {
                Err(ClientError::Timeout { authority: inner.target.authority().to_owned(), timeout: left })
            }),
        };
        let (outcome, cause) = judge(&answer);
        if let Some(change) = pass.end(outcome.health(), &cause) {
            self.tell(change, cause.clone(), context.relay());
        }
        match (outcome.fate(), answer) {
            (Fate::Handled, Ok(answer)) => Ok(Called::Handled(self.replies(&answer)?)),
            (Fate::Handled, Err(error)) => Err(Error::AnswerTooLarge(error)),
            (Fate::Again, Err(ClientError::Url { url })) => Err(Error::Url(ClientError::Url { url })),
            (Fate::Again, answer) => {
                tracing::debug!(cause, tries = schedule.tries(), "the service is to be called again");
                let cut_short = cut.is_some() && matches!(answer, Err(ClientError::Timeout { .. }));
                let asked = answer.ok().and_then(|answer| answer.retry_after());
                Ok(Called::Again(Failure { cause, asked, cut_short }))
            }
            (Fate::Redirected(status), answer) => Err(redirected(status, answer)),
            (Fate::Refused(status), answer) => Err(refused(status, answer)),
        }
    }

    fn replies(&self, answer: &Answer) -> Result<Vec<Reply>, AnswerError> {
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let content_type = header(CONTENT_TYPE.as_str());
        match self.0.target.format() {
            Format::Exocom => wire::replies(content_type, &answer.body),
            Format::Cloudevents => {
                if let Some(ce_type) = header(wire::TYPE_HEADER) {
                    return Ok(vec![wire::event(ce_type, content_type, &answer.body)?]);
                }
                if content_type.is_some_and(wire::is_structured_event) {
                    return Ok(vec![wire::structured_event(&answer.body)?]);
                }
                wire::replies(content_type, &answer.body)
            }
        }
    }

    /// Tells everybody that calls are held back, or go again.
    fn tell(&self, change: Change, cause: String, relay: &Relay) {
        let url = self.0.target.authority();
        match held_back(change) {
            Some(wait) => {
                tracing::warn!(url, cause, wait_ms = wait.as_millis(), "the service fails, calls to it are held back");
                self.0.metrics.breaker_open.set(1);
                relay.emit_error(relay::Error::ServiceAway { url: url.to_owned(), cause });
            }
            None => {
                tracing::info!(url, "the service answers again, calls to it go as usual");
                self.0.metrics.breaker_open.set(0);
            }
        }
    }

    fn tries(&self) -> Tries {
        let config = &self.0.config;
        Tries {
            schedule: Schedule::new(Instant::now(), config.deadline()),
            backoff: Backoff::new(config.retry_wait_max()),
        }
    }
}

impl Tries {
    /// Waits for the next try. `None` at once if that would come after the deadline.
    async fn wait(&mut self, failure: &Failure) -> Option<()> {
        let backoff = self.backoff.next();
        match self.schedule.next(Instant::now(), backoff, failure.asked) {
            Next::GiveUp => None,
            Next::Wait(wait) => {
                tokio::time::sleep(wait).await;
                Some(())
            }
        }
    }
}

/// Sends one reply; while there is no room for it, tries again until the deadline. The service is not called again.
async fn send(reply: Reply, context: &Context, tries: &mut Tries) -> Result<(), Error> {
    loop {
        match context.reply_payload(reply.name.clone(), reply.payload.clone()).await {
            Ok(_) => return Ok(()),
            Err(relay::Error::Busy { what, places, retry_after }) => {
                let busy = relay::Error::Busy { what, places, retry_after };
                let failure = Failure { cause: busy.to_string(), asked: Some(retry_after), cut_short: false };
                if tries.wait(&failure).await.is_none() {
                    return Err(Error::Unsent { name: reply.name, cause: busy });
                }
            }
            Err(cause) => return Err(Error::Unsent { name: reply.name, cause }),
        }
    }
}

/// What a call ended with, and what is said about it should it have failed.
fn judge(answer: &Result<Answer, ClientError>) -> (Outcome, String) {
    match answer {
        Ok(answer) => {
            let outcome = Outcome::Status(answer.status.as_u16());
            let failed = outcome.health() == Health::Failing || outcome.fate() == Fate::Again;
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
    let location = location.map_or("nowhere".to_owned(), |location| wire::excerpt(location.as_bytes()));
    Error::Redirected { status, location }
}

fn refused(status: u16, answer: Result<Answer, ClientError>) -> Error {
    let body = answer.map_or_else(|error| error.to_string(), |answer| wire::excerpt(&answer.body));
    Error::Refused { status, body }
}

fn gave_up(schedule: &Schedule, last: String) -> Error {
    Error::GaveUp { tries: schedule.tries(), elapsed: schedule.elapsed(Instant::now()), last }
}
