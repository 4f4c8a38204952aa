//! SSRF guard: keeps callers who may choose a URL from making this server call an address that only it can reach.
//!
//! A URL is checked when it is accepted and again before each call. The addresses its host name resolves to are checked
//! when the connection is made, and only those that passed are connected to, so DNS rebinding gains nothing.

mod public;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::credentials::hide_credentials;
use public::{embedded_v4, special_purpose};

/// The reason a URL may not be called. The message is for the person who supplied the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlRejected {
    /// The text is not a URL with a host.
    #[error("{url:?} is not a URL that can be called: {cause}")]
    Malformed {
        /// The text.
        url: String,
        /// The parse error.
        cause: String,
    },
    /// The URL contains a user name or a password.
    #[error("the URL must not contain a user name or a password")]
    Credentials,
    /// The URL is neither https nor http to this host.
    #[error("{url} is not https; http is accepted for localhost and 127.0.0.0/8 only")]
    NotSecure {
        /// The URL.
        url: String,
    },
    /// The host is not publicly reachable.
    #[error("{host} is {kind}; only public addresses may be called")]
    NotPublic {
        /// The host.
        host: String,
        /// The kind of address it is.
        kind: String,
    },
}

/// The function that resolves a host name to its addresses.
pub(crate) type HostLookup = Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Exceptions to the rule that only public https URLs may be called.
#[derive(Debug, Clone, Default)]
pub(crate) struct SsrfGuardConfig {
    /// Networks (`10.1.0.0/16`), addresses and host names that may be called although they are not public, also over
    /// http.
    pub(crate) allowed: Vec<String>,
    /// Allows `http://localhost` and `http://127.x.x.x`, for development.
    pub(crate) loopback_http: bool,
}

/// Decides which URLs and addresses may be called. Cheap to clone.
///
/// As a [`Resolve`]r it gives a reqwest client only addresses that passed.
#[derive(Clone)]
pub(crate) struct SsrfGuard {
    allowed: Arc<[Allowed]>,
    loopback_http: bool,
    lookup: HostLookup,
}

/// An exception for a destination that is not public.
enum Allowed {
    Net(IpNet),
    Host(String),
}

impl SsrfGuard {
    /// Creates a guard that resolves names with the system's resolver.
    pub(crate) fn new(config: &SsrfGuardConfig) -> Self {
        let lookup = |name: String| -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
            Box::pin(async move {
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        };
        Self::with_lookup(config, Arc::new(lookup))
    }

    /// Creates a guard that resolves names with `lookup`.
    pub(crate) fn with_lookup(config: &SsrfGuardConfig, lookup: HostLookup) -> Self {
        let allowed = config.allowed.iter().map(|text| Allowed::parse(text)).collect();
        Self { allowed, loopback_http: config.loopback_http, lookup }
    }

    /// Checks a URL without resolving its host name, and returns it parsed. Errors: [`UrlRejected`].
    pub(crate) fn check(&self, text: &str) -> Result<Url, UrlRejected> {
        let malformed =
            |cause: &dyn ToString| UrlRejected::Malformed { url: hide_credentials(text), cause: cause.to_string() };
        let url = Url::parse(text).map_err(|error| malformed(&error))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlRejected::Credentials);
        }
        let host = url.host_str().ok_or_else(|| malformed(&"it has no host"))?;
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let allowed = self.allows_host(host) || address.is_some_and(|address| self.allows(address));
        match url.scheme() {
            "http" if allowed || self.is_loopback_http(host, address) => return Ok(url),
            "https" if allowed => return Ok(url),
            "https" => {}
            _ => {
                // A forbidden address matters more to the caller than the scheme.
                if let Some((address, kind)) = address.and_then(|address| Some((address, special_purpose(address)?))) {
                    return Err(UrlRejected::NotPublic { host: address.to_string(), kind: kind.to_owned() });
                }
                return Err(UrlRejected::NotSecure { url: text.to_owned() });
            }
        }
        let not_public = |kind: &str| UrlRejected::NotPublic { host: host.to_owned(), kind: kind.to_owned() };
        match address.and_then(special_purpose) {
            Some(kind) => Err(not_public(kind)),
            None if is_localhost(host) => Err(not_public("this host")),
            None => Ok(url),
        }
    }

    /// Resolves a name and returns only the addresses that may be connected to. Errors: the lookup failed, or no address
    /// is allowed.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let found = (self.lookup)(name.to_owned()).await?;
        let is_allowed = |address: &IpAddr| {
            let loopback = is_localhost(name) && self.loopback_http && address.is_loopback();
            loopback || self.allows_host(name) || self.allows(*address) || special_purpose(*address).is_none()
        };
        let (allowed, forbidden): (Vec<IpAddr>, Vec<IpAddr>) = found.into_iter().partition(is_allowed);
        match forbidden.first() {
            Some(address) if allowed.is_empty() => {
                let kind = format!("{address}, {}", special_purpose(*address).unwrap_or("not allowed"));
                Err(UrlRejected::NotPublic { host: name.to_owned(), kind }.into())
            }
            Some(_) | None => Ok(allowed),
        }
    }

    fn is_loopback_http(&self, host: &str, address: Option<IpAddr>) -> bool {
        let loopback = match address {
            Some(IpAddr::V4(address)) => address.is_loopback(),
            Some(IpAddr::V6(_)) => false,
            None => is_localhost(host),
        };
        loopback && self.loopback_http
    }

    fn allows(&self, address: IpAddr) -> bool {
        let effective = embedded_v4(address).map_or(address, IpAddr::V4);
        self.allowed.iter().any(|allowed| match allowed {
            Allowed::Net(net) => net.contains(&address) || net.contains(&effective),
            Allowed::Host(_) => false,
        })
    }

    fn allows_host(&self, host: &str) -> bool {
        self.allowed.iter().any(|allowed| match allowed {
            Allowed::Host(name) => name.eq_ignore_ascii_case(host.trim_end_matches('.')),
            Allowed::Net(_) => false,
        })
    }
}

impl Allowed {
    fn parse(text: &str) -> Self {
        let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
        text.parse().ok().or_else(address).map_or_else(|| Self::Host(text.to_owned()), Self::Net)
    }
}

impl Resolve for SsrfGuard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = SsrfGuard::resolve(&guard, name.as_str()).await?;
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}
