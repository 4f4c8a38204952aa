//! HTTP routes of the mock broker: registration, sending, and the WebSocket endpoint. Reference: exo 2.2, 3.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::record::{MESSAGES_MAX, Record};
use super::service::{Origin, Service, Target};
use super::shared::Shared;
use super::socket;
use crate::broker::{self, Address, Announcement, INSTANCE_HEADER, Lease};
use crate::http::{ConnectionPermit, Kind, Path, Peer, Problem, Query, json_body, message_name, not_found};
use crate::message::{self, InstanceId, Message, Role, Verdict};

/// Lease announced to relays, which renew it three times as often. It is not enforced: a slow machine must not fail a
/// test.
const LEASE: Duration = Duration::from_secs(3);

/// Messages that one call may carry.
const BATCH_MESSAGES_MAX: usize = 256;

/// Retry-After sent when the record is full.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Returns the router of the mock broker.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/config.json", get(configuration))
        .route("/services", get(connect))
        .route("/services/{role}", put(register).delete(deregister))
        .route("/send", post(send_batch))
        .route("/send/{*message}", post(send_single))
        .fallback(not_found)
        .method_not_allowed_fallback(not_found)
        .with_state(shared)
}

/// Renders the services in the form of both eras, in one object. exo 2.4, 3.7.
async fn configuration(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let record = shared.record();
    let mut services = Map::new();
    let mut clients: Vec<(&str, usize)> = Vec::new();
    for Service { role, target, .. } in record.services() {
        match clients.iter_mut().find(|(known, _)| *known == role.as_str()) {
            Some((_, instances)) => *instances += 1,
            None => clients.push((role.as_str(), 1)),
        }
        if let Target::Http { url } = target {
            let uri = url.parse::<Uri>().unwrap_or_default();
            services.insert(role.to_string(), json!({ "name": role, "host": uri.host(), "port": uri.port_u16() }));
        }
    }
    let row = |(role, instances): (&str, usize)| json!({ "role": role, "instances": instances });
    let clients: Vec<Value> = clients.into_iter().map(row).collect();
    Json(json!({ "services": services, "clients": clients, "routes": {} }))
}

async fn connect(
    State(shared): State<Arc<Shared>>,
    permit: Option<Extension<ConnectionPermit>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let bytes_max = shared.limits.body_bytes_max;
    let upgrade = upgrade.max_message_size(bytes_max).max_frame_size(bytes_max);
    // Taken before the upgrade, so that cutting connections also ends one that is just being made.
    let (tasks, cut) = (shared.tasks.clone(), shared.cut());
    upgrade.on_upgrade(move |socket| {
        tasks.track_future(async move {
            socket::serve(shared, cut, socket).await;
            drop(permit);
        })
    })
}

async fn register(
    State(shared): State<Arc<Shared>>,
    Path(role): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let role = Role::parse(&role).map_err(broker::Error::text("role"))?;
    let peer = request.extensions().get::<Peer>().copied();
    let incoming = json_body(request, &shared.limits).await?;
    let Announcement { registration, host, port, .. } = Announcement::from_json(role, &incoming.body)?;
    let host = host.or_else(|| peer.map(|Peer(address)| address.ip().to_canonical().to_string()));
    let host = host.ok_or(broker::Error::Field { field: "host", expected: "a host name or an IP address" })?;
    let url = format!("http://{}", Address::new(&host, port)?);
    let lease = Lease { duration: LEASE, batch_messages_max: BATCH_MESSAGES_MAX }.to_json(&registration.instance);
    let (role, instance) = (registration.role, Some(registration.instance));
    let service = Service { role, instance, origin: Origin::Registration, target: Target::Http { url } };
    shared.add(service).map_err(|error| Problem::new(Kind::Busy, error).retry_after(RETRY_AFTER))?;
    Ok(([("content-type", "application/json")], lease).into_response())
}

#[derive(Deserialize)]
struct Deregistration {
    instance: Option<String>,
}

async fn deregister(
    State(shared): State<Arc<Shared>>,
    Path(role): Path<String>,
    Query(Deregistration { instance }): Query<Deregistration>,
) -> Result<StatusCode, Problem> {
    let role = Role::parse(&role).map_err(broker::Error::text("role"))?;
    let missing = || Problem::new(Kind::InvalidRequest, "the query needs \"instance\", as in ?instance=ID");
    let instance = InstanceId::parse(&instance.ok_or_else(missing)?).map_err(broker::Error::text("instance"))?;
    match shared.record().remove(&role, &instance) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::new(Kind::NotFound, format!("{instance:?} is not an instance of {role:?}"))),
    }
}

async fn send_single(State(shared): State<Arc<Shared>>, uri: Uri, request: Request) -> Result<StatusCode, Problem> {
    let name = message_name(uri.path().strip_prefix("/send/").unwrap_or_default())?;
    let incoming = json_body(request, &shared.limits).await?;
    let origin = origin(&shared, &incoming.headers)?;
    let message = Message::from_json(Some(name.clone()), &incoming.body).inspect_err(|error| {
        shared.note_error(format!("a message '{name}' could not be read: {error}"));
    })?;
    match receive(&shared, message, origin.as_ref()) {
        true => Ok(StatusCode::OK),
        false => {
            let detail = format!("the mock broker records at most {MESSAGES_MAX} messages; call MockBroker::reset");
            Err(Problem::new(Kind::Busy, detail).retry_after(RETRY_AFTER))
        }
    }
}

async fn send_batch(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let incoming = json_body(request, &shared.limits).await?;
    let origin = origin(&shared, &incoming.headers)?;
    let messages = Message::list_from_json(&incoming.body)?;
    if messages.len() > BATCH_MESSAGES_MAX {
        let detail = format!("the array has {} messages, at most {BATCH_MESSAGES_MAX} are allowed", messages.len());
        return Err(Problem::new(Kind::InvalidMessage, detail));
    }
    let verdict_of = |message: Result<Message, message::Error>| match message {
        Ok(message) => match receive(&shared, message, origin.as_ref()) {
            true => Verdict::Accepted,
            false => Verdict::Busy { retry_after: RETRY_AFTER },
        },
        Err(error) => {
            shared.note_error(format!("a message of an array could not be read: {error}"));
            Verdict::Refused { detail: error.to_string() }
        }
    };
    let verdicts: Vec<_> = messages.into_iter().map(verdict_of).collect();
    Ok(([("content-type", "application/json")], Verdict::list_to_json(&verdicts)).into_response())
}

/// Returns the instance that sends, if the call names it. An instance that is not registered is refused, as our broker
/// does: that is how a relay learns that it has to register again.
fn origin(shared: &Shared, headers: &HeaderMap) -> Result<Option<InstanceId>, Problem> {
    let Some(value) = headers.get(INSTANCE_HEADER) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Problem::new(Kind::InvalidRequest, "Exo-Instance is not ASCII"))?;
    let instance = InstanceId::parse(text).map_err(|error| Problem::new(Kind::InvalidRequest, error))?;
    match shared.record().find_instance(&instance) {
        Some(_) => Ok(Some(instance)),
        None => Err(Problem::new(Kind::UnknownInstance, format!("{instance:?} is not registered: register it first"))),
    }
}

fn receive(shared: &Shared, message: Message, origin: Option<&InstanceId>) -> bool {
    let sender = message.sender.clone();
    shared.receive(message, |record: &Record| match origin {
        Some(instance) => record.find_instance(instance).cloned(),
        None => record.find(&sender?).cloned(),
    })
}
