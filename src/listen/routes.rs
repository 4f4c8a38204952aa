//! `POST /run/{message}`, `POST /run` for several at once, `GET /status`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::{Answer, Config};
use crate::http::access::{bearer_token, equals_secret};
use crate::http::{Access, Introduction, Kind, Landing, Limits, Problem, health, json_body, message_name, not_found};
use crate::message::{self, Delivery, Inbox, Message, Receipt, TraceParent};
use crate::relay::Relay;

#[derive(Clone)]
struct Listener {
    relay: Relay,
    answer: Answer,
    /// The token that deliveries need.
    token: Option<Arc<str>>,
    limits: Arc<Limits>,
}

/// Returns the access control of the bus-facing listener.
pub fn access(config: &Config, limits: &Limits) -> Arc<Access> {
    Access::of("listen.cors_origins", &config.cors_origins, limits)
}

/// Returns the routes of the bus-facing listener of `relay`.
pub fn router(relay: Relay, config: &Config, limits: &Limits) -> Router {
    let part = Introduction {
        about: "The broker, or any other bus, delivers the messages of one service here. The service itself uses the \
                listener `api` of this sidecar."
            .into(),
        tries: vec![(
            "Deliver a message by hand",
            "curl -H 'content-type: application/json' -d '{\"id\":\"1\",\"payload\":{}}' http://{host}/run/hello"
                .into(),
        )],
        links: vec![("/status", "200 as long as it runs")],
    };
    let landing = Landing::new("ExoRelay, the bus-facing listener of a sidecar", vec![part]);
    let router = Router::new()
        .route("/status", get(StatusCode::OK))
        .route("/health", get(async || health("listen")))
        .route("/run", post(run_many))
        .route("/run/{*message}", post(run));
    landing.fallback(router).method_not_allowed_fallback(not_found).with_state(Listener {
        relay,
        answer: config.answer,
        token: Some(config.token.as_str().into()).filter(|_| !config.token.is_empty()),
        limits: Arc::new(limits.for_envelopes()),
    })
}

impl Listener {
    /// Checks that a delivery has the token. Errors: 401.
    fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(token) = &self.token else { return Ok(()) };
        match bearer_token(headers).is_some_and(|presented| equals_secret(presented, token)) {
            true => Ok(()),
            false => {
                let detail = "deliveries to this sidecar need the token of listen.token, which it gives to its broker";
                Err(Problem::new(Kind::Unauthenticated, detail))
            }
        }
    }
}

/// Receives one message: 200 with an empty body, 400 `missing message id`, 404 `unknown message: '…'`, 503 if the inbox is
/// full.
async fn run(State(listener): State<Listener>, request: Request<Body>) -> Result<Response, Problem> {
    listener.check(request.headers())?;
    let encoded = request.uri().path().get("/run/".len()..).unwrap_or_default();
    let name = message_name(encoded)?;
    let incoming = json_body(request, &listener.limits).await?;
    let mut message = match Message::from_json(Some(name), &incoming.body) {
        Ok(message) => message,
        // This text is part of the contract, and the original implementations send it as plain text.
        Err(message::Error::MissingId) => return Ok((StatusCode::BAD_REQUEST, "missing message id").into_response()),
        Err(error) => return Err(error.into()),
    };
    let header = incoming.headers.get(TraceParent::HEADER).and_then(|value| value.to_str().ok());
    message.trace = header.and_then(TraceParent::parse).or(message.trace);
    let name = message.name.clone();
    let delivery = match listener.answer {
        Answer::Accepted => listener.relay.deliver(message).wait().await,
        Answer::Handled => match listener.relay.receive_handled(message).await {
            Ok(Ok(())) => Delivery::Accepted,
            Ok(Err(failure)) => {
                let detail = format!("the handler of '{name}' failed: {}", failure.reason);
                return Err(Problem::new(Kind::Internal, detail));
            }
            Err(refused) => refused.into(),
        },
    };
    match delivery {
        Delivery::Accepted => Ok(StatusCode::OK.into_response()),
        Delivery::Unknown => Ok((StatusCode::NOT_FOUND, format!("unknown message: '{name}'")).into_response()),
        Delivery::Busy { .. } if listener.relay.is_closing() => Err(draining()),
        Delivery::Busy { retry_after } => Err(Problem::new(Kind::Busy, "the inbox is full").retry_after(retry_after)),
        Delivery::Refused { detail } => Err(Problem::new(Kind::InvalidMessage, detail)),
    }
}

/// Receives an array of envelopes from our own broker: 200 with one result for each, in order. An invalid envelope does not
/// affect the others. Once the inbox is full, the rest is refused too, so that the order is kept when they come again;
/// except messages that a caller waits for, since the handlers that fill the inbox may depend on them.
async fn run_many(State(listener): State<Listener>, request: Request<Body>) -> Result<Response, Problem> {
    listener.check(request.headers())?;
    let incoming = json_body(request, &listener.limits).await?;
    if incoming.body.trim_ascii().first() != Some(&b'[') {
        // The original implementations see a path without a message here.
        return Err(Problem::new(Kind::NotFound, "cannot POST /run: expected /run/{message}, or a JSON array"));
    }
    let messages = Message::list_from_json(&incoming.body)?;
    let mut full = None;
    let deliver = |message: Result<Message, message::Error>| match (full, message) {
        (_, Err(error)) => Receipt::Now(Delivery::Refused { detail: error.to_string() }),
        (Some(retry_after), Ok(message)) if !listener.relay.awaits(&message) => {
            Receipt::Now(Delivery::Busy { retry_after })
        }
        (Some(_) | None, Ok(message)) => {
            let receipt = listener.relay.deliver(message);
            if let Receipt::Now(Delivery::Busy { retry_after }) = receipt {
                full = Some(retry_after);
            }
            receipt
        }
    };
    let receipts: Vec<_> = messages.into_iter().map(deliver).collect();
    let mut deliveries = Vec::with_capacity(receipts.len());
    for receipt in receipts {
        deliveries.push(receipt.wait().await);
    }
    Ok(([("content-type", "application/json")], Delivery::list_to_json(&deliveries)).into_response())
}

fn draining() -> Problem {
    Problem::new(Kind::Draining, "this relay is shutting down").retry_after(std::time::Duration::from_secs(1))
}
