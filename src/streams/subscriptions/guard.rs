//! Where webhooks may go. Somebody who may create a subscription must not get this server to call what only this
//! server can reach: so no private address, whatever name leads there.
//!
//! The URL is looked at when the subscription is created and before each call; the addresses that its name resolves to
//! when the connection is made, and those are the ones that are connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::streams::config::Config;

/// Why a URL is not called. The text is for the person who gave it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::streams) enum Rejected {
    /// It is no URL with a host.
    #[error("{url:?} is not a URL that can be called: {cause}")]
    NoUrl {
        /// The text.
        url: String,
        /// What is wrong.
        cause: String,
    },
    /// It has a name or a password in it.
    #[error("the URL of a webhook must not hold a user name or a password")]
    Credentials,
    /// It is neither https nor http on this host.
    #[error("{url} is not https; http is for localhost and 127.0.0.0/8 only")]
    NotSecure {
        /// The URL.
        url: String,
    },
    /// The address is not one that everybody can reach.
    #[error("{host} is {what}: webhooks go to public addresses only")]
    NotPublic {
        /// The host.
        host: String,
        /// What it is.
        what: String,
    },
}

/// Finds the addresses of a name.
pub(super) type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>;

/// What may be called. Cheap to clone.
#[derive(Clone)]
pub(in crate::streams) struct Guard {
    allowed: Arc<[Allowed]>,
    /// Whether http on this host may be called, which is for development.
    loopback: bool,
    lookup: Lookup,
}

/// Something that may be called although it is not public.
enum Allowed {
    Net(IpNet),
    Host(String),
}

impl Guard {
    pub(in crate::streams) fn new(config: &Config) -> Self {
        let lookup = |name: String| -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
            Box::pin(async move {
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        };
        Self::with_lookup(config, Arc::new(lookup))
    }

    pub(super) fn with_lookup(config: &Config, lookup: Lookup) -> Self {
        let allowed = config.subscriptions_webhook_allowed.iter().map(|text| Allowed::parse(text)).collect();
        Self { allowed, loopback: config.subscriptions_webhook_loopback, lookup }
    }

    /// Whether the URL may be called, as far as it tells by itself. Errors: [`Rejected`].
    pub(super) fn check(&self, text: &str) -> Result<Url, Rejected> {
        let no_url = |cause: &dyn ToString| Rejected::NoUrl { url: text.to_owned(), cause: cause.to_string() };
        let url = Url::parse(text).map_err(|error| no_url(&error))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Rejected::Credentials);
        }
        let host = url.host_str().ok_or_else(|| no_url(&"it has no host"))?;
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let allowed = self.allows_host(host) || address.is_some_and(|address| self.allows(address));
        match url.scheme() {
            "http" if allowed || self.is_loopback(host, address) => return Ok(url),
            "https" if allowed => return Ok(url),
            "https" => {}
            _ => {
                // What is wrong with the host is the more important thing to say.
                if let Some((address, what)) = address.and_then(|address| Some((address, not_public(address)?))) {
                    return Err(Rejected::NotPublic { host: address.to_string(), what: what.to_owned() });
                }
                return Err(Rejected::NotSecure { url: text.to_owned() });
            }
        }
        let rejected = |what: &str| Rejected::NotPublic { host: host.to_owned(), what: what.to_owned() };
        match address.and_then(not_public) {
            Some(what) => Err(rejected(what)),
            None if is_localhost(host) => Err(rejected("this host")),
            None => Ok(url),
        }
    }

    /// The addresses of a name that may be connected to. Errors: why there is none.
    pub(super) async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let found = (self.lookup)(name.to_owned()).await?;
        let fits = |address: &IpAddr| {
            let here = is_localhost(name) && self.loopback && address.is_loopback();
            here || self.allows_host(name) || self.allows(*address) || not_public(*address).is_none()
        };
        let (fit, unfit): (Vec<IpAddr>, Vec<IpAddr>) = found.into_iter().partition(fits);
        match unfit.first() {
            Some(address) if fit.is_empty() => {
                let what = format!("{address}, {}", not_public(*address).unwrap_or("not allowed"));
                Err(Rejected::NotPublic { host: name.to_owned(), what }.into())
            }
            Some(_) | None => Ok(fit),
        }
    }

    fn is_loopback(&self, host: &str, address: Option<IpAddr>) -> bool {
        let here = match address {
            Some(IpAddr::V4(address)) => address.is_loopback(),
            Some(IpAddr::V6(_)) => false,
            None => is_localhost(host),
        };
        here && self.loopback
    }

    fn allows(&self, address: IpAddr) -> bool {
        let real = embedded(address).map_or(address, IpAddr::V4);
        self.allowed.iter().any(|allowed| match allowed {
            Allowed::Net(net) => net.contains(&address) || net.contains(&real),
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

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = Guard::resolve(&guard, name.as_str()).await?;
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// What an address is, if it is none that everybody can reach. RFC 6890 and its registries.
fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => match embedded(IpAddr::V6(address)) {
            // The address that is really meant decides, but an embedded one is never public by itself where it is local.
            Some(inner) => not_public_v4(inner),
            None => not_public_v6(address),
        },
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (0, ..) => Some("an address of this network"),
        (127, ..) => Some("a loopback address"),
        (10, ..) | (192, 168, _) | (172, 16..=31, _) => Some("a private address"),
        (100, 64..=127, _) => Some("a shared address"),
        (169, 254, _) => Some("a link-local address"),
        (192, 0, 0) => Some("a special address"),
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => Some("an address for documentation"),
        (192, 88, 99) => Some("a relay address"),
        (198, 18 | 19, _) => Some("an address for benchmarks"),
        (224..=239, ..) => Some("a multicast address"),
        (240..=255, ..) => Some("a reserved address"),
        _ => None,
    }
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("the unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        [0x64, 0xff9b, 1, ..] => Some("a private address"),
        [0x100, 0, 0, 0, ..] => Some("an address that is thrown away"),
        [0x2001, 0..=0x1ff, ..] => Some("a special address"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("an address for documentation"),
        [0x5f00, ..] => Some("a segment identifier"),
        [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfec0..=0xfeff, ..] => Some("a site-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        // Nothing else is given out for everybody. RFC 4291 2.4.
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}

/// The IPv4 address that is meant by an IPv6 one: mapped, compatible, translated (NAT64) or 6to4.
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0] if g != 0 => Some(v4(g, h)),
        [0, 0, 0, 0, 0, 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(v4(g, h)),
        [0x2002, ..] => Some(v4(b, c)),
        _ => None,
    }
}
