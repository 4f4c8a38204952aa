//! Percent-encoding of URL path segments.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986 2.3.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Formats `text` percent-encoded, as one segment of a URL's path. [`crate::http::message_name`] decodes it.
pub fn path_segment(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, ESCAPED)
}
