//! The protocol's HTTP face.

mod answers;
mod events;
mod frames;
mod layers;
mod operations;
mod reading;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, Method, Request, Uri};
use axum::response::Response;
use axum::routing::get;

use answers::Failure;
pub(super) use answers::absolute;

use super::service::Streams;
use super::subscriptions;
use super::wire::{AppendRequest, CreateRequest, Headers, RequestError, StreamPath};
use crate::http::{Kind, Limits, Problem, not_found, read_body};

/// What stands before the path of every stream.
const ROOT: &str = "/v1/stream/";

/// The streams under `/v1/stream/`, ready to stand in any axum application, also nested below a path of its own.
/// Bodies may have `body_bytes_max` of the streams' configuration; a layer of the application may set a lower bound.
///
/// ```
/// use axum::Router;
/// use exorelay::streams::{self, Streams};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let streams = Streams::in_memory(streams::Config::default());
/// let application: Router = Router::new().merge(streams::router(streams.clone()));
/// // axum::serve(listener, application).await, and at the end:
/// streams.drain();
/// # drop(application);
/// # }
/// ```
pub fn router(streams: Streams) -> Router {
    layers::around(routes(streams.clone(), &Limits::default()), streams.config())
}

/// Everything that a server of its own answers: the streams, and what operators look at.
pub fn server(streams: Streams, limits: &Limits) -> Router {
    let router = routes(streams.clone(), limits).merge(operations::router(streams.clone())).fallback(not_found);
    layers::around(router, streams.config())
}

fn routes(streams: Streams, limits: &Limits) -> Router {
    let control = subscriptions::routes::router(streams.clone(), limits);
    let limits = Limits { body_bytes_max: streams.config().body_bytes_max, ..limits.clone() };
    let face = Face { streams, limits: Arc::new(limits) };
    let stream = get(reading::read).head(describe).put(create).post(append).delete(delete);
    Router::new()
        .route("/v1/stream/{*path}", stream.fallback(method_not_allowed))
        .with_state(face)
        .merge(control)
        .layer(layers::compression())
}

#[derive(Clone)]
struct Face {
    streams: Streams,
    limits: Arc<Limits>,
}

impl Headers for HeaderMap {
    fn value(&self, name: &str) -> Option<&[u8]> {
        self.get(name).map(axum::http::HeaderValue::as_bytes)
    }
}

async fn create(
    State(face): State<Face>,
    OriginalUri(original): OriginalUri,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let path = stream_path(request.uri())?;
    let (parts, body) = request.into_parts();
    let create = CreateRequest::parse(&parts.headers, mount(&original, &parts.uri))?;
    let body = read_body(&parts.headers, body, &face.limits).await?;
    let created = face.streams.create(&path, &create, body).await?;
    let location = answers::absolute(&face.streams.config().public_url, &parts.headers, original.path());
    Ok(answers::created(&created, &location))
}

async fn append(State(face): State<Face>, request: Request<Body>) -> Result<Response, Failure> {
    let path = stream_path(request.uri())?;
    let (parts, body) = request.into_parts();
    let append = AppendRequest::parse(&parts.headers);
    // The body is read whatever the headers say, so that its sender gets to see the answer.
    let body = read_body(&parts.headers, body, &face.limits).await?;
    let appended = face.streams.append(&path, &append?, body).await?;
    Ok(answers::appended(&appended))
}

async fn delete(State(face): State<Face>, uri: Uri) -> Result<Response, Failure> {
    face.streams.delete(&stream_path(&uri)?).await?;
    Ok(answers::deleted())
}

async fn describe(State(face): State<Face>, uri: Uri) -> Result<Response, Failure> {
    Ok(answers::described(&face.streams.describe(&stream_path(&uri)?)?))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(Kind::MethodNotAllowed, format!("{} does not answer {method}", uri.path()))
}

/// The stream that a URL names. Percent-encoding is kept, so it is read from the URL and not from the router.
fn stream_path(uri: &Uri) -> Result<StreamPath, RequestError> {
    Ok(StreamPath::parse(uri.path().strip_prefix(ROOT).unwrap_or_default())?)
}

/// What stands before the path of every stream in the URL as the client sees it.
fn mount<'a>(original: &'a Uri, inner: &Uri) -> &'a str {
    let path = inner.path().strip_prefix(ROOT).unwrap_or_default();
    original.path().strip_suffix(path).unwrap_or(ROOT)
}
