//! The interface between a listener and the code that answers its requests.

use std::net::SocketAddr;
use std::pin::Pin;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use tower_service::Service;

use super::workers::WorkerHandle;

/// The address of the client's end of the connection, 127.0.0.1:0 for a Unix socket; an extension of every request that goes through a router.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The scheme of the URLs of a listener; an extension of every request that came over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

/// The connection that a request came on.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The client's address.
    pub peer: Peer,
    /// The worker thread that serves the connection; `None` if the listener has no workers.
    pub worker: Option<WorkerHandle>,
}

/// A future that resolves to the response.
pub type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Answers requests; every failure is an answer, too. Implemented by [`Router`]. A server with one very frequent call can
/// answer that one itself and leave the rest to a router.
pub trait Answers: Send + Sync + 'static {
    /// Answers a request. The future is dropped when the client disconnects.
    fn answer(&self, request: Request<Body>, caller: Caller) -> Answering;
}

impl Answers for Router {
    /// Inserts [`Peer`] and, if there is one, [`WorkerHandle`] into the request's extensions.
    fn answer(&self, mut request: Request<Body>, caller: Caller) -> Answering {
        let extensions = request.extensions_mut();
        extensions.insert(caller.peer);
        caller.worker.map(|worker| extensions.insert(worker));
        let answering = self.clone().call(request);
        Box::pin(async {
            match answering.await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        })
    }
}
