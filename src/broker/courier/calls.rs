//! The calls of a delivery: to an inbox in this process, to one of our relays, or to any other service.

use std::time::Duration;

use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Builder;
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::Full;

use crate::broker::rules::{Attempt, Outcome, Reason};
use crate::broker::wire::{Address, original_body};
use crate::http::{Answer, Client, ClientError};
use crate::message::{Delivery, Inbox, Message, Receipt, TraceParent, path_segment};

/// The beginning of a cause that is the answer of the receiver.
const ANSWERED: &str = "it answered";

/// Length at which the text of a receiver's answer is cut off.
const DETAIL_CHARS_MAX: usize = 200;

/// The result of a delivery, and the wait that the receiver asked for.
pub(super) type Delivered = (Attempt, Option<Duration>);

/// Treatment of services that are not our relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Messages come with all their fields, and what may succeed later is tried again.
    Current,
    /// As the original broker: only its own fields, and every message is delivered once, whatever the receiver answers.
    /// exo 2.2.
    Original,
}

/// Returns the wait that a receiver asks for.
pub(super) fn retry_after(delivery: &Delivery) -> Option<Duration> {
    match delivery {
        Delivery::Busy { retry_after } => Some(*retry_after),
        Delivery::Accepted | Delivery::Unknown | Delivery::Refused { .. } => None,
    }
}

/// Delivers to an instance in this process. After a `Busy`, only messages that a caller there is waiting for are still
/// handed over.
pub(super) async fn hand_over(inbox: &dyn Inbox, messages: Vec<Message>) -> Delivered {
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
pub(super) async fn post_batch(client: &Client, address: &Address, messages: &[Message]) -> Delivered {
    let request = post(address, "/run")
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

/// Begins a call to an instance, with the token that it asks for.
fn post(address: &Address, path: &str) -> Builder {
    let request = Request::post(format!("http://{address}{path}"));
    match address.token() {
        Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
        None => request,
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
pub(super) async fn post_single(client: &Client, address: &Address, message: &Message, manner: Manner) -> Delivered {
    let name = path_segment(message.name.as_str());
    let mut request = post(address, &format!("/run/{name}"))
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json");
    if let Some(trace) = message.trace.as_ref().filter(|_| manner == Manner::Current) {
        request = request.header(TraceParent::HEADER, trace.as_str());
    }
    let body = match manner {
        Manner::Current => message.to_json(),
        Manner::Original => original_body(message),
    };
    let answer = match request.body(Full::new(body)) {
        Ok(request) => client.call(request).await,
        Err(error) => return (refuse_all(1, &error.to_string()), None),
    };
    let is_final = manner == Manner::Original;
    match answer {
        Ok(answer) if answer.status.is_success() => (Attempt::Answered(vec![Outcome::Delivered]), None),
        Ok(answer) if is_final => (Attempt::Answered(vec![rejected(&answer)]), None),
        Ok(answer) if is_unavailable(answer.status) => (unavailable(&answer), answer.retry_after()),
        Ok(answer) if may_recover(answer.status) => {
            (Attempt::Answered(vec![Outcome::Retry(describe(&answer))]), answer.retry_after())
        }
        Ok(answer) => (Attempt::Answered(vec![rejected(&answer)]), None),
        Err(error @ ClientError::AnswerTooLarge { .. }) => (refuse_all(1, &error.to_string()), None),
        // The receiver may have the message.
        Err(error @ (ClientError::Broken { .. } | ClientError::Timeout { .. })) if is_final => {
            (refuse_all(1, &error.to_string()), None)
        }
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
/// Returns true if the receiver gave this cause itself.
pub(super) fn is_answer(cause: &str) -> bool {
    cause.starts_with(ANSWERED)
}

fn describe(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let text: String = text.chars().take(DETAIL_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{ANSWERED} {} {}", answer.status.as_u16(), text).trim_end().to_owned()
}
