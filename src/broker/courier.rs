//! Couriers: one task per instance that delivers its messages, reports the outcomes and waits before it retries.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::Full;
use tokio::runtime;
use tokio_util::task::TaskTracker;

use super::engine::Engine;
use super::handle::InstanceHandle;
use super::rules::{Attempt, Batch, InstanceKey, Lanes, Outcome, Reason, Work};
use super::wire::Address;
use crate::http::{Answer, Backoff, Client, ClientError};
use crate::message::{Delivery, Inbox, Message, MessageId, Receipt, TraceParent, path_segment};

/// Length at which the text of a receiver's answer is cut off.
const DETAIL_CHARS_MAX: usize = 200;

/// The result of a delivery, and the wait that the receiver asked for.
type Delivered = (Attempt, Option<Duration>);

/// Runs the couriers and the broker's other tasks, on the runtime it was created in.
pub(crate) struct CourierPool {
    engine: Arc<Engine>,
    client: Client,
    tasks: TaskTracker,
    runtime: runtime::Handle,
}

impl CourierPool {
    /// Panics outside of a tokio runtime.
    pub(crate) fn new(engine: Arc<Engine>, client: Client) -> Self {
        Self { engine, client, tasks: TaskTracker::new(), runtime: runtime::Handle::current() }
    }

    /// Starts the courier of an instance.
    pub(crate) fn start(&self, key: InstanceKey, handle: InstanceHandle) {
        let (engine, client) = (Arc::clone(&self.engine), self.client.clone());
        let backoff = Backoff::new(engine.config().retry_wait_max());
        self.spawn(Courier { engine, client, key, handle, backoff }.run());
    }

    /// Runs a task that ends when the broker stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Waits until all tasks have ended. Stop the engine first.
    pub(crate) async fn join(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Delivers the messages of one instance.
struct Courier {
    engine: Arc<Engine>,
    client: Client,
    key: InstanceKey,
    handle: InstanceHandle,
    backoff: Backoff,
}

/// The broker stops.
struct Stopped;

impl Courier {
    /// Runs until the instance has left or the broker stops. Not cancel-safe: a dropped delivery may have arrived.
    async fn run(mut self) {
        let mut head: Option<MessageId> = None;
        while let Ok(Some(batch)) = self.next_batch().await {
            let first = batch.messages.first().map(|message| message.id.clone());
            let (attempt, asked) = tokio::select! {
                delivered = self.deliver(batch) => delivered,
                () = self.engine.stop().cancelled() => return,
            };
            let must_wait = must_wait(&attempt);
            // The wait grows while the receiver is unreachable, or answers but refuses the same message.
            if !must_wait || (first != head && !matches!(attempt, Attempt::Unreachable { .. })) {
                self.backoff.reset();
            }
            head = first;
            self.engine.record_outcome(self.key, attempt);
            if must_wait {
                self.engine.metrics().retried.inc();
                let delay = self.backoff.next().max(asked.unwrap_or_default());
                if self.pause(delay).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Waits for the next batch; `None` when the instance has left.
    async fn next_batch(&self) -> Result<Option<Batch>, Stopped> {
        loop {
            let asked = tokio::select! {
                asked = self.await_answers() => asked,
                () = self.engine.stop().cancelled() => return Err(Stopped),
            };
            if let Some(delay) = asked {
                self.pause(delay).await?;
                // Others may have started deliveries meanwhile.
                continue;
            }
            match self.engine.take(self.key, Lanes::All) {
                Work::Gone => return Ok(None),
                Work::Batch(batch) => return Ok(Some(batch)),
                Work::Nothing => tokio::select! {
                    () = self.handle.woken() => {}
                    () = self.engine.stop().cancelled() => return Err(Stopped),
                },
            }
        }
    }

    /// Waits for the answers to deliveries that publishers started. Returns the wait that the inbox asks for.
    async fn await_answers(&self) -> Option<Duration> {
        let mut asked = None;
        while let Some((sequence, answer)) = self.handle.next_unanswered() {
            let delivery = answer.await;
            asked = asked.max(retry_after(&delivery));
            self.engine.complete_deferred(self.key, sequence, delivery);
        }
        asked
    }

    /// Waits before the next attempt; less if the courier is woken.
    async fn pause(&self, delay: Duration) -> Result<(), Stopped> {
        tokio::select! {
            () = tokio::time::sleep(delay.min(self.engine.config().delivery_window())) => Ok(()),
            () = self.handle.woken() => Ok(()),
            () = self.engine.stop().cancelled() => Err(Stopped),
        }
    }

    async fn deliver(&self, batch: Batch) -> Delivered {
        match (batch.address, self.handle.inbox()) {
            (Some(address), _) if batch.together => post_batch(&self.client, &address, &batch.messages).await,
            (Some(address), _) => post_single(&self.client, &address, &batch.messages).await,
            (None, Some(inbox)) => hand_over(inbox, batch.messages).await,
            (None, None) => (Attempt::Unreachable { cause: "the service has no inbox".into() }, None),
        }
    }
}

/// Returns true if the next attempt must wait.
fn must_wait(attempt: &Attempt) -> bool {
    match attempt {
        Attempt::Answered(outcomes) => outcomes.iter().any(|outcome| matches!(outcome, Outcome::Retry(_))),
        Attempt::TooLarge { .. } => false,
        Attempt::Unreachable { .. } => true,
    }
}

fn retry_after(delivery: &Delivery) -> Option<Duration> {
    match delivery {
        Delivery::Busy { retry_after } => Some(*retry_after),
        Delivery::Accepted | Delivery::Unknown | Delivery::Refused { .. } => None,
    }
}

/// Delivers to an instance in this process. After a `Busy`, only messages that a caller there is waiting for are still
/// handed over.
async fn hand_over(inbox: &dyn Inbox, messages: Vec<Message>) -> Delivered {
    let mut receipts = Vec::with_capacity(messages.len());
    let mut asked = None;
    for message in messages {
        let receipt = match asked {
            Some(retry_after) if !inbox.awaits(&message) => Receipt::Now(Delivery::Busy { retry_after }),
            Some(_) | None => inbox.deliver(message),
        };
        if let Receipt::Now(delivery) = &receipt {
            asked = retry_after(delivery).or(asked);
        }
        receipts.push(receipt);
    }
    let mut outcomes = Vec::with_capacity(receipts.len());
    for receipt in receipts {
        let delivery = receipt.wait().await;
        asked = retry_after(&delivery).max(asked);
        outcomes.push(delivery.into());
    }
    (Attempt::Answered(outcomes), asked)
}

/// Delivers a batch to one of our relays: one call, one answer per message.
async fn post_batch(client: &Client, address: &Address, messages: &[Message]) -> Delivered {
    let request = Request::post(format!("http://{address}/run"))
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .body(Full::new(Message::list_to_json(messages)));
    let answer = match request {
        Ok(request) => client.call(request).await,
        Err(error) => return (refuse_all(messages.len(), &error.to_string()), None),
    };
    match answer {
        Ok(answer) if answer.status.is_success() => read_list(&answer.body, messages.len()),
        Ok(answer) if may_recover(answer.status) => (unavailable(&answer), answer.retry_after()),
        Ok(answer) if messages.len() > 1 => (Attempt::TooLarge { detail: describe(&answer) }, None),
        Ok(answer) => (Attempt::Answered(vec![rejected(&answer)]), None),
        Err(error @ ClientError::AnswerTooLarge { .. }) => (refuse_all(messages.len(), &error.to_string()), None),
        Err(error) => (Attempt::Unreachable { cause: error.to_string() }, None),
    }
}

fn read_list(body: &Bytes, count: usize) -> Delivered {
    match Delivery::list_from_json(body) {
        Ok(deliveries) if deliveries.len() <= count => {
            let asked = deliveries.iter().filter_map(retry_after).max();
            let mut outcomes: Vec<Outcome> = deliveries.into_iter().map(Outcome::from).collect();
            outcomes.resize_with(count, || Outcome::Retry("the receiver's answer left it out".into()));
            (Attempt::Answered(outcomes), asked)
        }
        Ok(_) | Err(_) => (refuse_all(count, "its answer is not a list with one status per message"), None),
    }
}

/// Delivers one message to any other service, with the name in the URL. exo 2.1.
async fn post_single(client: &Client, address: &Address, messages: &[Message]) -> Delivered {
    let Some(message) = messages.first() else { return (Attempt::Answered(Vec::new()), None) };
    let name = path_segment(message.name.as_str());
    let mut request = Request::post(format!("http://{address}/run/{name}"))
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json");
    if let Some(trace) = &message.trace {
        request = request.header(TraceParent::HEADER, trace.as_str());
    }
    let answer = match request.body(Full::new(message.to_json())) {
        Ok(request) => client.call(request).await,
        Err(error) => return (refuse_all(1, &error.to_string()), None),
    };
    match answer {
        Ok(answer) if answer.status.is_success() => (Attempt::Answered(vec![Outcome::Delivered]), None),
        Ok(answer) if is_unavailable(answer.status) => (unavailable(&answer), answer.retry_after()),
        Ok(answer) if may_recover(answer.status) => {
            (Attempt::Answered(vec![Outcome::Retry(describe(&answer))]), answer.retry_after())
        }
        Ok(answer) => (Attempt::Answered(vec![rejected(&answer)]), None),
        Err(error @ ClientError::AnswerTooLarge { .. }) => (refuse_all(1, &error.to_string()), None),
        Err(error) => (Attempt::Unreachable { cause: error.to_string() }, None),
    }
}

/// Returns true if the same call may succeed later.
fn may_recover(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
}

/// Returns true if the status concerns the service as a whole, not the message.
fn is_unavailable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 503)
}

fn unavailable(answer: &Answer) -> Attempt {
    Attempt::Unreachable { cause: describe(answer) }
}

fn rejected(answer: &Answer) -> Outcome {
    match answer.status {
        StatusCode::NOT_FOUND => Outcome::Rejected(Reason::Unknown),
        _ => Outcome::Rejected(Reason::Refused(describe(answer))),
    }
}

fn refuse_all(count: usize, detail: &str) -> Attempt {
    Attempt::Answered(vec![Outcome::Rejected(Reason::Refused(detail.to_owned())); count])
}

/// Returns status and beginning of the body, where services of the HTTP era explain the failure.
fn describe(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let text: String = text.chars().take(DETAIL_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("it answered {} {}", answer.status.as_u16(), text).trim_end().to_owned()
}
