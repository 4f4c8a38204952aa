//! Requests of web pages. A browser sends what any page asks for, from the machine and the network of its user; it says which
//! page asked in `Origin` (Fetch 3.2) and `Sec-Fetch-*` (Fetch Metadata 2). A name that leads to another address than before
//! (DNS rebinding) shows in `Host`.

use http::header::{HOST, ORIGIN, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use super::hosts::{HostPort, Hosts, Reach};
use super::origins::{Origin, Origins};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Paths that a link on any page may open, since nothing happens there.
const LINKED: [&str; 6] = ["/", "/guide", "/health", "/ready", "/metrics", "/openapi.json"];
const LINKED_BELOW: &str = "/guide/";

/// The paths that links on pages of other sites may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// The landing page, the guide and the probes.
    Introduction,
    /// Every path: no GET changes anything.
    All,
}

/// The reason to refuse a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The listener does not answer to this host.
    Host(String),
    /// Pages of this origin may not call.
    Origin(String),
    /// A page of another site asked, and its origin is not known.
    Site,
}

/// The rules of one listener about web pages.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    /// Hosts besides those of this machine.
    pub(crate) hosts: Hosts,
    /// Origins whose pages may call.
    pub(crate) origins: Origins,
    /// Paths that links may open.
    pub(crate) links: Links,
}

impl Pages {
    /// Decides about a request to a listener of this reach. Requests of programs, which send neither `Origin` nor `Sec-Fetch-Site`,
    /// are refused for their host only.
    pub(crate) fn check(&self, reach: Reach, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = self.check_host(reach, uri, headers)?;
        let upgrades = headers.contains_key(UPGRADE) || *method == Method::CONNECT;
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) if self.is_from_here(host, headers) => Ok(()),
            (None, _) if *method == Method::GET && !upgrades && self.is_link(uri, headers) => Ok(()),
            (None, _) => Err(Refusal::Site),
            (Some(origin), None) => {
                let text = origin.to_str().unwrap_or_default();
                // A page that was loaded from a listener may call it, but a socket is for listed origins only.
                let is_own = !upgrades && host.is_some_and(|host| self.is_own(text, host, headers));
                if is_own || self.origins.allows(text) { Ok(()) } else { Err(Refusal::Origin(lossy(origin))) }
            }
            (Some(_), Some(_)) => Err(Refusal::Origin("several origins".into())),
        }
    }

    /// Returns the host that was called. A request without one, which HTTP/1.0 allows, is not from a browser.
    fn check_host<'a>(
        &self,
        reach: Reach,
        uri: &'a Uri,
        headers: &'a HeaderMap,
    ) -> Result<Option<HostPort<'a>>, Refusal> {
        // RFC 9112 3.2.2: the host in an absolute target counts. The other one must be allowed as well.
        let in_target = uri.authority().map(|authority| authority.as_str());
        let is_checked = reach == Reach::Loopback || !self.hosts.is_empty();
        let mut called = None;
        for text in in_target.map(Ok).into_iter().chain(headers.get_all(HOST).iter().map(text_of)) {
            let host = text.ok().and_then(HostPort::parse);
            if is_checked && !host.is_some_and(|host| self.answers_to(host, reach)) {
                return Err(Refusal::Host(text.unwrap_or_default().to_owned()));
            }
            called = called.or(host);
        }
        Ok(called)
    }

    fn answers_to(&self, host: HostPort<'_>, reach: Reach) -> bool {
        host.is_loopback() || self.hosts.has(host) || reach == Reach::Network && host.is_address()
    }

    /// Returns true if the page comes from the listener itself. The host has to be one that no stranger's name server decides
    /// about.
    fn is_own(&self, origin: &str, host: HostPort<'_>, headers: &HeaderMap) -> bool {
        let is_certain = host.is_loopback() || host.is_address() || self.hosts.has(host);
        let is_at_host = Origin::parse(origin).is_some_and(|origin| origin.is_at(host));
        is_certain && is_at_host && sites(headers).all(|site| site == "same-origin")
    }

    /// Returns true unless a page of another origin asked, as far as the browser says.
    fn is_from_here(&self, host: Option<HostPort<'_>>, headers: &HeaderMap) -> bool {
        // The site of a loopback name has loopback origins only.
        let is_loopback = || self.origins.allows_loopback() && host.is_some_and(HostPort::is_loopback);
        self.origins.allows_all()
            || sites(headers).all(|site| match site {
                "none" | "same-origin" => true,
                "same-site" => is_loopback(),
                _ => false,
            })
    }

    /// Returns true if a person has followed a link, so that the page with the link learns nothing.
    fn is_link(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let path = uri.path();
        let is_linked = self.links == Links::All || LINKED.contains(&path) || path.starts_with(LINKED_BELOW);
        let is = |name: &HeaderName, value: &str| headers.get(name).is_some_and(|found| found == value);
        is_linked && is(&MODE, "navigate") && is(&DEST, "document")
    }
}

/// Returns the values of `Sec-Fetch-Site`. A value that is no text is none that is known.
fn sites(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(SITE).iter().map(|site| site.to_str().unwrap_or_default())
}

fn text_of(value: &HeaderValue) -> Result<&str, ()> {
    value.to_str().map_err(|_| ())
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
