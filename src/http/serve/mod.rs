//! The server under every listener: connections and their limits, TLS and HTTP/2, worker threads, and the drain.

mod admission;
mod answering;
mod authorized;
mod bind;
mod closing;
mod connection;
mod descriptors;
mod framing;
#[cfg(test)]
mod fuzz;
mod guarded;
mod http2;
mod identity;
mod live;
mod metrics;
mod opening;
mod permit;
mod requests;
mod server;
mod shared;
mod stalled;
mod timer;
mod tls;
mod transport;
mod unread;
mod workers;

pub use answering::{Answering, Answers, Caller, Peer, Scheme};
pub(crate) use bind::socket_path;
pub use bind::{BindError, ListenAddress};
pub(crate) use closing::CloseControl;
pub use identity::{CertificateNames, PeerIdentity, PeerProcess};
pub(crate) use live::live;
pub(crate) use metrics::ListenerMetrics;
pub use permit::ConnectionPermit;
pub use server::{Listening, Serving};
pub use tls::ServerTls;
pub(crate) use workers::Streak;
pub use workers::{WorkerHandle, Workers};
