//! The request as the outermost proxy received it: `Forwarded` (RFC 7239) and the older `X-Forwarded-*`. Pure.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::header::{FORWARDED, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::http::Scheme;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// The proxies whose headers are believed. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Parses networks and addresses. Others are ignored: the configuration has none.
    pub(crate) fn new(networks: &[String]) -> Self {
        Self(networks.iter().filter_map(|text| network(text)).collect())
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address.to_canonical()))
    }
}

/// Parses a network such as `10.0.0.0/8`, or an address.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// The scheme, host and client of a request, as the outermost trusted proxy received it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Original {
    /// True for https.
    is_secure: bool,
    /// With its port if that is not the default one.
    host: Option<String>,
    /// The address of the client, if a proxy has named it.
    pub(crate) client: Option<IpAddr>,
}

impl Original {
    /// Reads the headers of a request from `peer`; `None` if the server does not know its peers, and leaves it to its proxies
    /// and layers which headers arrive. `scheme` is that of the listener; what a proxy says is nearer to the client.
    pub(crate) fn of(headers: &HeaderMap, (scheme, peer): (Scheme, Option<IpAddr>), proxies: &TrustedProxies) -> Self {
        let is_trusted = peer.is_none_or(|peer| proxies.trust(peer));
        let hops = if is_trusted { Hops::of(headers) } else { Hops::default() };
        let hop = hops.outermost(proxies);
        let own = headers.get(HOST).and_then(|host| host.to_str().ok());
        let is_secure = hop.proto.map_or(scheme == Scheme::Https, |proto| proto.eq_ignore_ascii_case("https"));
        let named = hop.host.filter(|host| is_authority(host));
        let host = named.or(own).map(|host| with_port(host, hop.port, is_secure));
        Self { is_secure, host, client: hop.client.and_then(address) }
    }

    /// Returns the URL of a path at the server that the client called.
    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.host.as_deref().unwrap_or("localhost"))
    }
}

/// The entry of one proxy, about the connection that it accepted.
#[derive(Debug, Default, Clone, Copy)]
struct Hop<'a> {
    client: Option<&'a str>,
    proto: Option<&'a str>,
    host: Option<&'a str>,
    port: Option<&'a str>,
}

/// The entries of all proxies, the outermost first.
#[derive(Debug, Default)]
struct Hops<'a>(Vec<Hop<'a>>);

impl<'a> Hops<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        match headers.contains_key(FORWARDED) {
            true => Self(lines(headers, &FORWARDED).flat_map(|line| split(line, b',')).map(Hop::parse).collect()),
            false => Self::of_lists(headers),
        }
    }

    /// Lists of different lengths end with the same proxy: one that replaces a header instead of adding to it speaks for all
    /// before it.
    fn of_lists(headers: &'a HeaderMap) -> Self {
        let list = |name| -> Vec<&str> { lines(headers, name).flat_map(|line| split(line, b',')).collect() };
        let [clients, protos, hosts, ports] = [&FOR, &PROTO, &FORWARDED_HOST, &PORT].map(list);
        let count = [&clients, &protos, &hosts, &ports].into_iter().map(Vec::len).max().unwrap_or_default();
        let at = |list: &[&'a str], hop: usize| {
            let missing = count - list.len();
            list.get(hop.saturating_sub(missing)).copied()
        };
        let hop = |hop| Hop {
            // An address is that of one connection.
            client: (hop + clients.len() >= count).then(|| at(&clients, hop)).flatten(),
            proto: at(&protos, hop),
            host: at(&hosts, hop),
            port: at(&ports, hop),
        };
        Self((0..count).map(hop).collect())
    }

    /// Returns the entry of the outermost proxy that is trusted: one whose connection came from a trusted proxy, or from an
    /// address that is not given, says nothing about the client, and the entry before it does.
    fn outermost(&self, proxies: &TrustedProxies) -> Hop<'a> {
        let is_proxy = |hop: &Hop<'_>| hop.client.and_then(address).is_none_or(|client| proxies.trust(client));
        let Some(last) = self.0.last() else { return Hop::default() };
        let outermost = self.0.iter().rev().find(|hop| !is_proxy(hop));
        *outermost.or(self.0.first()).unwrap_or(last)
    }
}

impl<'a> Hop<'a> {
    /// Parses an element of `Forwarded`. RFC 7239 4.
    fn parse(element: &'a str) -> Self {
        let mut hop = Self::default();
        for pair in split(element, b';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = Some(unquoted(value));
            match name.trim_ascii() {
                name if name.eq_ignore_ascii_case("for") => hop.client = value,
                name if name.eq_ignore_ascii_case("proto") => hop.proto = value,
                name if name.eq_ignore_ascii_case("host") => hop.host = value,
                _ => {}
            }
        }
        hop
    }
}

fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

/// Splits at a separator that is not quoted. Returns the parts that are not empty, without blanks around them.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = text.split(move |letter: char| {
        let is_separator = letter == char::from(separator) && !is_quoted;
        is_quoted ^= letter == '"' && !is_escaped;
        is_escaped = is_quoted && letter == '\\' && !is_escaped;
        is_separator
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

/// Removes the quotes. Addresses, hosts and schemes have nothing to escape: with an escape they are no valid ones.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// Parses an address with or without a port, and with or without brackets. Returns `None` for `unknown` and for names that
/// hide an address. RFC 7239 6.
fn address(node: &str) -> Option<IpAddr> {
    let with_port = || node.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || node.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_name =
        || node.rsplit_once(':').filter(|(_, port)| port.starts_with('_'))?.0.trim_matches(['[', ']']).parse().ok();
    node.parse().ok().or_else(with_port).or_else(bracketed).or_else(with_name)
}

/// Returns true if the text is a host, with or without a port, and nothing else.
fn is_authority(text: &str) -> bool {
    !text.contains('@') && text.parse::<Authority>().is_ok()
}

/// Adds the port to a host without one, unless it is the default port.
fn with_port(host: &str, port: Option<&str>, is_secure: bool) -> String {
    let has_port = host.parse::<Authority>().is_ok_and(|host| host.port().is_some());
    let default = if is_secure { 443 } else { 80 };
    match port.and_then(|port| port.parse::<u16>().ok()).filter(|port| !has_port && *port != default) {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// The URL and the client of a request to `http://inside` from 10.0.0.1, where 10.0.0.0/8 and fd00::/8 are trusted.
    fn check(headers: &[(&'static str, &'static str)], url: &str, client: Option<&str>) {
        check_from("10.0.0.1", headers, url, client);
    }

    fn check_from(peer: &str, headers: &[(&'static str, &'static str)], url: &str, client: Option<&str>) {
        let proxies = TrustedProxies::new(&["10.0.0.0/8".into(), "fd00::/8".into()]);
        let mut map = HeaderMap::from_iter([(HOST, HeaderValue::from_static("inside"))]);
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let original = Original::of(&map, (Scheme::Http, peer.parse().ok()), &proxies);
        let expected = client.map(|client| client.parse().unwrap());
        assert_eq!((original.url("/a").as_str(), original.client), (url, expected), "{headers:?}");
    }

    #[test]
    fn a_request_without_proxies_is_taken_as_it_is() {
        check(&[], "http://inside/a", None);
    }

    #[test]
    fn a_listener_with_tls_is_reached_over_https_unless_a_proxy_says_otherwise() {
        let proxies = TrustedProxies::new(&["10.0.0.0/8".into()]);
        let url = |headers: &[(HeaderName, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            Original::of(&headers.collect(), (Scheme::Https, "10.0.0.1".parse().ok()), &proxies).url("/a")
        };
        assert_eq!(url(&[(HOST, "inside")]), "https://inside/a");
        assert_eq!(url(&[(HOST, "inside"), (PROTO, "http"), (FORWARDED_HOST, "outside")]), "http://outside/a");
        assert_eq!(url(&[(HOST, "inside"), (FORWARDED_HOST, "outside")]), "https://outside/a");
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let headers = [("x-forwarded-proto", "https"), ("x-forwarded-host", "evil"), ("x-forwarded-for", "9.9.9.9")];
        check_from("192.0.2.1", &headers, "http://inside/a", None);
        check_from("::ffff:10.1.2.3", &headers, "https://evil/a", Some("9.9.9.9"));
        check_from("unknown to the server", &headers, "https://evil/a", Some("9.9.9.9"));
        check_from("192.0.2.1", &[("forwarded", "proto=https;host=evil")], "http://inside/a", None);
    }

    #[test]
    fn lists_of_the_older_headers_are_read_from_the_nearest_proxy_outwards() {
        let lists = [
            ("x-forwarded-for", "9.9.9.9, 192.0.2.7, 10.0.0.3"),
            ("x-forwarded-proto", "ftp, https, http"),
            ("x-forwarded-host", "evil, streams.example, middle"),
        ];
        check(&lists, "https://streams.example/a", Some("192.0.2.7"));
        check(&[("x-forwarded-proto", "https, http")], "https://inside/a", None);
        check(&[("x-forwarded-proto", "HTTPS"), ("x-forwarded-proto", "http")], "https://inside/a", None);
        check(&[("x-forwarded-host", "streams.example , inner")], "http://streams.example/a", None);
        let one = [("x-forwarded-for", "192.0.2.7, 10.0.0.3"), ("x-forwarded-proto", "https")];
        check(&one, "https://inside/a", Some("192.0.2.7"));
        let all_trusted = [("x-forwarded-for", "10.0.0.9, 10.0.0.3"), ("x-forwarded-proto", "https, http")];
        check(&all_trusted, "https://inside/a", Some("10.0.0.9"));
        let forged = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https, http")];
        check(&forged, "http://inside/a", Some("192.0.2.7"));
    }

    #[test]
    fn a_port_is_added_to_a_host_without_one() {
        let port = ("x-forwarded-port", "8443");
        check(&[port, ("x-forwarded-host", "streams.example")], "http://streams.example:8443/a", None);
        check(&[port, ("x-forwarded-host", "streams.example:99")], "http://streams.example:99/a", None);
        check(&[("x-forwarded-port", "443"), ("x-forwarded-proto", "https")], "https://inside/a", None);
    }

    #[test]
    fn the_standard_header_is_read_with_quotes_and_over_several_lines() {
        let quoted = "for=\"[2001:db8::17]:4711\";Proto=https;host=\"streams.example:8443\"";
        check(&[("forwarded", quoted)], "https://streams.example:8443/a", Some("2001:db8::17"));
        let lines =
            [("forwarded", "for=9.9.9.9;host=evil"), ("forwarded", "for=192.0.2.7; proto=https, for=\"[fd00::1]\"")];
        check(&lines, "https://inside/a", Some("192.0.2.7"));
        check(
            &[("forwarded", "for=192.0.2.7:_port;by=\"a,b;proto=ftp\";proto=https")],
            "https://inside/a",
            Some("192.0.2.7"),
        );
        check(&[("forwarded", "for=unknown;proto=https;host=a, for=_hidden;proto=http;host=b")], "https://a/a", None);
        check(&[("forwarded", "proto=https"), ("x-forwarded-host", "older")], "https://inside/a", None);
    }

    #[test]
    fn what_is_no_host_and_no_scheme_is_ignored() {
        for value in ["host=\"user@evil\"", "host=\"a/b\"", "host=\"\"", "proto=ftp", "host", "=", "\"", ";;,,"] {
            check(&[("forwarded", value)], "http://inside/a", None);
        }
        check(&[("x-forwarded-host", "a b"), ("x-forwarded-port", "none")], "http://inside/a", None);
    }
}
