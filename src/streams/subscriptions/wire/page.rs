//! The part of a subscription's streams that a request asks for.

use percent_encoding::percent_decode_str;

use super::invalid::InvalidRequest;
use crate::streams::wire::StreamPath;

/// A page of the streams of a subscription, in the order of their paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// The last path before the page.
    pub(crate) after: Option<StreamPath>,
    /// Maximum number of streams.
    pub(crate) limit: usize,
}

impl Page {
    /// Maximum number of streams in a page, and the number if the request does not say.
    pub(crate) const LIMIT_MAX: usize = 1_000;

    /// Parses the query `after=PATH&limit=N`; unknown parameters are ignored. Errors: [`InvalidRequest`].
    pub(crate) fn parse(query: &str) -> Result<Self, InvalidRequest> {
        let mut page = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "after" => {
                    let decoded = percent_decode_str(value).decode_utf8();
                    let decoded = decoded.map_err(|_| InvalidRequest("after: it is not UTF-8".to_owned()))?;
                    let path = StreamPath::stored(&decoded);
                    page.after = Some(path.map_err(|error| InvalidRequest(format!("after: {error}")))?);
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=Self::LIMIT_MAX).contains(limit));
                    page.limit = limit.ok_or_else(|| {
                        InvalidRequest(format!("limit is {value:.20?}, expected 1 to {}", Self::LIMIT_MAX))
                    })?;
                }
                _ => {}
            }
        }
        Ok(page)
    }
}

impl Default for Page {
    fn default() -> Self {
        Self { after: None, limit: Self::LIMIT_MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_after_a_path_and_has_a_limit() {
        let page = |query| Page::parse(query).map(|page| (page.after.map(|path| path.to_string()), page.limit));
        assert_eq!(page(""), Ok((None, 1_000)));
        assert_eq!(page("limit=3&after=a%2Fb&more=x"), Ok((Some("a/b".into()), 3)));
        for query in ["limit=0", "limit=1001", "limit=x", "limit", "after=", "after=%ff", "after=__ds/x"] {
            assert!(page(query).is_err(), "{query}");
        }
    }
}
