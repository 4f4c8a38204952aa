//! The broker's HTTP API. exo 2.2.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::http::header::UPGRADE;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use bytes::Bytes;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};

use super::callers::{Caller, Credentials, check_member, check_operator, check_registration, check_sending};
use super::config::Config;
use super::error::Error;
use super::opening::{Refusal, open};
use super::response::{busy, json_text};
use super::service::Broker;
use super::traffic_routes;
use super::wire::{AbsentRow, Address, Announcement, INSTANCE_HEADER, InstanceRow, Landscape, Listing, Undelivered};
use crate::http::access::{Original, TrustedProxies, Verb, bearer_token, rights_of};
use crate::http::{
    Access, Introduction, Kind, Landing, Limits, Path, Peer, Problem, Query, Scheme, is_browser, json_body,
    message_name, not_found, typed,
};
use crate::message::{self, HeldNames, InstanceId, Message, MessageName, Role, TraceParent, Verdict};
use crate::metrics::Exposition;

/// Returns the access control of the broker's listener.
pub fn access(config: &Config, limits: &Limits) -> Arc<Access> {
    Access::of_sockets("/services", "broker.cors_origins", &config.cors_origins, limits)
}

/// Builds the router: the original API (exo 2.2), registration with leases, batches, and endpoints for operators.
pub fn router(broker: Broker, limits: &Limits) -> Router {
    router_with(broker, limits, Registry::default())
}

/// Builds the router as [`router`] does. The broker's metrics join those of `registry`.
pub(crate) fn router_with(broker: Broker, limits: &Limits, mut registry: Registry) -> Router {
    broker.register_metrics(&mut registry);
    let measured = broker.clone();
    let exposition = Arc::new(Exposition::new(registry, move || measured.refresh_metrics()));
    Router::new()
        .route("/config.json", any(config))
        .route("/services", get(services).post(replace_services))
        .route("/services/{role}", delete(leave).put(register))
        .route("/send", post(send_batch))
        .route("/send/{*message}", post(send_single))
        .route("/undelivered", get(undelivered))
        .route("/traffic", get(traffic_routes::follow))
        .route("/activities/{id}", get(traffic_routes::activity))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .fallback(unknown)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Api {
            registration_limits: Limits { body_bytes_max: broker.config().registration_bytes_max, ..limits.clone() },
            broker,
            limits: limits.for_envelopes(),
            exposition,
            proxies: TrustedProxies::new(&limits.trusted_proxies),
        })
}

/// State shared by all routes.
#[derive(Clone)]
struct Api {
    broker: Broker,
    limits: Limits,
    /// Of registrations.
    registration_limits: Limits,
    exposition: Arc<Exposition>,
    proxies: TrustedProxies,
}

impl FromRef<Api> for Broker {
    fn from_ref(api: &Api) -> Self {
        api.broker.clone()
    }
}

async fn config(State(broker): State<Broker>, credentials: Credentials) -> Result<Response, Problem> {
    if !broker.config().compat {
        check_member(&broker, &credentials)?;
    }
    Ok(configuration(&broker))
}

/// Renders roles and routes in the format and content type of the original whose landscape form is in use.
/// exo 2.4, 3.7, 3.8.
pub(super) fn configuration(broker: &Broker) -> Response {
    let listing = broker.listing();
    let mut text = serde_json::to_string(&listing).expect("numbers and strings always serialize");
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
    absent: Vec<AbsentRow>,
}

/// Lists the services, or opens the WebSocket of one if the request is an upgrade.
async fn services(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    if request.headers().contains_key(UPGRADE) {
        return open(&api.broker, request).await.map_err(|refusal| match refusal {
            Refusal::Origin { .. } => Problem::new(Kind::Forbidden, refusal),
            Refusal::Handshake { .. } => Problem::new(Kind::InvalidRequest, refusal),
            Refusal::Draining => busy(&api.broker),
        });
    }
    if api.broker.config().compat {
        return Ok(cannot(request.method(), request.uri()));
    }
    check_member(&api.broker, &Credentials::new(request.headers(), request.extensions()))?;
    let services = Services { services: api.broker.instances(), absent: api.broker.absent() };
    Ok(typed("application/json", json_text(&services)))
}

async fn replace_services(State(api): State<Api>, request: Request) -> Result<StatusCode, Problem> {
    let credentials = Credentials::new(request.headers(), request.extensions());
    check_operator(&api.broker, &credentials, Verb::Configure)?;
    let incoming = json_body(request, &api.limits).await?;
    let landscape = Landscape::from_json(&incoming.body)?;
    let (form, roles) = (landscape.form, landscape.roles.len());
    api.broker.configure(landscape)?;
    tracing::info!(?form, roles, "landscape posted");
    Ok(StatusCode::OK)
}

async fn register(State(api): State<Api>, Path(role): Path<String>, request: Request) -> Result<Response, Problem> {
    let role = Role::parse(&role).map_err(Error::text("role"))?;
    check_registration(&api.broker, request.extensions(), &role)?;
    let peer = request.extensions().get().map(|Peer(address)| address.ip());
    let client = Original::of(request.headers(), (Scheme::Http, peer), &api.proxies).client.or(peer);
    let incoming = json_body(request, &api.registration_limits).await?;
    let Announcement { mut registration, host, port, delivery_token } = Announcement::from_json(role, &incoming.body)?;
    registration.token = registration.token.or_else(|| bearer_token(&incoming.headers).map(str::to_owned));
    let host = host.or_else(|| client.map(|address| address.to_canonical().to_string()));
    let host = host.ok_or(Error::Field { field: "host", expected: "a host name or an IP address" })?;
    let instance = registration.instance.clone();
    let address = Address::new(&host, port)?.with_token(delivery_token.as_deref());
    let lease = api.broker.register(registration, address).map_err(|error| match error {
        Error::Token { .. } => Caller::of(&api.broker, &incoming.headers).refused(&error),
        error => error.into(),
    })?;
    Ok(typed("application/json", lease.to_json(&instance)))
}

#[derive(Deserialize)]
struct Leaving {
    instance: Option<String>,
}

async fn leave(
    State(api): State<Api>,
    Path(role): Path<String>,
    Query(Leaving { instance }): Query<Leaving>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<StatusCode, Problem> {
    let role = Role::parse(&role).map_err(Error::text("role"))?;
    Caller::of(&api.broker, &headers).check_role(&role, &extensions)?;
    let missing =
        || Problem::new(Kind::InvalidRequest, "the query parameter \"instance\" is missing, as in ?instance=ID");
    let instance = InstanceId::parse(&instance.ok_or_else(missing)?).map_err(Error::text("instance"))?;
    match api.broker.leave(&role, &instance) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::new(Kind::NotFound, format!("{instance:?} is not an instance of {role:?}"))),
    }
}

async fn send_single(State(api): State<Api>, uri: Uri, request: Request) -> Result<Response, Problem> {
    let encoded = uri.path().strip_prefix("/send/").unwrap_or_default();
    let name = message_name(encoded)?;
    check_sending(&api.broker, (request.headers(), request.extensions()), &name)?;
    let incoming = json_body(request, &api.limits).await?;
    let origin = origin(&api.broker, &incoming.headers)?;
    let mut message = Message::from_json(Some(name.clone()), &incoming.body)?;
    message.trace = message.trace.or_else(|| trace(&incoming.headers));
    message.check_bounds(api.broker.config().payload_bytes_max)?;
    let (sender, caller) = (message.sender.clone(), Caller::of(&api.broker, &incoming.headers));
    match api.broker.publish_with(origin.as_ref(), caller.proof(), message) {
        Verdict::Accepted => Ok(StatusCode::OK.into_response()),
        Verdict::NoReceivers => Ok(no_receivers(&api.broker, origin.as_ref(), sender.as_ref(), &name)),
        Verdict::Busy { retry_after } => Err(busy(&api.broker).retry_after(retry_after)),
        Verdict::Forbidden { detail } => Err(caller.refused(&detail)),
        Verdict::Refused { detail } => Err(Problem::new(Kind::InvalidMessage, detail)),
    }
}

async fn send_batch(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let rights = rights_of(request.extensions());
    let incoming = json_body(request, &api.limits).await?;
    let origin = origin(&api.broker, &incoming.headers)?;
    let messages = Message::list_from_json(&incoming.body)?;
    let messages_max = api.broker.config().batch_messages_max;
    if messages.len() > messages_max {
        let detail = format!("the array has {} messages, at most {messages_max} are allowed", messages.len());
        return Err(Problem::new(Kind::InvalidMessage, detail));
    }
    let (trace, caller) = (trace(&incoming.headers), Caller::of(&api.broker, &incoming.headers));
    let publish = |message: Result<Message, message::Error>| match message {
        Ok(message) => {
            let refused = check_sending(&api.broker, (&incoming.headers, &rights), &message.name).err();
            if let Some(refused) = refused {
                return Verdict::Forbidden { detail: refused.detail().to_owned() };
            }
            let trace = message.trace.clone().or_else(|| trace.clone());
            api.broker.publish_with(origin.as_ref(), caller.proof(), Message { trace, ..message })
        }
        Err(error) => Verdict::Refused { detail: error.to_string() },
    };
    // A sender repeats a message whose receivers are full, so later ones of its name wait too, which keeps their order.
    let mut held = HeldNames::default();
    let verdicts: Vec<Verdict> = messages
        .into_iter()
        .map(|message| match message.as_ref().map(|message| message.name.clone()) {
            Ok(name) => held.publish(&name, || publish(message)),
            Err(_) => publish(message),
        })
        .collect();
    Ok(typed("application/json", Verdict::list_to_json(&verdicts)))
}

#[derive(Serialize)]
struct GivenUp {
    undelivered: Vec<Undelivered>,
}

async fn undelivered(State(broker): State<Broker>, credentials: Credentials) -> Result<Response, Problem> {
    check_operator(&broker, &credentials, Verb::Undelivered)?;
    Ok(typed("application/json", json_text(&GivenUp { undelivered: broker.undelivered() })))
}

async fn health() -> Response {
    crate::http::health("broker")
}

/// Body of `/ready`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ready {
    status: &'static str,
    /// Messages that wait for their receivers.
    queued_messages: usize,
    /// Time for which the oldest of them has been waiting.
    oldest_ms: u128,
}

impl Ready {
    fn of(broker: &Broker) -> Self {
        let (load, wait) = broker.waiting();
        Self { status: "ready", queued_messages: load.messages, oldest_ms: wait.as_millis() }
    }
}

async fn ready(State(broker): State<Broker>) -> Result<Response, Problem> {
    match broker.is_draining() {
        true => Err(busy(&broker)),
        false => Ok(typed("application/json", json_text(&Ready::of(&broker)))),
    }
}

async fn metrics(State(api): State<Api>, credentials: Credentials, headers: HeaderMap) -> Result<Response, Problem> {
    // Tokens of roles alone leave them open.
    if credentials.are_judged_by_rules() {
        check_operator(&api.broker, &credentials, Verb::Metrics)?;
    }
    Ok(api.exposition.respond(&headers))
}

/// Returns the contract of this listener. `spec/conformance/openapi` checks it against the running server.
async fn openapi() -> Response {
    typed("application/json", Bytes::from_static(include_bytes!("openapi.json")))
}

/// Answers a path without a route: the page of this listener, or 404. Programs get what the original answered in `compat`.
async fn unknown(State(broker): State<Broker>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let compat = broker.config().compat;
    let has_page = !compat || is_browser(&headers);
    let page = if has_page { introduced(compat).find(&method, uri.path(), &headers) } else { None };
    match page {
        Some(page) => page,
        None if compat => cannot(&method, &uri),
        None => not_found(method, uri).await.into_response(),
    }
}

/// The page for a person who opens this listener.
fn introduced(compat: bool) -> Landing {
    let mut links = vec![("/config.json", "services, and the messages that they send and receive")];
    if !compat {
        links.push(("/services", "the running services"));
    }
    links.extend([
        ("/undelivered", "messages that could not be delivered"),
        ("/ready", "whether messages can be sent"),
        ("/metrics", "counters"),
    ]);
    let part = Introduction {
        about: "Services send their messages here, and it delivers each to the services that receive it.".into(),
        tries: vec![
            ("Watch the messages", "curl -N http://{host}/traffic".into()),
            (
                "Connect a service that listens on port 5000",
                "exorelay run --role web --bus http://{host} --forward http://127.0.0.1:5000".into(),
            ),
        ],
        links,
    };
    Landing::new("ExoRelay, the message broker", vec![part])
}

async fn method_not_allowed(State(broker): State<Broker>, method: Method, uri: Uri) -> Response {
    match broker.config().compat {
        true => cannot(&method, &uri),
        false => {
            let detail = format!("{} does not support {method}", uri.path());
            Problem::new(Kind::MethodNotAllowed, detail).into_response()
        }
    }
}

/// Answers a call that the original did not know as that did. exo 2.2.
fn cannot(method: &Method, uri: &Uri) -> Response {
    (StatusCode::NOT_FOUND, format!("Cannot {method} {}\n", uri.path())).into_response()
}

/// Returns the sending instance, if the call names one. An unregistered instance is refused before anything is
/// accepted, since replies to its messages could not reach it.
fn origin(broker: &Broker, headers: &HeaderMap) -> Result<Option<InstanceId>, Problem> {
    let Some(value) = headers.get(INSTANCE_HEADER) else { return Ok(None) };
    let text =
        value.to_str().map_err(|_| Problem::new(Kind::InvalidRequest, "the Exo-Instance header must be ASCII"))?;
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
