//! SSRF guard: keeps callers who may choose a URL from making this server call an address that only it can reach. Every URL and
//! address that a client can name passes it: webhooks of subscriptions, and the addresses of services at the broker.
//!
//! A URL is checked when it is accepted and again before each call. The addresses its host name resolves to are checked
//! when the connection is made, and only those that passed are connected to, so DNS rebinding gains nothing. Redirects are
//! never followed. The listeners of this process and the metadata services of clouds are called in no case.

mod own;
mod policy;
mod public;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::credentials::hide_credentials;
pub use own::OwnListeners;
use policy::Policy;
use public::special_purpose;

/// The reason a URL or an address may not be called. The message is for the person who supplied it.
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
    #[error("{url} is not https; http is accepted for listed hosts and networks only{}", if *loopback { ", and for localhost and 127.0.0.0/8" } else { "" })]
    NotSecure {
        /// The URL.
        url: String,
        /// True if this host may be called.
        loopback: bool,
    },
    /// The host is not one that may be called.
    #[error("{host} is {kind}; {rule}")]
    NotAllowed {
        /// The host.
        host: String,
        /// The kind of address it is.
        kind: String,
        /// The rule that keeps it from being called, and the setting that lists exceptions.
        rule: &'static str,
    },
    /// The address is that of a listener of this process.
    #[error("{host} with port {port} is a listener of this server itself, which it never calls")]
    Own {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
}

/// The function that resolves a host name to its addresses.
pub(crate) type HostLookup = Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The addresses that may be called.
#[derive(Debug, Clone, Default)]
pub(crate) struct SsrfGuardConfig {
    /// Networks (`10.1.0.0/16`), addresses and host names that may be called, also over http.
    pub(crate) allowed: Vec<String>,
    /// Allows all public addresses, URLs of them over https only.
    pub(crate) public: bool,
    /// Allows `http://localhost` and `http://127.x.x.x`, for development.
    pub(crate) loopback_http: bool,
    /// The listeners that are never called.
    pub(crate) own: OwnListeners,
    /// The rule in words, with the setting that lists exceptions, for messages such as "10.0.0.1 is a private address; …".
    pub(crate) rule: &'static str,
}

/// Decides which URLs and addresses may be called. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SsrfGuard {
    policy: Arc<Policy>,
    loopback_http: bool,
    own: OwnListeners,
    rule: &'static str,
    lookup: HostLookup,
}

/// A [`Resolve`]r that gives a reqwest client only addresses that may be called at one port, which is the only port that
/// client may be used for: a resolver does not learn the port of the URL.
pub(crate) struct GuardedResolver {
    guard: SsrfGuard,
    port: u16,
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
        let SsrfGuardConfig { allowed, public, loopback_http, own, rule } = config;
        let policy = Arc::new(Policy::new(allowed, *public));
        Self { policy, loopback_http: *loopback_http, own: own.clone(), rule, lookup }
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
        self.check_own(host, address, url.port_or_known_default())?;
        let listed = match address {
            Some(address) => self.policy.lists(address),
            None => self.policy.lists_host(host),
        };
        match url.scheme() {
            "http" if listed || self.is_loopback_http(host, address) => return Ok(url),
            "https" if listed => return Ok(url),
            "https" => {}
            _ => {
                // A forbidden address matters more to the caller than the scheme.
                if let Some((address, kind)) = address.and_then(|address| Some((address, special_purpose(address)?))) {
                    return Err(self.not_allowed(&address.to_string(), kind));
                }
                if is_localhost(host) && !self.loopback_http {
                    return Err(self.not_allowed(host, "this host"));
                }
                return Err(UrlRejected::NotSecure { url: text.to_owned(), loopback: self.loopback_http });
            }
        }
        match address {
            Some(address) => self.check_literal(host, address)?,
            None if is_localhost(host) => return Err(self.not_allowed(host, "this host")),
            None => {}
        }
        Ok(url)
    }

    /// Checks a host and a port that are called over plain HTTP, without resolving the name of a host.
    /// Errors: [`UrlRejected::NotAllowed`], [`UrlRejected::Own`].
    pub(crate) fn check_address(&self, host: &str, port: u16) -> Result<(), UrlRejected> {
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        self.check_own(host, address, Some(port))?;
        address.map_or(Ok(()), |address| self.check_literal(host, address))
    }

    /// Resolves a name, or takes an address as it is, and returns only the addresses that may be connected to at `port`.
    /// Errors: the lookup failed, or [`UrlRejected`] if no address is allowed.
    pub(crate) async fn resolve(
        &self,
        name: &str,
        port: u16,
    ) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let found = match name.trim_matches(['[', ']']).parse() {
            Ok(address) => vec![address],
            Err(_) => (self.lookup)(name.to_owned()).await?,
        };
        let mut rejected = None;
        let mut allowed = Vec::with_capacity(found.len());
        for address in found {
            match self.judge(name, address, port) {
                Ok(()) => allowed.push(address),
                Err(reason) => drop(rejected.get_or_insert(reason)),
            }
        }
        match rejected {
            Some(reason) if allowed.is_empty() => Err(reason.into()),
            Some(_) | None => Ok(allowed),
        }
    }

    /// Returns the resolver of a client that is used for this port only.
    pub(crate) fn resolver(&self, port: u16) -> GuardedResolver {
        GuardedResolver { guard: self.clone(), port }
    }

    /// Decides about an address that the name of a host has resolved to.
    fn judge(&self, name: &str, address: IpAddr, port: u16) -> Result<(), UrlRejected> {
        if self.own.covers(address, port) {
            return Err(UrlRejected::Own { host: name.to_owned(), port });
        }
        if self.loopback_http && is_localhost(name) && address.is_loopback() {
            return Ok(());
        }
        match self.policy.refusal(Some(name), address) {
            Some(kind) if name == address.to_string() => Err(self.not_allowed(name, kind)),
            Some(kind) => Err(self.not_allowed(name, &format!("{address}, {kind}"))),
            None => Ok(()),
        }
    }

    fn check_literal(&self, host: &str, address: IpAddr) -> Result<(), UrlRejected> {
        self.policy.refusal(None, address).map_or(Ok(()), |kind| Err(self.not_allowed(host, kind)))
    }

    fn check_own(&self, host: &str, address: Option<IpAddr>, port: Option<u16>) -> Result<(), UrlRejected> {
        let is_own = |port: &u16| match address {
            Some(address) => self.own.covers(address, *port),
            None => is_localhost(host) && self.own.has_port(*port),
        };
        port.filter(is_own).map_or(Ok(()), |port| Err(UrlRejected::Own { host: host.to_owned(), port }))
    }

    fn not_allowed(&self, host: &str, kind: &str) -> UrlRejected {
        UrlRejected::NotAllowed { host: host.to_owned(), kind: kind.to_owned(), rule: self.rule }
    }

    fn is_loopback_http(&self, host: &str, address: Option<IpAddr>) -> bool {
        let loopback = match address {
            Some(IpAddr::V4(address)) => address.is_loopback(),
            Some(IpAddr::V6(_)) => false,
            None => is_localhost(host),
        };
        loopback && self.loopback_http
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, port) = (self.guard.clone(), self.port);
        Box::pin(async move {
            let found = guard.resolve(name.as_str(), port).await?;
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}
