//! Hosts that a listener answers to. RFC 9110 7.2, RFC 3986 3.2.2.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Names below `localhost`, which no name server decides about. RFC 6761 6.3.
const BELOW_LOCALHOST: &[u8] = b".localhost";

/// The reach of the address that a listener is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This machine only.
    Loopback,
    /// Other machines, too.
    Network,
}

impl Reach {
    /// Returns the reach of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        if address.to_canonical().is_loopback() { Self::Loopback } else { Self::Network }
    }
}

/// A host with or without a port, as in `Host` and in an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostPort<'a> {
    /// Without the dot that a complete name may end with; an IPv6 address with its brackets.
    name: &'a str,
    port: Option<u16>,
}

impl<'a> HostPort<'a> {
    /// Parses a host. Returns `None` for anything else, also for a host with a user name, and for an empty one.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let end = match text.starts_with('[') {
            true => text.find(']')? + 1,
            false => text.find(':').unwrap_or(text.len()),
        };
        let (name, rest) = text.split_at(end);
        let digits = if rest.is_empty() { rest } else { rest.strip_prefix(':')? };
        let port = match digits.is_empty() {
            true => None,
            false if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            false => return None,
        };
        let host = Self { name: name.strip_suffix('.').unwrap_or(name), port };
        let is_name = || host.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        let is_valid =
            if name.starts_with('[') { host.address().is_some() } else { !host.name.is_empty() && is_name() };
        is_valid.then_some(host)
    }

    fn address(self) -> Option<IpAddr> {
        match self.name.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => self.name.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        }
    }

    /// Returns true for an address: no name server can make it lead elsewhere.
    pub(super) fn is_address(self) -> bool {
        self.address().is_some()
    }

    /// Returns true for `localhost`, a name below it, and a loopback address.
    pub(super) fn is_loopback(self) -> bool {
        let below = |name: &[u8]| name.len().checked_sub(BELOW_LOCALHOST.len()).filter(|rest| *rest > 0);
        match self.address() {
            Some(address) => address.to_canonical().is_loopback(),
            None if self.name.eq_ignore_ascii_case("localhost") => true,
            None => {
                let name = self.name.as_bytes();
                below(name).is_some_and(|rest| name[rest..].eq_ignore_ascii_case(BELOW_LOCALHOST))
            }
        }
    }

    /// Returns true if both are the same host at the same port; none given is `port_default`.
    pub(super) fn equals(self, other: HostPort<'_>, port_default: u16) -> bool {
        let port = |host: HostPort<'_>| host.port.unwrap_or(port_default);
        self.name.eq_ignore_ascii_case(other.name) && port(self) == port(other)
    }
}

/// A list of hosts. One without a port stands for all its ports; `*` for all hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hosts {
    all: bool,
    named: Vec<(String, Option<u16>)>,
}

impl Hosts {
    /// Parses the entries. Others are ignored: the configuration has none.
    pub(crate) fn new(entries: &[String]) -> Self {
        let parsed = |entry: &String| HostPort::parse(entry).map(|host| (host.name.to_owned(), host.port));
        Self { all: entries.iter().any(|entry| entry == "*"), named: entries.iter().filter_map(parsed).collect() }
    }

    /// Returns a list of all hosts.
    pub(crate) fn all() -> Self {
        Self { all: true, named: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.named.is_empty()
    }

    pub(super) fn has(&self, host: HostPort<'_>) -> bool {
        // A client leaves out the default port, which depends on the scheme that a proxy may have changed.
        let is_port = |port: u16| host.port.map_or(matches!(port, 80 | 443), |own| own == port);
        let is_named =
            |(name, port): &(String, Option<u16>)| name.eq_ignore_ascii_case(host.name) && port.is_none_or(is_port);
        self.all || self.named.iter().any(is_named)
    }
}
