//! The reserved paths below `__ds`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::json;

use super::error::Error;
use super::rules::{Refusal, Way};
use super::service::Running;
use super::wire::{
    SubscriptionId, claim_request, links_request, release_request, stream_in_url, terms_request, wake_request,
};
use crate::http::access::bearer_token;
use crate::http::{Limits, read_body};
use crate::streams;
use crate::streams::Streams;
use crate::streams::routes::absolute;

/// Where they begin, as the streams' own router sees it.
const ROOT: &str = "/v1/stream/__ds";

#[derive(Clone)]
struct Face {
    streams: Streams,
    limits: Arc<Limits>,
}

/// The control routes. Every path below `__ds` is answered here.
pub(in crate::streams) fn router(streams: Streams, limits: &Limits) -> Router {
    let limits = Limits { body_bytes_max: streams.config().subscriptions_body_bytes_max, ..limits.clone() };
    let face = Face { streams, limits: Arc::new(limits) };
    let routes = Router::new()
        .route("/jwks.json", get(jwks).fallback(other_method))
        .route("/subscriptions/{id}", get(show).put(create).delete(remove).fallback(other_method))
        .route("/subscriptions/{id}/streams", post(link).fallback(other_method))
        .route("/subscriptions/{id}/streams/{*path}", delete(unlink).fallback(other_method))
        .route("/subscriptions/{id}/callback", post(callback).fallback(other_method))
        .route("/subscriptions/{id}/claim", post(claim).fallback(other_method))
        .route("/subscriptions/{id}/ack", post(ack).fallback(other_method))
        .route("/subscriptions/{id}/release", post(release).fallback(other_method))
        .route("/", axum::routing::any(nothing))
        .route("/{*path}", axum::routing::any(nothing));
    Router::new().nest(ROOT, routes).route(&format!("{ROOT}/"), axum::routing::any(nothing)).with_state(face)
}

async fn create(
    State(face): State<Face>,
    original: OriginalUri,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, Error> {
    let base = face.base(&original, request.headers());
    let id = SubscriptionId::parse(&id).map_err(Refusal::from)?;
    let terms = terms_request(&face.body(request).await?)?;
    let (view, new) = face.running()?.create(&id, terms, &base).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view)).into_response())
}

async fn show(
    State(face): State<Face>,
    original: OriginalUri,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let id = known(&id)?;
    Ok(Json(face.running()?.get(&id, &face.base(&original, &headers)).await?).into_response())
}

async fn remove(State(face): State<Face>, Path(id): Path<String>) -> Result<StatusCode, Error> {
    if let Ok(id) = SubscriptionId::parse(&id) {
        face.running()?.delete(&id).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn link(State(face): State<Face>, Path(id): Path<String>, request: Request<Body>) -> Result<StatusCode, Error> {
    let paths = links_request(&face.body(request).await?)?;
    face.running()?.add_links(&known(&id)?, paths).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unlink(State(face): State<Face>, Path((id, path)): Path<(String, String)>) -> Result<StatusCode, Error> {
    face.running()?.remove_link(&known(&id)?, &stream_in_url(&path)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn callback(face: State<Face>, id: Path<String>, request: Request<Body>) -> Result<Response, Error> {
    acknowledge(face, id, request, Way::Callback).await
}

async fn ack(face: State<Face>, id: Path<String>, request: Request<Body>) -> Result<Response, Error> {
    acknowledge(face, id, request, Way::Ack).await
}

async fn acknowledge(
    State(face): State<Face>,
    Path(id): Path<String>,
    request: Request<Body>,
    way: Way,
) -> Result<Response, Error> {
    let (id, token) = (known(&id)?, bearer_token(request.headers()).map(str::to_owned));
    let acknowledgement = wake_request(&face.body(request).await?)?;
    let answer = face.running()?.acknowledge((&id, way, token.as_deref()), &acknowledgement).await?;
    Ok(Json(answer).into_response())
}

async fn claim(State(face): State<Face>, Path(id): Path<String>, request: Request<Body>) -> Result<Response, Error> {
    let claim = claim_request(&face.body(request).await?)?;
    Ok(Json(face.running()?.claim(&known(&id)?, claim).await?).into_response())
}

async fn release(
    State(face): State<Face>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<StatusCode, Error> {
    let (id, token) = (known(&id)?, bearer_token(request.headers()).map(str::to_owned));
    let release = release_request(&face.body(request).await?)?;
    face.running()?.release((&id, token.as_deref()), &release).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn jwks(State(face): State<Face>) -> Result<Response, Error> {
    let keys = face.running()?.jwks().await?;
    let headers = [(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, "public, max-age=300")];
    Ok((headers, keys.to_string()).into_response())
}

async fn nothing(OriginalUri(uri): OriginalUri) -> Error {
    Error::NoRoute { path: uri.path().to_owned() }
}

async fn other_method(method: Method, OriginalUri(uri): OriginalUri) -> Error {
    Error::Method { path: uri.path().to_owned(), method: method.to_string() }
}

impl Face {
    /// Errors: [`streams::Error::Draining`].
    fn running(&self) -> Result<&Running, Error> {
        match self.streams.is_draining() {
            true => Err(streams::Error::Draining.into()),
            false => Ok(self.streams.subscriptions()),
        }
    }

    /// The root of all streams as the client reaches it.
    fn base(&self, OriginalUri(original): &OriginalUri, headers: &HeaderMap) -> String {
        let mount = original.path().find("/__ds/").map_or("/v1/stream", |end| &original.path()[..end]);
        absolute(&self.streams.config().public_url, headers, mount)
    }

    async fn body(&self, request: Request<Body>) -> Result<Bytes, Error> {
        let (parts, body) = request.into_parts();
        read_body(&parts.headers, body, &self.limits).await.map_err(Error::Body)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code) = self.row();
        let mut error = json!({"code": code, "message": self.message()});
        if let Self::Refused(Refusal::Claimed { worker, generation }) = &self {
            error["current_holder"] = json!(worker);
            error["generation"] = json!(generation);
        }
        let mut response = (status, Json(json!({ "error": error }))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, axum::http::HeaderValue::from_static("1"));
        }
        response
    }
}

/// An id of a subscription that should be there: what can be no id is not.
fn known(id: &str) -> Result<SubscriptionId, Error> {
    let none = || Error::NoRoute { path: format!("subscriptions/{id}") };
    SubscriptionId::parse(id).map_err(|_| none())
}
