//! Table of all routes, and `POST /send`, `/request`, `/reply`.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::state::{Api, Operations};
use super::{Config, Envelope, dead_letters, headers, messages, openapi, operations};
use crate::http::access::{Verb, allow, needing};
use crate::http::{Access, Introduction, Kind, Landing, Limits, Problem, json_body, message_name, method_not_allowed};
use crate::message::{Message, MessageName};
use crate::relay::{Draft, Relay};

/// Returns the access control of the service-facing listener.
pub fn access(config: &Config, limits: &Limits) -> Arc<Access> {
    Access::of("api.cors_origins", &config.cors_origins, limits)
}

/// Bodies beyond this are refused before they are read if nobody receives their message.
const LONG_BYTES_MIN: u64 = 64 * 1024;

/// Returns the routes of the service-facing listener of `relay`.
pub fn router(relay: Relay, config: &Config, limits: &Limits, operations: Operations) -> Router {
    let send = match config.envelope {
        Envelope::Plain => post(send),
        Envelope::Exocom => post(send_envelope),
    };
    let landing = introduced(&relay);
    let router = Router::new()
        .route("/send/{*message}", send)
        .route("/request/{*message}", post(request))
        .route("/reply/{*message}", post(reply))
        .route("/messages", get(messages::follow))
        .route("/messages/{id}/ack", post(messages::acknowledge))
        .route("/messages/{id}/retry", post(messages::retry))
        .route("/health", get(operations::health))
        .route("/ready", get(operations::ready))
        .route("/openapi.json", get(openapi::document))
        .merge(needing(Verb::Metrics, Router::new().route("/metrics", get(operations::metrics))))
        .merge(needing(Verb::DeadLetters, of_dead_letters()));
    landing.fallback(router).method_not_allowed_fallback(method_not_allowed).with_state(Api {
        relay,
        limits: Arc::new(limits.clone()),
        operations,
    })
}

fn of_dead_letters() -> Router<Api> {
    Router::new()
        .route("/dead-letters", get(dead_letters::list))
        .route("/dead-letters/{id}", get(dead_letters::show).delete(dead_letters::discard))
        .route("/dead-letters/{id}/replay", post(dead_letters::replay))
}

/// The page for a person who opens this listener.
fn introduced(relay: &Relay) -> Landing {
    let curl = "curl -d '{\"name\":\"world\"}' http://{host}";
    let part = Introduction {
        about: "A service sends and receives its messages here, with one HTTP call for each. This is for the service \
                itself; other services reach it through the bus."
            .into(),
        tries: vec![
            ("Send a message and wait for the reply", format!("{curl}/request/hello")),
            ("Send a message", format!("{curl}/send/hello")),
            ("Follow the messages that arrive", "curl -N http://{host}/messages".into()),
        ],
        links: vec![
            ("/ready", "whether messages can be sent and handled"),
            ("/dead-letters", "messages that could not be handled"),
            ("/metrics", "counters"),
            ("/openapi.json", "every call of this listener"),
        ],
    };
    Landing::new(format!("ExoRelay, the api of the sidecar of {}", relay.role()), vec![part])
}

/// `202 {"id","activityId"}`: the message is accepted.
async fn send(State(api): State<Api>, request: Request<Body>) -> Result<Response, Problem> {
    let draft = draft(&api, (Verb::Send, "/send/"), request).await?;
    accept(&api, draft).await
}

/// Like [`send`], but requires the id of the message that is answered.
async fn reply(State(api): State<Api>, request: Request<Body>) -> Result<Response, Problem> {
    if !request.headers().contains_key(headers::RESPONSE_TO) {
        let detail = "a reply needs the header Exo-Response-To: the id of the message it answers";
        return Err(Problem::new(Kind::InvalidRequest, detail));
    }
    let draft = draft(&api, (Verb::Send, "/reply/"), request).await?;
    accept(&api, draft).await
}

/// `200` with the payload of the reply as body, and its name, id and `auth` in headers.
async fn request(State(api): State<Api>, request: Request<Body>) -> Result<Response, Problem> {
    let timeout = headers::timeout(request.uri().query())?.unwrap_or_else(|| api.relay.config().request_timeout());
    let draft = draft(&api, (Verb::Request, "/request/"), request).await?;
    let reply = api.relay.request_draft(draft, timeout).await?;
    let correlation = [
        (headers::MESSAGE, headers::value(reply.name.as_str())),
        (headers::MESSAGE_ID, headers::value(reply.id.as_str())),
    ];
    let mut response = match reply.payload {
        Some(payload) => {
            (correlation, [(CONTENT_TYPE, "application/json")], payload.as_bytes().clone()).into_response()
        }
        None => correlation.into_response(),
    };
    if let Some(auth) = &reply.auth {
        match headers::auth_value(auth) {
            Some(value) => drop(response.headers_mut().insert(headers::AUTH, value)),
            None => tracing::warn!(message_id = %reply.id, "the auth of a reply is too long for a header"),
        }
    }
    Ok(response)
}

/// The HTTP-era `POST /send/{message}`: the body is an envelope, the response an empty 200.
async fn send_envelope(State(api): State<Api>, request: Request<Body>) -> Result<Response, Problem> {
    let name = name(&request, (Verb::Send, "/send/"))?;
    let incoming = json_body(request, &api.limits.for_envelopes()).await?;
    let message = Message::from_json(Some(name), &incoming.body)?;
    api.relay.forward(message).await?;
    Ok(StatusCode::OK.into_response())
}

async fn draft(api: &Api, route: (Verb, &str), request: Request<Body>) -> Result<Draft, Problem> {
    let name = name(&request, route)?;
    // A call that is refused for its head needs no body.
    let draft = headers::draft(name, request.headers())?;
    if is_long(&request) {
        api.relay.check_receivers(&draft)?;
    }
    let incoming = json_body(request, &api.limits).await?;
    Ok(Draft { payload: headers::payload(incoming.body)?, ..draft })
}

/// Returns true if the body may be too long to be read for nothing.
fn is_long(request: &Request<Body>) -> bool {
    request.body().size_hint().upper().is_none_or(|bytes| bytes > LONG_BYTES_MIN)
}

/// Parses the name of the message, which the caller must have the right to send.
fn name(request: &Request<Body>, (verb, prefix): (Verb, &str)) -> Result<MessageName, Problem> {
    let name = message_name(request.uri().path().get(prefix.len()..).unwrap_or_default())?;
    allow(request.extensions(), verb, name.as_str())?;
    Ok(name)
}

async fn accept(api: &Api, draft: Draft) -> Result<Response, Problem> {
    let sent = api.relay.send_draft(draft).await?;
    let body = serde_json::json!({ "id": sent.id, "activityId": sent.activity_id }).to_string();
    Ok((StatusCode::ACCEPTED, [(CONTENT_TYPE, "application/json")], body).into_response())
}
