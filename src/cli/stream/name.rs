//! Converts between stream names and URLs.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// Characters to percent-encode in the path of a URL (RFC 3986 3.3); a slash is kept.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Returns the URL of the stream `name` below `root`, or `name` itself if it is a URL.
pub(super) fn url_of(root: &str, name: &str) -> String {
    match is_url(name) {
        true => name.to_owned(),
        false => format!("{root}/{}", utf8_percent_encode(name, ESCAPED)),
    }
}

/// Returns the name for the percent-encoded `path`; the full URL if no name maps to this path.
pub(super) fn name_of(root: &str, path: &str) -> String {
    let name = percent_decode_str(path).decode_utf8().unwrap_or_default();
    let round_trips = utf8_percent_encode(&name, ESCAPED).to_string() == path;
    match round_trips && !name.is_empty() && !name.contains(char::is_control) {
        true => name.into_owned(),
        false => format!("{root}/{path}"),
    }
}

pub(super) fn is_url(name: &str) -> bool {
    name.starts_with("http://") || name.starts_with("https://")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOT: &str = "http://localhost:4437/v1/stream";

    fn check(name: &str, path: &str) {
        assert_eq!(url_of(ROOT, name), format!("{ROOT}/{path}"));
        assert_eq!(name_of(ROOT, path), name);
    }

    #[test]
    fn names_are_percent_encoded_in_urls() {
        check("orders/2026", "orders/2026");
        check("naïve?#", "na%C3%AFve%3F%23");
        check("100% [sure]", "100%25%20%5Bsure%5D");
    }

    #[test]
    fn a_full_url_is_accepted_as_a_name() {
        assert_eq!(url_of(ROOT, "https://streams.example/s/a%20b"), "https://streams.example/s/a%20b");
    }

    #[test]
    fn a_path_without_a_name_is_shown_as_a_url() {
        for path in ["a%2Fb", "%0A", "%FF"] {
            assert_eq!(name_of(ROOT, path), format!("{ROOT}/{path}"));
        }
    }

    proptest! {
        #[test]
        fn the_shown_name_always_maps_back_to_the_path(path in "[a-z/]{1,5}(%[0-9A-F]{2}){0,3}") {
            prop_assert_eq!(url_of(ROOT, &name_of(ROOT, &path)), format!("{ROOT}/{path}"));
        }
    }
}
