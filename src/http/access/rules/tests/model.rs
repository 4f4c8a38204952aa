//! The rules against a naive model, which knows the meaning of each text from a table instead of parsing it.

use http::{HeaderMap, HeaderValue, Method, Uri};
use proptest::prelude::*;
use proptest::sample::select;

use super::super::{Hosts, Links, Origins, Pages, Reach};

/// The meaning of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// This machine.
    Loopback,
    /// An address elsewhere.
    Address,
    /// A name.
    Name,
    /// No host at all.
    Wrong,
}

use Meaning::{Address, Loopback, Name, Wrong};

/// Hosts, their meanings, and the origins that are the same place.
const HOSTS: [(&str, Meaning, &[&str]); 12] = [
    ("localhost:4001", Loopback, &["http://localhost:4001", "https://localhost:4001"]),
    ("LOCALHOST", Loopback, &["http://localhost", "https://localhost"]),
    ("a.localhost:80", Loopback, &["http://a.localhost"]),
    ("127.3.2.1:4001", Loopback, &["http://127.3.2.1:4001"]),
    ("[::1]:4001", Loopback, &["http://[::1]:4001"]),
    ("10.0.0.7:4001", Address, &["http://10.0.0.7:4001"]),
    ("0.0.0.0:4001", Address, &["http://0.0.0.0:4001"]),
    ("relay.internal", Name, &["http://relay.internal", "https://relay.internal"]),
    ("evil.example:4001", Name, &["http://evil.example:4001"]),
    ("localhost.evil.example", Name, &["http://localhost.evil.example"]),
    ("localhost:four", Wrong, &[]),
    ("", Wrong, &[]),
];

/// Origins, and whether they are on the machine of the browser.
const ORIGINS: [(&str, bool); 17] = [
    ("http://localhost:4001", true),
    ("https://localhost:4001", true),
    ("http://localhost", true),
    ("https://localhost", true),
    ("http://a.localhost", true),
    ("http://127.3.2.1:4001", true),
    ("http://[::1]:4001", true),
    ("http://10.0.0.7:4001", false),
    ("http://0.0.0.0:4001", false),
    ("http://relay.internal", false),
    ("https://relay.internal", false),
    ("http://evil.example:4001", false),
    ("http://localhost.evil.example", false),
    ("https://app.example", false),
    ("null", false),
    ("", false),
    ("http://", false),
];

const SITES: [Option<&str>; 6] =
    [None, Some("none"), Some("same-origin"), Some("same-site"), Some("cross-site"), Some("other")];
const LINK: [&str; 2] = ["navigate", "document"];
const FETCHES: [[&str; 2]; 4] = [LINK, ["navigate", "iframe"], ["no-cors", "image"], ["cors", "empty"]];
const PATHS: [(&str, bool); 4] =
    [("/", true), ("/guide/streams.md", true), ("/messages", false), ("/v1/stream/a", false)];
const LISTED_HOSTS: [&[&str]; 4] = [&[], &["relay.internal"], &["10.0.0.7:4001", "relay.internal"], &["*"]];
const LISTED_ORIGINS: [&[&str]; 6] = [
    &[],
    &["loopback"],
    &["https://app.example"],
    &["null"],
    &["*"],
    &["loopback", "https://app.example", "http://evil.example:4001"],
];

#[derive(Debug, Clone)]
struct Case {
    is_loopback: bool,
    hosts: &'static [&'static str],
    origins: &'static [&'static str],
    all_links: bool,
    host: (&'static str, Meaning, &'static [&'static str]),
    origin: Option<(&'static str, bool)>,
    site: Option<&'static str>,
    fetch: [&'static str; 2],
    path: (&'static str, bool),
    is_get: bool,
    upgrades: bool,
}

prop_compose! {
    fn case()(
        (is_loopback, all_links, is_get, upgrades) in any::<(bool, bool, bool, bool)>(),
        hosts in select(&LISTED_HOSTS[..]),
        origins in select(&LISTED_ORIGINS[..]),
        host in select(&HOSTS[..]),
        origin in prop::option::of(select(&ORIGINS[..])),
        site in select(&SITES[..]),
        fetch in select(&FETCHES[..]),
        path in select(&PATHS[..]),
    ) -> Case {
        Case { is_loopback, hosts, origins, all_links, host, origin, site, fetch, path, is_get, upgrades }
    }
}

impl Case {
    fn decide(&self) -> bool {
        let list = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>();
        let links = if self.all_links { Links::All } else { Links::Introduction };
        let pages = Pages { hosts: Hosts::new(&list(self.hosts)), origins: Origins::new(&list(self.origins)), links };
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static(self.host.0));
        if let Some((origin, _)) = self.origin {
            headers.insert("origin", HeaderValue::from_static(origin));
        }
        if let Some(site) = self.site {
            headers.insert("sec-fetch-site", HeaderValue::from_static(site));
            headers.insert("sec-fetch-mode", HeaderValue::from_static(self.fetch[0]));
            headers.insert("sec-fetch-dest", HeaderValue::from_static(self.fetch[1]));
        }
        if self.upgrades {
            headers.insert("upgrade", HeaderValue::from_static("websocket"));
        }
        let method = if self.is_get { Method::GET } else { Method::POST };
        let reach = if self.is_loopback { Reach::Loopback } else { Reach::Network };
        pages.check(reach, &method, &self.path.0.parse::<Uri>().unwrap(), &headers).is_ok()
    }

    fn expected(&self) -> bool {
        let (host, meaning, same) = self.host;
        let all_hosts = self.hosts == ["*"];
        let host_is_listed = meaning != Wrong && (all_hosts || self.hosts.contains(&host));
        let host_is_right = match (self.is_loopback, meaning) {
            (_, Wrong) => false,
            (_, Loopback) => true,
            (true, Address) => host_is_listed,
            (false, Address) => true,
            (_, Name) => host_is_listed,
        };
        let is_checked = self.is_loopback || !self.hosts.is_empty();
        if is_checked && !host_is_right {
            return false;
        }
        let all_origins = self.origins.contains(&"*");
        match self.origin {
            Some((origin, is_loopback)) => {
                let is_listed =
                    all_origins || self.origins.contains(&origin) || is_loopback && self.origins.contains(&"loopback");
                let host_is_certain = matches!(meaning, Loopback | Address) || host_is_listed;
                let is_own =
                    host_is_certain && same.contains(&origin) && matches!(self.site, None | Some("same-origin"));
                is_listed || is_own && !self.upgrades
            }
            None => match self.site {
                _ if all_origins => true,
                None | Some("none" | "same-origin") => true,
                Some("same-site") if meaning == Loopback && self.origins.contains(&"loopback") => true,
                Some(_) => self.is_get && !self.upgrades && self.fetch == LINK && (self.all_links || self.path.1),
            },
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_rules_decide_as_the_model_does(case in case()) {
        prop_assert_eq!(case.decide(), case.expected());
    }
}
