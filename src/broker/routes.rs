//! The broker's HTTP face.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{CONTENT_TYPE, UPGRADE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::opening::{Refusal, open};
use super::service::Broker;
use super::watching;
use super::wire::{Address, Announcement, INSTANCE_HEADER, InstanceRow, Landscape, Listing, Undelivered};
use crate::http::access::bearer_token;
use crate::http::{Kind, Limits, Peer, Problem, json_body, message_name, not_found};
use crate::message::{self, InstanceId, Message, MessageName, Role, TraceParent, Verdict};

/// Everything the broker answers: exo 2.2, our registrations and batches, and what operators look at.
pub fn router(broker: Broker, limits: &Limits) -> Router {
    Router::new()
        .route("/config.json", any(shown))
        .route("/services", get(services).post(replace_services))
        .route("/services/{role}", delete(leave).put(register))
        .route("/send", post(send_batch))
        .route("/send/{*message}", post(send_single))
        .route("/undelivered", get(undelivered))
        .route("/traffic", get(watching::follow))
        .route("/activities/{id}", get(watching::activity))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Face { broker, limits: limits.for_envelopes() })
}

/// State of every route.
#[derive(Clone)]
pub(super) struct Face {
    pub(super) broker: Broker,
    limits: Limits,
}

async fn shown(State(face): State<Face>) -> Response {
    configuration(&face.broker)
}

/// Roles and routes, and their content type, as the original sends them whose landscape is in force. exo 2.4, 3.7, 3.8.
pub(super) fn configuration(broker: &Broker) -> Response {
    let listing = broker.listing();
    let mut text = serde_json::to_string(&listing).expect("numbers and texts can be written to memory");
    match listing {
        Listing::Http(_) | Listing::Namespaces { .. } => typed("application/json; charset=utf-8", text),
        Listing::Pairs { .. } => {
            text.push('\n');
            typed("text/plain; charset=utf-8", text)
        }
    }
}

#[derive(Serialize)]
struct Services {
    services: Vec<InstanceRow>,
}

/// The list of services, or the socket of one of them.
async fn services(State(face): State<Face>, request: Request) -> Result<Response, Problem> {
    if request.headers().contains_key(UPGRADE) {
        return open(&face.broker, request).await.map_err(|refusal| match refusal {
            Refusal::Origin { .. } => Problem::new(Kind::Forbidden, refusal),
            Refusal::Handshake { .. } => Problem::new(Kind::InvalidRequest, refusal),
        });
    }
    Ok(typed("application/json", json_text(&Services { services: face.broker.instances() })))
}

async fn replace_services(State(face): State<Face>, request: Request) -> Result<StatusCode, Problem> {
    let incoming = json_body(request, &face.limits).await?;
    let landscape = Landscape::from_json(&incoming.body)?;
    let (form, roles) = (landscape.form, landscape.roles.len());
    face.broker.configure(landscape)?;
    tracing::info!(?form, roles, "landscape posted");
    Ok(StatusCode::OK)
}

async fn register(State(face): State<Face>, Path(role): Path<String>, request: Request) -> Result<Response, Problem> {
    let role = Role::parse(&role).map_err(Error::text("role"))?;
    let peer = request.extensions().get::<Peer>().copied();
    let incoming = json_body(request, &face.limits).await?;
    let Announcement { registration, host, port } = Announcement::from_json(role, &incoming.body)?;
    let host = host.or_else(|| peer.map(|Peer(address)| address.ip().to_canonical().to_string()));
    let host = host.ok_or(Error::Field { field: "host", expected: "a host name or an IP address" })?;
    let instance = registration.instance.clone();
    let lease = face.broker.register(registration, Address::new(&host, port)?)?;
    Ok(typed("application/json", lease.to_json(&instance)))
}

#[derive(Deserialize)]
struct Leaving {
    instance: Option<String>,
}

async fn leave(
    State(face): State<Face>,
    Path(role): Path<String>,
    Query(Leaving { instance }): Query<Leaving>,
) -> Result<StatusCode, Problem> {
    let role = Role::parse(&role).map_err(Error::text("role"))?;
    let missing = || Problem::new(Kind::InvalidRequest, "the query needs \"instance\", as in ?instance=ID");
    let instance = InstanceId::parse(&instance.ok_or_else(missing)?).map_err(Error::text("instance"))?;
    match face.broker.leave(&role, &instance) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::new(Kind::NotFound, format!("{instance:?} is not an instance of {role:?}"))),
    }
}

async fn send_single(State(face): State<Face>, uri: Uri, request: Request) -> Result<Response, Problem> {
    let encoded = uri.path().strip_prefix("/send/").unwrap_or_default();
    let name = message_name(encoded)?;
    let incoming = json_body(request, &face.limits).await?;
    let origin = origin(&face.broker, &incoming.headers)?;
    let mut message = Message::from_json(Some(name.clone()), &incoming.body)?;
    message.trace = message.trace.or_else(|| trace(&incoming.headers));
    let sender = message.sender.clone();
    match face.broker.publish_with(origin.as_ref(), bearer_token(&incoming.headers), message) {
        Verdict::Accepted => Ok(StatusCode::OK.into_response()),
        Verdict::NoReceivers => Ok(no_receivers(&face.broker, origin.as_ref(), sender.as_ref(), &name)),
        Verdict::Busy { retry_after } => Err(busy(&face.broker).retry_after(retry_after)),
        Verdict::Forbidden { detail } => Err(Problem::new(Kind::Forbidden, detail)),
        Verdict::Refused { detail } => Err(Problem::new(Kind::InvalidMessage, detail)),
    }
}

async fn send_batch(State(face): State<Face>, request: Request) -> Result<Response, Problem> {
    let incoming = json_body(request, &face.limits).await?;
    let origin = origin(&face.broker, &incoming.headers)?;
    let messages = Message::list_from_json(&incoming.body)?;
    let messages_max = face.broker.config().batch_messages_max;
    if messages.len() > messages_max {
        let detail = format!("the array has {} messages, at most {messages_max} are allowed", messages.len());
        return Err(Problem::new(Kind::InvalidMessage, detail));
    }
    let (trace, token) = (trace(&incoming.headers), bearer_token(&incoming.headers));
    let publish = |message: Result<Message, message::Error>| match message {
        Ok(message) => {
            let trace = message.trace.clone().or_else(|| trace.clone());
            face.broker.publish_with(origin.as_ref(), token, Message { trace, ..message })
        }
        Err(error) => Verdict::Refused { detail: error.to_string() },
    };
    let mut verdicts = Vec::with_capacity(messages.len());
    for message in messages {
        let verdict = publish(message);
        let busy = matches!(verdict, Verdict::Busy { .. });
        verdicts.push(verdict);
        if busy {
            // The rest comes again behind this one, so that the sender's order is kept.
            break;
        }
    }
    Ok(typed("application/json", Verdict::list_to_json(&verdicts)))
}

#[derive(Serialize)]
struct GivenUp {
    undelivered: Vec<Undelivered>,
}

async fn undelivered(State(face): State<Face>) -> Response {
    typed("application/json", json_text(&GivenUp { undelivered: face.broker.undelivered() }))
}

async fn health() -> Response {
    typed("application/json", Bytes::from_static(b"{\"status\":\"ok\"}"))
}

async fn ready(State(face): State<Face>) -> Result<Response, Problem> {
    match face.broker.is_draining() {
        true => Err(busy(&face.broker)),
        false => Ok(typed("application/json", Bytes::from_static(b"{\"status\":\"ready\"}"))),
    }
}

async fn metrics(State(face): State<Face>) -> Response {
    typed("application/openmetrics-text; version=1.0.0; charset=utf-8", face.broker.metrics())
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(Kind::MethodNotAllowed, format!("{} does not answer {method}", uri.path()))
}

/// The instance that sends, if the call names it. An instance that is not registered is told so before anything is
/// accepted: the answers to what it sends could not find it.
fn origin(broker: &Broker, headers: &HeaderMap) -> Result<Option<InstanceId>, Problem> {
    let Some(value) = headers.get(INSTANCE_HEADER) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Problem::new(Kind::InvalidRequest, "Exo-Instance is not ASCII"))?;
    let instance = InstanceId::parse(text).map_err(|error| Problem::new(Kind::InvalidRequest, error))?;
    match broker.knows(&instance) {
        true => Ok(Some(instance)),
        false => Err(Problem::new(Kind::UnknownInstance, format!("{instance:?} is not registered: register it first"))),
    }
}

fn trace(headers: &HeaderMap) -> Option<TraceParent> {
    TraceParent::parse(headers.get(TraceParent::HEADER)?.to_str().ok()?)
}

fn no_receivers(broker: &Broker, origin: Option<&InstanceId>, sender: Option<&Role>, name: &MessageName) -> Response {
    let public = broker.public_name(origin, sender, name);
    match broker.config().compat {
        true => {
            let text = format!("Error: No receivers for message '{public}' registered");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
        false => Problem::new(Kind::NoReceivers, format!("no service receives the message '{public}'")).into_response(),
    }
}

pub(super) fn busy(broker: &Broker) -> Problem {
    match broker.is_draining() {
        true => Problem::new(Kind::Draining, Error::Draining).retry_after(std::time::Duration::from_secs(1)),
        false => Problem::new(Kind::Busy, "the queues of all receivers are full"),
    }
}

pub(super) fn json_text(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("numbers and texts can be written to memory").into()
}

pub(super) fn typed(content_type: &'static str, body: impl Into<Body>) -> Response {
    ([(CONTENT_TYPE, content_type)], body.into()).into_response()
}
