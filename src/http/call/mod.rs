//! Outgoing calls: the client, its pool of connections, its errors, the backoff between attempts, credentials in
//! URLs, and the SSRF guard.

mod accepting;
mod backoff;
mod client;
mod credentials;
mod error;
mod guard;
mod idle;
mod pool;
pub(crate) mod tls;

pub(crate) use accepting::accepts;
pub(crate) use backoff::Backoff;
pub use client::{Answer, Client, ClientLimits};
pub(crate) use client::{join, wait_asked};
pub(crate) use credentials::{debug_without_secrets, has_credentials, hide_credentials, split_credentials};
pub use error::ClientError;
#[cfg(test)]
pub(crate) use guard::HostLookup;
pub use guard::OwnListeners;
pub(crate) use guard::{GuardedResolver, SsrfGuard, SsrfGuardConfig, UrlRejected};
