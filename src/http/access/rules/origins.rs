//! Origins of web pages. RFC 6454, Fetch 3.2.

use super::hosts::HostPort;

/// The entry that stands for every origin on the machine of the browser.
const LOOPBACK: &str = "loopback";

/// A list of origins whose pages may call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origins {
    all: bool,
    loopback: bool,
    named: Vec<String>,
}

impl Origins {
    /// Creates the list: `*` stands for all origins, `loopback` for those of `localhost` and of loopback addresses with any port,
    /// other entries for themselves.
    pub(crate) fn new(entries: &[String]) -> Self {
        let is_word = |entry: &&String| matches!(entry.as_str(), "*" | LOOPBACK);
        Self {
            all: entries.iter().any(|entry| entry == "*"),
            loopback: entries.iter().any(|entry| entry == LOOPBACK),
            named: entries.iter().filter(|entry| !is_word(entry)).cloned().collect(),
        }
    }

    /// Returns true if all origins are allowed.
    pub(crate) fn allows_all(&self) -> bool {
        self.all
    }

    /// Returns true if no origin is allowed.
    pub(crate) fn allows_none(&self) -> bool {
        !self.all && !self.loopback && self.named.is_empty()
    }

    /// Returns true if pages of the origins of `localhost` and of loopback addresses are allowed.
    pub(super) fn allows_loopback(&self) -> bool {
        self.all || self.loopback
    }

    /// Returns true if pages of this origin, as browsers write it, are allowed.
    pub(crate) fn allows(&self, origin: &str) -> bool {
        let is_loopback = || Origin::parse(origin).is_some_and(|origin| origin.host.is_loopback());
        self.all || self.named.iter().any(|named| named == origin) || self.loopback && is_loopback()
    }
}

/// An origin of a web page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    host: HostPort<'a>,
    port_default: u16,
}

impl<'a> Origin<'a> {
    /// Parses an origin of http or https. Returns `None` for others, such as `null`.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, host) = text.split_once("://")?;
        let port_default = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        Some(Self { host: HostPort::parse(host)?, port_default })
    }

    /// Returns true if the origin is at `host`. A proxy may have changed the scheme.
    pub(super) fn is_at(self, host: HostPort<'_>) -> bool {
        self.host.equals(host, self.port_default)
    }
}
