//! Checks of a request's head that hyper leaves to its users. RFC 9112 3.2 and 6.1.

use axum::http::header::{HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Version};

use crate::http::{Kind, Problem};

/// Checks that the request names exactly one host, and was divided into chunks once at most. Proxies and servers that pick different ones of two can be made to disagree
/// about where a request goes. (hyper refuses two lengths, and takes `Transfer-Encoding` before `Content-Length`.) Errors: 400.
pub(super) fn check(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |detail: &str| Err(Problem::new(Kind::InvalidRequest, detail));
    if chunked_count(headers) > 1 {
        return refused("the header Transfer-Encoding names chunked more than once");
    }
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version >= Version::HTTP_11 => refused("the header Host is missing"),
        (Some(host), None) if !is_host(host.as_bytes()) => {
            refused("the header Host is not a host name or an address, with a port or without")
        }
        (Some(_), Some(_)) => refused("the header Host occurs more than once"),
        (None | Some(_), None) | (None, Some(_)) => Ok(()),
    }
}

fn chunked_count(headers: &HeaderMap) -> usize {
    let values = headers.get_all(TRANSFER_ENCODING).iter();
    let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names.filter(|name| name.trim_ascii().eq_ignore_ascii_case(b"chunked")).count()
}

/// Returns true if the bytes can be a host with an optional port, or are empty. RFC 3986 3.2.2.
fn is_host(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn verdict(version: Version, headers: &[(HeaderName, &'static str)]) -> Result<(), String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.clone(), HeaderValue::from_static(value));
        }
        check(version, &map).map_err(|problem| problem.detail().to_owned())
    }

    #[test]
    fn a_request_names_exactly_one_host() {
        for host in ["localhost:4001", "[::1]:80", "", "a.example", "127.0.0.1"] {
            assert_eq!(verdict(Version::HTTP_11, &[(HOST, host)]), Ok(()), "{host:?}");
        }
        for host in ["a, b", "user@a", "a/b", "a b", "http://a"] {
            assert!(verdict(Version::HTTP_11, &[(HOST, host)]).is_err(), "{host:?}");
        }
        assert_eq!(verdict(Version::HTTP_11, &[]), Err("the header Host is missing".into()));
        assert_eq!(verdict(Version::HTTP_10, &[]), Ok(()));
        for version in [Version::HTTP_10, Version::HTTP_11] {
            let twice = verdict(version, &[(HOST, "a"), (HOST, "a")]);
            assert_eq!(twice, Err("the header Host occurs more than once".into()));
        }
    }
}
