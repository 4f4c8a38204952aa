//! What a listener needs of whoever answers.

use std::net::SocketAddr;
use std::pin::Pin;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use tower_service::Service;

/// The address of the client's end of the connection; an extension of every request that goes through a router.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// An answer on its way.
pub type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Answers every request, be it with a problem. A [`Router`] does; who has one call that is made far more often than all
/// others can see to that one first, and leave the rest to a router.
pub trait Answers: Send + Sync + 'static {
    /// Answers. The future may be dropped when the client goes away.
    fn answer(&self, request: Request<Body>, peer: Peer) -> Answering;
}

impl Answers for Router {
    fn answer(&self, mut request: Request<Body>, peer: Peer) -> Answering {
        request.extensions_mut().insert(peer);
        let answering = self.clone().call(request);
        Box::pin(async {
            match answering.await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        })
    }
}
