//! The head of an HTTP/2 request in the form that HTTP/1.1 gives it, so that handlers see one form only.

use axum::body::Body;
use axum::http::header::{COOKIE, HOST};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, Request, Uri, Version};
use hyper::body::Incoming;

use crate::http::serve::framing;
use crate::http::serve::unread::Unread;
use crate::http::{Kind, Problem};
use crate::memory::Budget;

/// Returns the request with its authority in `Host`, its path alone as its URI, and one `Cookie`; and the problem with it, if
/// there is one. Its body is part of `bodies`.
pub(super) fn normalized(request: Request<Incoming>, bodies: &Budget) -> (Request<Body>, Option<Problem>) {
    // What is left of the body is dropped with it, which ends its stream.
    let (unread, _) = Unread::pair(bodies.clone());
    let (mut parts, body) = unread.begin(request).into_parts();
    let malformed = named_host(&parts.uri, &mut parts.headers).err();
    let malformed = malformed.or_else(|| framing::check(Version::HTTP_2, &parts.headers).err());
    join_cookies(&mut parts.headers);
    let path = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    parts.uri = Uri::from(path);
    (Request::from_parts(parts, body), malformed)
}

/// Adds the authority as `Host`, unless there is one. RFC 9113 8.3.1. Errors: both are there, and differ.
fn named_host(uri: &Uri, headers: &mut HeaderMap) -> Result<(), Problem> {
    let Some(authority) = uri.authority() else { return Ok(()) };
    match headers.get(HOST) {
        Some(host) if host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => Ok(()),
        Some(_) => Err(Problem::new(Kind::InvalidRequest, "the header Host is not the :authority of the request")),
        None => {
            let host = HeaderValue::from_str(authority.as_str());
            headers.insert(HOST, host.expect("an authority is visible ASCII"));
            Ok(())
        }
    }
}

/// Joins the crumbs of a cookie. RFC 9113 8.2.3.
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, host: &[&'static str], expected: Result<&str, &str>) {
        let mut headers = HeaderMap::new();
        for host in host {
            headers.append(HOST, HeaderValue::from_static(host));
        }
        let named = named_host(&uri.parse().unwrap(), &mut headers);
        let named = named.map(|()| headers[HOST].to_str().unwrap()).map_err(|problem| problem.detail().to_owned());
        assert_eq!(named.as_ref().map(|host| *host).map_err(String::as_str), expected, "{uri} {host:?}");
    }

    #[test]
    fn the_authority_becomes_the_host() {
        check("https://relay.example/a?b", &[], Ok("relay.example"));
        check("http://relay.example:4001/", &["RELAY.example:4001"], Ok("RELAY.example:4001"));
        check("/a", &["relay.example"], Ok("relay.example"));
        let differs = "the header Host is not the :authority of the request";
        check("https://relay.example/a", &["evil.example"], Err(differs));
    }

    #[test]
    fn the_crumbs_of_a_cookie_are_joined() {
        let mut headers = HeaderMap::new();
        for crumb in ["a=1", "b=2", "c=3"] {
            headers.append(COOKIE, HeaderValue::from_static(crumb));
        }
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    }
}
