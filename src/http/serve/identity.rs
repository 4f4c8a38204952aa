//! The identity that the other end of a connection has proved.

use std::sync::Arc;

use tokio::net::UnixStream;

/// The proved identity of the client's end of a connection: an extension of its requests. There is none if it has proved nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerIdentity {
    /// The names in its certificate, which an authority of `tls.client_ca_file` has issued.
    Certificate(Arc<CertificateNames>),
    /// The process at the other end of a Unix socket, as the system states it.
    Process(PeerProcess),
}

/// The names in a client's certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// The common name of its subject.
    pub common_name: Option<String>,
    /// Its DNS names, such as `users.example`.
    pub dns: Vec<String>,
    /// Its URIs, such as `spiffe://example/users`.
    pub uris: Vec<String>,
}

/// The process at the other end of a Unix socket, at the time at which it connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerProcess {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its number, where the system states it.
    pub pid: Option<i32>,
}

impl PeerIdentity {
    /// Returns the process at the other end; `None` if the system does not state it.
    pub(super) fn of_socket(stream: &UnixStream) -> Option<Self> {
        let found = stream.peer_cred().ok()?;
        Some(Self::Process(PeerProcess { uid: found.uid(), gid: found.gid(), pid: found.pid() }))
    }
}
