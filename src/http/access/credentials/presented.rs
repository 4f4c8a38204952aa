//! The credential that a request carries: in `Authorization`, in a cookie, or in the query. Pure.

use axum::http::header::COOKIE;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Uri};
use percent_encoding::percent_decode_str;

use super::super::token::bearer_token;

/// The places where a token may be, besides `Authorization`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// The name of a cookie.
    pub(crate) cookie: Option<String>,
    /// The name of a parameter of the query.
    pub(crate) query: Option<String>,
}

impl Places {
    /// Returns the token of a request, and removes the one in its query, which must get into no log, answer or cache.
    pub(crate) fn take(&self, headers: &HeaderMap, uri: &mut Uri) -> Option<String> {
        let in_query = self.query.as_deref().and_then(|name| take_parameter(uri, name));
        let in_header = bearer_token(headers).map(str::to_owned);
        in_header.or_else(|| self.cookie.as_deref().and_then(|name| cookie(headers, name))).or(in_query)
    }
}

/// Returns the value of a cookie. RFC 6265 4.2.1.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
    let value = value.trim();
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    Some(quoted.unwrap_or(value).to_owned()).filter(|value| !value.is_empty())
}

/// Removes all parameters of this name from the query. Returns the value of the first.
fn take_parameter(uri: &mut Uri, name: &str) -> Option<String> {
    let query = uri.query()?;
    let is_it = |part: &&str| percent_decode_str(part.split('=').next().unwrap_or_default()).eq(name.bytes());
    let found = query.split('&').find(is_it)?;
    let value = percent_decode_str(found.split_once('=').map_or("", |(_, value)| value)).decode_utf8_lossy();
    let value = value.into_owned();
    let rest: Vec<&str> = query.split('&').filter(|part| !is_it(part)).collect();
    let path = match rest.is_empty() {
        true => uri.path().to_owned(),
        false => format!("{}?{}", uri.path(), rest.join("&")),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).unwrap_or(PathAndQuery::from_static("/")));
    if let Ok(rewritten) = Uri::from_parts(parts) {
        *uri = rewritten;
    }
    Some(value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use axum::http::header::AUTHORIZATION;

    use super::*;

    fn check(headers: &[(axum::http::HeaderName, &'static str)], uri: &str, token: Option<&str>, left: &str) {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        let places = Places { cookie: Some("exo".into()), query: Some("access_token".into()) };
        let mut uri: Uri = uri.parse().unwrap();
        assert_eq!(places.take(&headers, &mut uri).as_deref(), token, "{headers:?} {uri}");
        assert_eq!(uri.to_string(), left);
    }

    #[test]
    fn a_token_is_taken_from_the_header_the_cookie_or_the_query() {
        check(&[(AUTHORIZATION, "Bearer a.b")], "/x", Some("a.b"), "/x");
        check(&[(COOKIE, "other=1; exo=a.b")], "/x", Some("a.b"), "/x");
        check(&[(COOKIE, "exo=\"a.b\"")], "/x", Some("a.b"), "/x");
        check(&[(COOKIE, "exotic=1; exo=")], "/x", None, "/x");
        check(&[], "/x?access_token=a.b", Some("a.b"), "/x");
        check(&[(AUTHORIZATION, "Basic a"), (COOKIE, "exo=c")], "/x", Some("c"), "/x");
    }

    #[test]
    fn no_token_is_left_in_a_query() {
        check(&[], "/x?a=1&access_token=t%2Bo&b=2", Some("t+o"), "/x?a=1&b=2");
        check(&[], "/x?access%5Ftoken=t&access_token=u", Some("t"), "/x");
        check(&[(AUTHORIZATION, "Bearer h")], "/x?access_token=t&live=sse", Some("h"), "/x?live=sse");
        check(&[], "/x?access_token=", None, "/x");
        check(&[], "/x?token=t", None, "/x?token=t");
    }

    #[test]
    fn a_listener_takes_tokens_only_where_it_is_allowed() {
        let mut uri: Uri = "/x?access_token=t".parse().unwrap();
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("exo=c"))]);
        assert_eq!(Places::default().take(&headers, &mut uri), None);
        assert_eq!(uri, "/x?access_token=t");
    }
}
