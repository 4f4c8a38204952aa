//! The protocol over HTTP.

mod answers;
mod caching;
mod compressing;
mod content;
mod cors;
mod events;
mod reading;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::http::header::ALLOW;
use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use answers::Failure;
use cors::cors;

use super::before_body::{Announced, check_append, check_create};
use super::config::Config;
use super::service::Streams;
use super::subscriptions;
use super::wire::{AppendRequest, CreateRequest, RESERVED, RequestError, StreamPath};
use crate::http::access::{Cors, Original, TrustedProxies, Verb, allow};
use crate::http::{
    Access, Answering, Answers, Caller, Kind, Limits, Peer, Problem, Scheme, WorkerHandle, not_found, read_body,
};

/// The path that covers every route of this module.
pub const PATH: &str = "/v1/stream";

/// The OpenAPI document of every route of this module.
pub(crate) const OPENAPI: &str = include_str!("routes/openapi.json");

/// The setting of the origins whose pages may use the streams.
const ORIGINS: &str = "streams.cors_origins";

/// The prefix of every stream's path.
const ROOT: &str = "/v1/stream/";

/// Returns the access control of a listener of streams.
pub fn access(config: &Config, limits: &Limits) -> Arc<Access> {
    Access::of_systems(ORIGINS, &config.cors_origins, limits)
}

/// Returns a router for the streams under `/v1/stream/`, for any axum application; it can also be nested below another path.
/// Pages of origins that are not listed in `cors_origins` may not call. Bodies are limited to `body_bytes_max` of the streams' configuration; a layer of the application may set a lower limit.
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
    let (cors, config) = (cors(streams.config()), streams.config().clone());
    let routes = routes(&Handlers::new(streams, &Limits::default()), &Limits::default());
    cors.layer(Access::layer_of_application(ORIGINS, &config.cors_origins, routes))
}

/// Returns the request handler for a listener: as [`router`], but calls on streams bypass the router.
pub fn server(streams: Streams, limits: &Limits) -> impl Answers {
    let cors = cors(streams.config());
    let handlers = Handlers::new(streams, limits);
    let router = routes(&handlers, limits).fallback(not_found);
    Server { handlers, router: cors.layer(router), cors }
}

fn routes(handlers: &Arc<Handlers>, limits: &Limits) -> Router {
    let control = subscriptions::routes::router(handlers.streams.clone(), limits);
    let handlers = Arc::clone(handlers);
    let stream = any(move |request: Request| {
        let worker = request.extensions().get().cloned();
        let peer = peer_of(&request);
        Arc::clone(&handlers).answer(request, worker, peer)
    });
    Router::new().route("/v1/stream/{*path}", stream).merge(control)
}

/// Answers calls on streams directly, because almost all calls are, and all others through a router.
struct Server {
    handlers: Arc<Handlers>,
    cors: Arc<Cors>,
    router: Router,
}

impl Answers for Server {
    fn answer(&self, request: Request, caller: Caller) -> Answering {
        if !names_stream(request.uri()) {
            return self.router.answer(request, caller);
        }
        let (handlers, cors) = (Arc::clone(&self.handlers), Arc::clone(&self.cors));
        let peer = Some(caller.peer.0.ip());
        Box::pin(async move { cors.apply(request, |request| handlers.answer(request, caller.worker, peer)).await })
    }
}

/// Returns true if the path is that of a stream, and not a reserved one.
fn names_stream(uri: &Uri) -> bool {
    let path = uri.path().strip_prefix(ROOT).unwrap_or_default();
    !path.is_empty() && path.split('/').next() != Some(RESERVED)
}

/// The handlers of the methods of a stream.
struct Handlers {
    streams: Streams,
    limits: Limits,
    proxies: TrustedProxies,
}

impl Handlers {
    fn new(streams: Streams, limits: &Limits) -> Arc<Self> {
        let limits = Limits { body_bytes_max: streams.config().body_bytes_max, ..limits.clone() };
        let proxies = TrustedProxies::new(&limits.trusted_proxies);
        Arc::new(Self { streams, limits, proxies })
    }

    async fn answer(self: Arc<Self>, request: Request, worker: Option<WorkerHandle>, peer: Option<IpAddr>) -> Response {
        let worker = worker.as_ref();
        let answered = match *request.method() {
            Method::GET => reading::read(&self.streams, request).await,
            Method::HEAD => self.permitted(Verb::Read, &request).and_then(|path| self.describe(&path)),
            Method::PUT => self.create(worker, peer, request).await,
            Method::POST => self.append(worker, request).await,
            Method::DELETE => match self.permitted(Verb::Delete, &request) {
                Ok(path) => self.delete(worker, &path).await,
                Err(refused) => Err(refused),
            },
            ref other => Ok(other_method(request.uri(), other)),
        };
        answered.unwrap_or_else(Failure::into_response)
    }

    /// Returns the path of the stream, which the caller must have this right to.
    fn permitted(&self, verb: Verb, request: &Request) -> Result<StreamPath, Failure> {
        let path = stream_path(&self.streams, request.uri())?;
        allow(request.extensions(), verb, path.as_str())?;
        Ok(path)
    }

    async fn create(
        &self,
        worker: Option<&WorkerHandle>,
        peer: Option<IpAddr>,
        request: Request,
    ) -> Result<Response, Failure> {
        let path = stream_path(&self.streams, request.uri())?;
        let (parts, body) = request.into_parts();
        allow(&parts.extensions, Verb::Create, path.as_str())?;
        let original = parts.extensions.get().map_or(&parts.uri, |OriginalUri(original)| original);
        let create = CreateRequest::parse(&parts.headers, mount(original, &parts.uri))?;
        if let Some(fork) = &create.fork {
            // A fork has the content of its source.
            allow(&parts.extensions, Verb::Read, fork.source.as_str())?;
        }
        check_create(&self.streams, &path, &create, Announced::by(&body))?;
        let body = read_body(&parts.headers, body, &self.limits).await?;
        let created = self.streams.create_from(worker, &path, &create, body).await?;
        let scheme = parts.extensions.get().copied().unwrap_or(Scheme::Http);
        let called = Original::of(&parts.headers, (scheme, peer), &self.proxies);
        let location = answers::absolute(&self.streams.config().public_url, &called, original.path());
        Ok(answers::created(&created, &location))
    }

    async fn append(&self, worker: Option<&WorkerHandle>, request: Request) -> Result<Response, Failure> {
        let path = stream_path(&self.streams, request.uri())?;
        let (parts, body) = request.into_parts();
        allow(&parts.extensions, Verb::Append, path.as_str())?;
        let append = AppendRequest::parse(&parts.headers)?;
        check_append(&self.streams, &path, &append, Announced::by(&body))?;
        let body = read_body(&parts.headers, body, &self.limits).await?;
        let appended = self.streams.append_from(worker, &path, &append, body).await?;
        Ok(answers::appended(&appended))
    }

    async fn delete(&self, worker: Option<&WorkerHandle>, path: &StreamPath) -> Result<Response, Failure> {
        self.streams.delete_from(worker, path).await?;
        Ok(answers::deleted())
    }

    fn describe(&self, path: &StreamPath) -> Result<Response, Failure> {
        Ok(answers::described(&self.streams.describe(path)?))
    }
}

/// Returns the address that a request came from; `None` if the server does not say.
fn peer_of(request: &Request) -> Option<IpAddr> {
    request.extensions().get().map(|Peer(address)| address.ip())
}

/// RFC 9110 15.5.6.
fn other_method(uri: &Uri, method: &Method) -> Response {
    let problem = Problem::new(Kind::MethodNotAllowed, format!("{} does not support {method}", uri.path()));
    ([(ALLOW, "GET, HEAD, PUT, POST, DELETE, OPTIONS")], problem).into_response()
}

/// The path of the stream in a URL. Read from the URL, because the router decodes percent-encoding. A stream that an earlier
/// version created may have a path that new ones may not have.
fn stream_path(streams: &Streams, uri: &Uri) -> Result<StreamPath, RequestError> {
    let text = uri.path().strip_prefix(ROOT).unwrap_or_default();
    let stored = || StreamPath::stored(text).ok().filter(|path| streams.exists(path));
    StreamPath::parse(text).or_else(|error| stored().ok_or(error.into()))
}

/// The prefix of every stream's path in the URL that the client used.
fn mount<'a>(original: &'a Uri, inner: &Uri) -> &'a str {
    let path = inner.path().strip_prefix(ROOT).unwrap_or_default();
    original.path().strip_suffix(path).unwrap_or(ROOT)
}
