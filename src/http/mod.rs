//! Shared by every listener and every outgoing call: the server with its limits, drain and worker threads, problem
//! answers, request bodies and message names, the pooled client, server-sent events, WebSockets of both ends, and
//! access rules.

pub(crate) mod access;
mod answer;
mod body;
mod call;
mod coding;
mod extract;
#[cfg(test)]
mod fuzz;
mod health;
mod landing;
mod limits;
mod problem;
mod serve;
pub(crate) mod sse;
mod tls_files;
pub(crate) mod websocket;

pub use access::{Access, AccessConfig, AccessError, RuleConfig, TokenConfig};
pub(crate) use answer::{momentary, typed};
pub use body::{Incoming, json_body, message_name, read_body};
#[cfg(test)]
pub(crate) use call::HostLookup;
pub use call::{Answer, Client, ClientError, ClientLimits, OwnListeners};
pub(crate) use call::{
    Backoff, GuardedResolver, SsrfGuard, SsrfGuardConfig, UrlRejected, accepts, debug_without_secrets, has_credentials,
    hide_credentials, join, split_credentials, tls, wait_asked,
};
pub(crate) use coding::Codings;
pub(crate) use extract::{Path, Query};
pub(crate) use health::{SYSTEM_HEADER, health};
pub use landing::{Introduction, Landing, is_browser};
pub use limits::Limits;
pub(crate) use problem::method_not_allowed;
pub use problem::{Kind, Problem, not_found};
pub use serve::{
    Answering, Answers, BindError, Caller, CertificateNames, ConnectionPermit, ListenAddress, Listening, Peer,
    PeerIdentity, PeerProcess, Scheme, ServerTls, Serving, WorkerHandle, Workers,
};
pub(crate) use serve::{CloseControl, ListenerMetrics, Streak, live, socket_path};
pub use tls_files::{TlsConfig, TlsError};
