//! HTTP routes of subscriptions: the reserved paths below `__ds`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, OriginalUri, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{Extensions, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::error::Error;
use super::rules::{AckEndpoint, Refusal};
use super::service::SubscriptionService;
use super::subscriber::Subscriber;
use super::wire::{
    Page, SubscriptionId, parse_acknowledgement, parse_claim, parse_links, parse_release, parse_terms, parse_url_stream,
};
use crate::http::access::bearer_token;
use crate::http::{self, Limits, read_body};
use crate::streams;
use crate::streams::Streams;

/// Path prefix of the routes, inside of the router of streams.
const ROOT: &str = "/v1/stream/__ds";

#[derive(Clone)]
struct Handlers {
    streams: Streams,
    limits: Arc<Limits>,
}

/// Returns the routes. They cover every path below `__ds`, so none of them can be a stream.
pub(in crate::streams) fn router(streams: Streams, limits: &Limits) -> Router {
    let limits = Limits { body_bytes_max: streams.config().subscriptions_body_bytes_max, ..limits.clone() };
    let handlers = Handlers { streams, limits: Arc::new(limits) };
    let routes = Router::new()
        .route("/jwks.json", get(jwks).fallback(method_not_allowed))
        .route("/subscriptions/{id}", get(show).put(create).delete(remove).fallback(method_not_allowed))
        .route("/subscriptions/{id}/streams", post(link).fallback(method_not_allowed))
        .route("/subscriptions/{id}/streams/{*path}", delete(unlink).fallback(method_not_allowed))
        .route("/subscriptions/{id}/callback", post(callback).fallback(method_not_allowed))
        .route("/subscriptions/{id}/claim", post(claim).fallback(method_not_allowed))
        .route("/subscriptions/{id}/ack", post(ack).fallback(method_not_allowed))
        .route("/subscriptions/{id}/release", post(release).fallback(method_not_allowed))
        .route("/", axum::routing::any(no_route))
        .route("/{*path}", axum::routing::any(no_route));
    Router::new().nest(ROOT, routes).route(&format!("{ROOT}/"), axum::routing::any(no_route)).with_state(handlers)
}

/// The parameters of the route, refused in the error form of subscriptions.
struct Path<T>(T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let http::Path(parameters) = http::Path::from_request_parts(parts, state).await.map_err(Error::Body)?;
        Ok(Self(parameters))
    }
}

async fn create(
    State(handlers): State<Handlers>,
    original: OriginalUri,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let caller = Subscriber::of(request.extensions())?;
    let id = SubscriptionId::parse(&id).map_err(Refusal::from)?;
    let terms = parse_terms(&handlers.body(request).await?)?;
    caller.check_terms(&terms)?;
    caller.check_existing(handlers.service()?, &id).await?;
    let (view, created) = handlers.service()?.create(&id, terms, mount(&original)).await?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view)).into_response())
}

async fn show(
    State(handlers): State<Handlers>,
    original: OriginalUri,
    extensions: Extensions,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let caller = Subscriber::of(&extensions)?;
    let id = existing_id(&id)?;
    caller.check_existing(handlers.service()?, &id).await?;
    let page = Page::parse(original.query().unwrap_or_default())?;
    Ok(Json(handlers.service()?.get(&id, &page, mount(&original)).await?).into_response())
}

async fn remove(
    State(handlers): State<Handlers>,
    extensions: Extensions,
    Path(id): Path<String>,
) -> Result<StatusCode, Error> {
    let caller = Subscriber::of(&extensions)?;
    if let Ok(id) = SubscriptionId::parse(&id) {
        caller.check_existing(handlers.service()?, &id).await?;
        handlers.service()?.delete(&id).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn link(
    State(handlers): State<Handlers>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<StatusCode, Error> {
    let caller = Subscriber::of(request.extensions())?;
    let paths = parse_links(&handlers.body(request).await?)?;
    caller.check_streams(&paths)?;
    caller.check_existing(handlers.service()?, &existing_id(&id)?).await?;
    handlers.service()?.add_links(&existing_id(&id)?, paths).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unlink(
    State(handlers): State<Handlers>,
    extensions: Extensions,
    Path((id, path)): Path<(String, String)>,
) -> Result<StatusCode, Error> {
    Subscriber::of(&extensions)?.check_existing(handlers.service()?, &existing_id(&id)?).await?;
    handlers.service()?.remove_link(&existing_id(&id)?, &parse_url_stream(&path)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn callback(handlers: State<Handlers>, id: Path<String>, request: Request<Body>) -> Result<Response, Error> {
    acknowledge(handlers, id, request, AckEndpoint::Callback).await
}

async fn ack(handlers: State<Handlers>, id: Path<String>, request: Request<Body>) -> Result<Response, Error> {
    acknowledge(handlers, id, request, AckEndpoint::Ack).await
}

async fn acknowledge(
    State(handlers): State<Handlers>,
    Path(id): Path<String>,
    request: Request<Body>,
    endpoint: AckEndpoint,
) -> Result<Response, Error> {
    let (id, token) = (existing_id(&id)?, bearer_token(request.headers()).map(str::to_owned));
    let acknowledgement = parse_acknowledgement(&handlers.body(request).await?)?;
    let answer = handlers.service()?.acknowledge((&id, endpoint, token.as_deref()), &acknowledgement).await?;
    Ok(Json(answer).into_response())
}

async fn claim(
    State(handlers): State<Handlers>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let caller = Subscriber::of(request.extensions())?;
    let claim = parse_claim(&handlers.body(request).await?)?;
    caller.check_existing(handlers.service()?, &existing_id(&id)?).await?;
    Ok(Json(handlers.service()?.claim(&existing_id(&id)?, claim).await?).into_response())
}

async fn release(
    State(handlers): State<Handlers>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<StatusCode, Error> {
    let (id, token) = (existing_id(&id)?, bearer_token(request.headers()).map(str::to_owned));
    let release = parse_release(&handlers.body(request).await?)?;
    handlers.service()?.release((&id, token.as_deref()), &release).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn jwks(State(handlers): State<Handlers>) -> Result<Response, Error> {
    let keys = handlers.service()?.jwks().await?;
    let headers = [(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, "public, max-age=300")];
    Ok((headers, keys.to_string()).into_response())
}

async fn no_route(OriginalUri(uri): OriginalUri) -> Error {
    Error::NoRoute { path: uri.path().to_owned() }
}

async fn method_not_allowed(method: Method, OriginalUri(uri): OriginalUri) -> Error {
    Error::Method { path: uri.path().to_owned(), method: method.to_string() }
}

impl Handlers {
    /// Errors: [`streams::Error::Draining`].
    fn service(&self) -> Result<&SubscriptionService, Error> {
        match self.streams.is_draining() {
            true => Err(streams::Error::Draining.into()),
            false => Ok(self.streams.subscriptions()),
        }
    }

    async fn body(&self, request: Request<Body>) -> Result<Bytes, Error> {
        let (parts, body) = request.into_parts();
        read_body(&parts.headers, body, &self.limits).await.map_err(Error::Body)
    }
}

/// Returns the path of the root of all streams.
fn mount(OriginalUri(original): &OriginalUri) -> &str {
    original.path().find("/__ds/").map_or("/v1/stream", |end| &original.path()[..end])
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        let mut error = json!({"code": code, "message": self.message()});
        if let Self::Refused(Refusal::Claimed { worker, generation }) = &self {
            error["current_holder"] = json!(worker);
            error["generation"] = json!(generation);
        }
        let mut response = (status, Json(json!({ "error": error }))).into_response();
        if let Self::Body(problem) | Self::Access(problem) = &self {
            problem.add_headers(response.headers_mut());
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, axum::http::HeaderValue::from_static("1"));
        }
        response
    }
}

/// Parses the id of an existing subscription; a malformed id is reported as not found.
fn existing_id(id: &str) -> Result<SubscriptionId, Error> {
    let not_found = || Error::NoRoute { path: format!("subscriptions/{id}") };
    SubscriptionId::parse(id).map_err(|_| not_found())
}
