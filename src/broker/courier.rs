//! One task per instance: waits for work, delivers it, tells the rules how it went, and waits before it tries again.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::Full;

use super::rules::{Attempt, Batch, InstanceKey, Outcome, Reason, Work};
use super::shell::{Handle, Shell};
use super::wire::Address;
use crate::http::{Answer, Backoff, ClientError};
use crate::message::{Delivery, Inbox, Message, MessageId, Receipt, TraceParent, path_segment};

/// How much of a receiver's words is repeated.
const DETAIL_CHARS_MAX: usize = 200;

/// How a delivery went, and the wait the receiver asked for.
type Tried = (Attempt, Option<Duration>);

/// Works for one instance until it has left or the broker stops. Not cancel-safe: a dropped delivery may have arrived.
pub(crate) async fn run(shell: Arc<Shell>, key: InstanceKey, handle: Handle) {
    let mut backoff = Backoff::new(shell.config.retry_wait_max());
    let mut head: Option<MessageId> = None;
    loop {
        let asked = tokio::select! {
            asked = answers(&shell, key, &handle) => asked,
            () = shell.stop.cancelled() => return,
        };
        if let Some(delay) = asked
            && !pause(&shell, &handle, delay).await
        {
            return;
        }
        let batch = match shell.take(key) {
            Work::Gone => return,
            Work::Nothing => {
                tokio::select! {
                    () = handle.wake.notified() => continue,
                    () = shell.stop.cancelled() => return,
                }
            }
            Work::Batch(batch) => batch,
        };
        let first = batch.messages.first().map(|message| message.id.clone());
        let (attempt, asked) = tokio::select! {
            tried = deliver(&shell, handle.inbox.as_deref(), batch) => tried,
            () = shell.stop.cancelled() => return,
        };
        let again = needs_patience(&attempt);
        // A receiver that answers is waited for message by message; one that does not, more and more patiently.
        if !again || (first != head && !matches!(attempt, Attempt::Unreachable { .. })) {
            backoff.reset();
        }
        head = first;
        shell.settle(key, attempt);
        if !again {
            continue;
        }
        shell.metrics.retried.inc();
        if !pause(&shell, &handle, backoff.next().max(asked.unwrap_or_default())).await {
            return;
        }
    }
}

/// Waits before the next try, unless there is news of the instance. Returns false once the broker stops.
async fn pause(shell: &Shell, handle: &Handle, delay: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(delay.min(shell.config.delivery_window())) => true,
        () = handle.wake.notified() => true,
        () = shell.stop.cancelled() => false,
    }
}

/// Waits for the answers to what the publishers' threads gave to the inbox. Returns the wait that it asks for, if any.
async fn answers(shell: &Shell, key: InstanceKey, handle: &Handle) -> Option<Duration> {
    let mut asked = None;
    while let Some((sequence, pending)) = handle.next_unanswered() {
        let delivery = pending.await;
        asked = asked.max(wait_of(&delivery));
        shell.answered(key, sequence, delivery);
    }
    asked
}

fn wait_of(delivery: &Delivery) -> Option<Duration> {
    match delivery {
        Delivery::Busy { retry_after } => Some(*retry_after),
        Delivery::Accepted | Delivery::Unknown | Delivery::Refused { .. } => None,
    }
}

/// Whether the next try should wait.
fn needs_patience(attempt: &Attempt) -> bool {
    match attempt {
        Attempt::Answered(outcomes) => outcomes.iter().any(|outcome| matches!(outcome, Outcome::Retry(_))),
        Attempt::TooLarge { .. } => false,
        Attempt::Unreachable { .. } => true,
    }
}

async fn deliver(shell: &Shell, inbox: Option<&dyn Inbox>, batch: Batch) -> Tried {
    match (batch.address, inbox) {
        (Some(address), _) if batch.together => post_together(shell, &address, &batch.messages).await,
        (Some(address), _) => post_single(shell, &address, &batch.messages).await,
        (None, Some(inbox)) => hand_over(inbox, batch.messages).await,
        (None, None) => (Attempt::Unreachable { cause: "the service has no inbox".into() }, None),
    }
}

/// To a service of this process: until it is busy. What somebody there waits for passes what has no room.
async fn hand_over(inbox: &dyn Inbox, messages: Vec<Message>) -> Tried {
    let mut receipts = Vec::with_capacity(messages.len());
    let mut asked = None;
    for message in messages {
        let receipt = match asked {
            Some(retry_after) if !inbox.awaits(&message) => Receipt::Now(Delivery::Busy { retry_after }),
            Some(_) | None => inbox.deliver(message),
        };
        if let Receipt::Now(delivery) = &receipt {
            asked = wait_of(delivery).or(asked);
        }
        receipts.push(receipt);
    }
    let mut outcomes = Vec::with_capacity(receipts.len());
    for receipt in receipts {
        let delivery = receipt.wait().await;
        asked = wait_of(&delivery).max(asked);
        outcomes.push(delivery.into());
    }
    (Attempt::Answered(outcomes), asked)
}

/// To one of our relays: one call, one answer per message.
async fn post_together(shell: &Shell, address: &Address, messages: &[Message]) -> Tried {
    let request = Request::post(format!("http://{address}/run"))
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .body(Full::new(Message::list_to_json(messages)));
    let answer = match request {
        Ok(request) => shell.client.call(request).await,
        Err(error) => return (refused_all(messages.len(), &error.to_string()), None),
    };
    match answer {
        Ok(answer) if answer.status.is_success() => read_list(&answer.body, messages.len()),
        Ok(answer) if may_recover(answer.status) => (unavailable(&answer), answer.retry_after()),
        Ok(answer) if messages.len() > 1 => (Attempt::TooLarge { detail: words(&answer) }, None),
        Ok(answer) => (Attempt::Answered(vec![rejected(&answer)]), None),
        Err(error @ ClientError::AnswerTooLarge { .. }) => (refused_all(messages.len(), &error.to_string()), None),
        Err(error) => (Attempt::Unreachable { cause: error.to_string() }, None),
    }
}

fn read_list(body: &Bytes, count: usize) -> Tried {
    match Delivery::list_from_json(body) {
        Ok(deliveries) if deliveries.len() <= count => {
            let asked = deliveries.iter().filter_map(wait_of).max();
            let mut outcomes: Vec<Outcome> = deliveries.into_iter().map(Outcome::from).collect();
            outcomes.resize_with(count, || Outcome::Retry("the receiver's answer left it out".into()));
            (Attempt::Answered(outcomes), asked)
        }
        Ok(_) | Err(_) => (refused_all(count, "its answer is not a list with one status per message"), None),
    }
}

/// To any other service: one message, the name in the URL. exo 2.1.
async fn post_single(shell: &Shell, address: &Address, messages: &[Message]) -> Tried {
    let Some(message) = messages.first() else { return (Attempt::Answered(Vec::new()), None) };
    let name = path_segment(message.name.as_str());
    let mut request = Request::post(format!("http://{address}/run/{name}"))
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json");
    if let Some(trace) = &message.trace {
        request = request.header(TraceParent::HEADER, trace.as_str());
    }
    let answer = match request.body(Full::new(message.to_json())) {
        Ok(request) => shell.client.call(request).await,
        Err(error) => return (refused_all(1, &error.to_string()), None),
    };
    match answer {
        Ok(answer) if answer.status.is_success() => (Attempt::Answered(vec![Outcome::Delivered]), None),
        Ok(answer) if is_unavailable(answer.status) => (unavailable(&answer), answer.retry_after()),
        Ok(answer) if may_recover(answer.status) => {
            (Attempt::Answered(vec![Outcome::Retry(words(&answer))]), answer.retry_after())
        }
        Ok(answer) => (Attempt::Answered(vec![rejected(&answer)]), None),
        Err(error @ ClientError::AnswerTooLarge { .. }) => (refused_all(1, &error.to_string()), None),
        Err(error) => (Attempt::Unreachable { cause: error.to_string() }, None),
    }
}

/// Whether the same call may succeed later.
fn may_recover(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
}

/// Whether the answer is about the service, not about the message.
fn is_unavailable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 503)
}

fn unavailable(answer: &Answer) -> Attempt {
    Attempt::Unreachable { cause: words(answer) }
}

fn rejected(answer: &Answer) -> Outcome {
    match answer.status {
        StatusCode::NOT_FOUND => Outcome::Rejected(Reason::Unknown),
        _ => Outcome::Rejected(Reason::Refused(words(answer))),
    }
}

fn refused_all(count: usize, detail: &str) -> Attempt {
    Attempt::Answered(vec![Outcome::Rejected(Reason::Refused(detail.to_owned())); count])
}

/// Status and the beginning of the body: services of the HTTP era say there what is wrong.
fn words(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let text: String = text.chars().take(DETAIL_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("it answered {} {}", answer.status.as_u16(), text).trim_end().to_owned()
}
