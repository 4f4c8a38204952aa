//! The rules by example.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use proptest::prelude::*;

use super::super::{Hosts, Links, Origins, Pages, Reach, Refusal};

/// A request for `/send/hello`, with further lines in its head.
fn decide(
    pages: &Pages,
    reach: Reach,
    method: Method,
    target: &str,
    lines: &[(&'static str, &str)],
) -> Result<(), Refusal> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    pages.check(reach, &method, &target.parse::<Uri>().unwrap(), &headers)
}

fn list(entries: &str) -> Vec<String> {
    entries.split_whitespace().map(str::to_owned).collect()
}

fn pages(hosts: &str, origins: &str) -> Pages {
    Pages { hosts: Hosts::new(&list(hosts)), origins: Origins::new(&list(origins)), links: Links::Introduction }
}

fn host(reach: Reach, hosts: &str, host: &str) -> bool {
    decide(&pages(hosts, ""), reach, Method::POST, "/send/hello", &[("host", host)]).is_ok()
}

#[test]
fn a_loopback_listener_answers_to_names_and_addresses_of_this_machine() {
    for good in [
        "localhost",
        "LocalHost:4001",
        "localhost.:4001",
        "app.localhost",
        "127.0.0.1",
        "127.8.9.10:80",
        "[::1]",
        "[::1]:4001",
        "[::ffff:127.0.0.1]:1",
        "localhost:",
        "[0:0:0:0:0:0:0:1]",
    ] {
        assert!(host(Reach::Loopback, "", good), "{good}");
    }
    for bad in [
        "",
        ":4001",
        "evil.example",
        "evil.example:4001",
        "localhost.evil.example",
        "notlocalhost",
        ".localhost",
        "127.0.0.1.evil.example",
        "0.0.0.0:4001",
        "10.0.0.7",
        "[::]",
        "[::ffff:10.0.0.1]",
        "[::1",
        "[::1]x",
        "localhost:x",
        "localhost:99999",
        "localhost:80:80",
        "127.1",
        "0x7f.1",
        "2130706433",
        "localhost%00",
        "[fe80::1%25lo]",
        "xn--localhost-",
        "*",
    ] {
        assert!(!host(Reach::Loopback, "", bad), "{bad:?}");
    }
}

#[test]
fn further_hosts_are_listed_with_a_port_or_for_all_ports() {
    for (hosts, called, expected) in [
        ("relay.internal", "Relay.Internal:4001", true),
        ("relay.internal", "relay.internal.", true),
        ("relay.internal", "sub.relay.internal", false),
        ("relay.internal:4001", "relay.internal:4001", true),
        ("relay.internal:4001", "relay.internal", false),
        ("relay.internal:443", "relay.internal", true),
        ("10.0.0.7 relay", "10.0.0.7:1", true),
        ("[fd00::1]", "[fd00::1]:80", true),
        ("*", "anything.example", true),
        ("*", "", false),
    ] {
        assert_eq!(host(Reach::Loopback, hosts, called), expected, "{hosts} {called}");
    }
}

#[test]
fn on_other_addresses_hosts_are_checked_if_some_are_listed() {
    assert!(host(Reach::Network, "", "broker:3100"));
    for (called, expected) in
        [("relay.internal", true), ("broker", false), ("10.0.0.7:80", true), ("localhost", true), ("", false)]
    {
        assert_eq!(host(Reach::Network, "relay.internal", called), expected, "{called}");
    }
}

#[test]
fn every_host_that_a_request_names_has_to_be_right() {
    let get = |target: &str, lines: &[(&'static str, &str)]| {
        decide(&pages("", ""), Reach::Loopback, Method::GET, target, lines).is_ok()
    };
    assert!(get("http://localhost:4001/", &[("host", "localhost:4001")]));
    assert!(get("http://localhost:4001/", &[]));
    assert!(get("/", &[]), "HTTP/1.0 has no host");
    assert!(!get("http://evil.example:4001/", &[("host", "localhost")]));
    assert!(!get("http://localhost/", &[("host", "evil.example")]));
    assert!(!get("http://user@localhost/", &[("host", "localhost")]));
    assert!(!get("/", &[("host", "localhost"), ("host", "evil.example")]));
}

/// A request with this origin to a listener on loopback, called as `localhost:4001`.
fn from(origins: &str, origin: &str, lines: &[(&'static str, &str)]) -> Result<(), Refusal> {
    let mut all = vec![("host", "localhost:4001"), ("origin", origin)];
    all.extend(lines);
    decide(&pages("", origins), Reach::Loopback, Method::POST, "/send/hello", &all)
}

#[test]
fn only_pages_of_listed_origins_and_of_the_listener_itself_may_call() {
    let foreign = |origin: &str| Err(Refusal::Origin(origin.into()));
    let listed = "https://app.example http://localhost:3000";
    for origin in ["https://app.example", "http://localhost:3000", "http://localhost:4001", "https://localhost:4001"] {
        assert_eq!(from(listed, origin, &[("sec-fetch-site", "same-origin")]), Ok(()), "{origin}");
    }
    assert_eq!(from(listed, "https://app.example", &[("sec-fetch-site", "cross-site")]), Ok(()));
    for origin in [
        "http://app.example",
        "https://app.example:8443",
        "https://sub.app.example",
        "https://evil.example",
        "null",
        "",
        "http://localhost:3001",
        "http://localhost",
        "http://127.0.0.1:4001",
        "http://localhost:4001.evil.example",
        "localhost:4001",
        "file://",
        "http://localhost:4001/",
        "ftp://localhost:4001",
    ] {
        assert_eq!(from(listed, origin, &[]), foreign(origin), "{origin}");
    }
    assert_eq!(from("null", "null", &[]), Ok(()));
    assert_eq!(from("*", "null", &[]), Ok(()));
    let twice = from(listed, "https://app.example", &[("origin", "https://evil.example")]);
    assert_eq!(twice, foreign("several origins"));
    let contradiction = from("", "http://localhost:4001", &[("sec-fetch-site", "cross-site")]);
    assert_eq!(contradiction, foreign("http://localhost:4001"));
}

#[test]
fn loopback_stands_for_every_origin_of_this_machine() {
    for origin in ["http://localhost:5173", "http://127.0.0.1", "https://[::1]:8443", "http://app.localhost:1"] {
        assert_eq!(from("loopback", origin, &[("sec-fetch-site", "cross-site")]), Ok(()), "{origin}");
    }
    for origin in
        ["http://evil.example", "http://localhost.evil.example", "null", "http://10.0.0.1", "tauri://localhost"]
    {
        assert!(from("loopback", origin, &[]).is_err(), "{origin}");
    }
}

#[test]
fn a_socket_is_for_listed_origins_only() {
    let socket = [("upgrade", "websocket")];
    assert!(from("", "http://localhost:4001", &socket).is_err(), "the own host does not count");
    assert!(from("http://evil.example", "http://localhost:4001", &socket).is_err());
    assert_eq!(from("http://localhost:4001", "http://localhost:4001", &socket), Ok(()));
    let program = [("host", "localhost:4001"), ("upgrade", "websocket")];
    assert_eq!(decide(&pages("", ""), Reach::Loopback, Method::GET, "/services", &program), Ok(()));
}

#[test]
fn the_own_host_counts_only_if_no_name_server_decides_about_it() {
    let own = |hosts: &str, host: &str| {
        let origin = format!("http://{host}");
        let lines = [("host", host), ("origin", origin.as_str())];
        decide(&pages(hosts, ""), Reach::Network, Method::POST, "/send/hello", &lines).is_ok()
    };
    assert!(own("", "192.168.1.5:4001"));
    assert!(own("", "localhost:4001"));
    assert!(!own("", "evil.example:4001"), "it may have been made to lead here");
    assert!(own("app.example", "app.example"));
}

/// A GET without an origin, called as `localhost:4001`.
fn visit(pages: &Pages, target: &str, [site, mode, dest]: [&str; 3]) -> bool {
    let lines =
        [("host", "localhost:4001"), ("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
    decide(pages, Reach::Loopback, Method::GET, target, &lines).is_ok()
}

#[test]
fn a_link_may_open_the_pages_where_nothing_happens() {
    let strict = pages("", "");
    let link = ["cross-site", "navigate", "document"];
    for path in ["/", "/?a=b", "/guide", "/guide/streams.md", "/health", "/ready", "/metrics", "/openapi.json"] {
        assert!(visit(&strict, path, link), "{path}");
        for other in
            [["cross-site", "navigate", "iframe"], ["cross-site", "no-cors", "image"], ["same-site", "cors", "empty"]]
        {
            assert!(!visit(&strict, path, other), "{path} {other:?}");
        }
    }
    for path in ["/messages", "/dead-letters", "/services", "/guides", "//"] {
        assert!(!visit(&strict, path, link), "{path}");
        assert!(visit(&strict, path, ["none", "navigate", "document"]), "typed by a person: {path}");
        assert!(visit(&strict, path, ["same-origin", "navigate", "document"]), "from the landing page: {path}");
    }
    let open = Pages { links: Links::All, ..strict.clone() };
    assert!(visit(&open, "/v1/stream/notes", link));
    assert!(!visit(&open, "/v1/stream/notes", ["cross-site", "no-cors", "image"]));
    let post = [
        ("host", "localhost"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    assert_eq!(decide(&open, Reach::Loopback, Method::POST, "/", &post), Err(Refusal::Site));
    let socket = [
        ("host", "localhost"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("upgrade", "websocket"),
    ];
    assert_eq!(decide(&open, Reach::Loopback, Method::GET, "/", &socket), Err(Refusal::Site));
}

#[test]
fn an_image_of_a_page_on_the_same_machine_is_answered_where_its_origins_are_listed() {
    let image = ["same-site", "no-cors", "image"];
    assert!(visit(&pages("", "loopback"), "/v1/stream/picture", image));
    assert!(!visit(&pages("", "http://localhost:3000"), "/v1/stream/picture", image));
    assert!(visit(&pages("", "*"), "/v1/stream/picture", ["cross-site", "no-cors", "image"]));
}

proptest! {
    #[test]
    fn garbage_is_refused_without_a_panic(host in "[ -~]{0,40}", origin in "[ -~]{0,40}", site in "[ -~]{0,12}") {
        let lines = [("host", host.as_str()), ("origin", origin.as_str()), ("sec-fetch-site", site.as_str())];
        let strict = decide(&pages("", "loopback"), Reach::Loopback, Method::POST, "/", &lines);
        let is_known = host.to_ascii_lowercase().contains("localhost") || host.starts_with("127.") || host.starts_with("[");
        prop_assert!(is_known || strict.is_err(), "{:?}", strict);
    }
}
