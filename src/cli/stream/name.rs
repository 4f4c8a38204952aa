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

/// Characters to percent-encode in the path of a URL that a user gives: those of it that are encoded already stay as they are.
const ESCAPED_IN_URL: &AsciiSet = &ESCAPED.remove(b'%');

/// The path below which our servers have their streams.
const STREAMS: &str = "/v1/stream/";

/// Returns the path of the stream `name`, or of the stream at the URL `name`, below the root of its server.
pub(super) fn path_of(name: &str) -> String {
    match is_url(name) {
        true => utf8_percent_encode(split(name).1, ESCAPED_IN_URL).to_string(),
        false => utf8_percent_encode(name, ESCAPED).to_string(),
    }
}

/// Returns the root of the server in a stream's URL. On a server that has its streams elsewhere than ours, it is the host.
pub(super) fn root_of(url: &str) -> &str {
    split(url).0.trim_end_matches('/')
}

/// Splits the URL of a stream after the root of its server and the slash that follows.
fn split(url: &str) -> (&str, &str) {
    let authority_at = url.find("://").map_or(0, |at| at + 3);
    // To a client of HTTP, a backslash is a slash.
    let path_at = url[authority_at..].find(['/', '\\']).map_or(url.len(), |at| authority_at + at);
    match url[path_at..].find(STREAMS) {
        Some(at) => url.split_at(path_at + at + STREAMS.len()),
        None => url.split_at((path_at + 1).min(url.len())),
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
        assert_eq!(path_of(name), path);
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
        for (url, root, path) in [
            ("https://streams.example/s/a%20b", "https://streams.example", "s/a%20b"),
            ("http://h:1/v1/stream/a/ä b", "http://h:1/v1/stream", "a/%C3%A4%20b"),
            ("http://h/base/v1/stream/a", "http://h/base/v1/stream", "a"),
            ("http://h/v1/stream/zz\\..\\a", "http://h/v1/stream", "zz%5C..%5Ca"),
            ("http://h\\..\\a", "http://h\\", "..%5Ca"),
            ("http://h/v1/stream/.\t./a", "http://h/v1/stream", ".%09./a"),
            ("http://h/v1/stream/", "http://h/v1/stream", ""),
            ("http://h", "http://h", ""),
        ] {
            assert_eq!((root_of(url), path_of(url).as_str()), (root, path), "{url}");
        }
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
            let name = name_of(ROOT, &path);
            prop_assert_eq!(path_of(&name), path);
            prop_assert!(!is_url(&name) || root_of(&name) == ROOT);
        }
    }
}
