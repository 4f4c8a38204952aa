//! Paths of streams.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The first segment of the protocol's own paths below the root of all streams.
pub(in crate::streams) const RESERVED: &str = "__ds";

/// The path of the registry. Nothing else may look like it.
const REGISTRY: &str = "__registry__";

/// The reason why a text is not the path of a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is empty.
    #[error("the path of the stream is empty")]
    Empty,
    /// It is too long.
    #[error("the path of the stream has {bytes} bytes, at most {} are allowed", StreamPath::BYTES_MAX)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It has a `%` without two digits, or a character that is not allowed in the path of a URL.
    #[error("the path of the stream {path:?} has an invalid character at byte {at}")]
    InvalidByte {
        /// The text.
        path: String,
        /// The index of the invalid byte.
        at: usize,
    },
    /// One of its segments is empty: it begins or ends with a slash, or has two in a row.
    #[error(
        "the path of the stream {path:?} has an empty segment: no slash at its beginning or end, and no two in a row"
    )]
    EmptySegment {
        /// The text.
        path: String,
    },
    /// One of its segments is `.` or `..`, which clients and proxies resolve, each in its own way.
    #[error("the path of the stream {path:?} has the segment `.` or `..`: expected the path that is meant")]
    DotSegment {
        /// The text.
        path: String,
    },
    /// It is one of the protocol's own paths, or looks like one.
    #[error("paths that begin with __ds or __registry__, in any spelling, are the server's own")]
    Reserved,
}

/// The path of a stream below the root of all streams, as in a URL: percent-encoded, with slashes. Two spellings of one path
/// (RFC 3986 6.2.2) are equal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "String")]
pub struct StreamPath(Arc<str>);

/// The text of a path in the store.
#[derive(Deserialize)]
struct Stored(String);

impl StreamPath {
    /// Maximum length, in bytes.
    pub const BYTES_MAX: usize = 1024;

    /// Parses the part of a URL's path after the root. Errors: [`PathError`], also for a path that has a slash at its end, a
    /// `.` or `..` between slashes, or looks like a path of the server's own: each stream has one path.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        let parsed = Self::stored(path)?;
        if !parsed.is_registry() {
            check_segments(parsed.as_str())?;
        }
        Ok(parsed)
    }

    /// Parses the path of a stream that is stored already: earlier versions allowed empty segments, dots, and what looks like
    /// a path of the server's own.
    pub(crate) fn stored(path: &str) -> Result<Self, PathError> {
        if path.is_empty() {
            return Err(PathError::Empty);
        }
        if path.len() > Self::BYTES_MAX {
            return Err(PathError::TooLong { bytes: path.len() });
        }
        let normal = normalised(path)?;
        if normal == RESERVED || normal.starts_with("__ds/") {
            return Err(PathError::Reserved);
        }
        Ok(Self(normal.into()))
    }

    /// The path of the registry, the stream that lists all streams.
    pub fn registry() -> Self {
        Self(REGISTRY.into())
    }

    /// Returns true if it is [`StreamPath::registry`].
    pub fn is_registry(&self) -> bool {
        *self.0 == *REGISTRY
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks the segments of a normalised path. An escaped slash separates segments, too, as does a backslash: some proxies decode
/// them, and clients turn a backslash into a slash.
fn check_segments(path: &str) -> Result<(), PathError> {
    let mut segments =
        path.split(['/', '\\']).flat_map(|part| part.split("%2F")).flat_map(|part| part.split("%5C")).peekable();
    if segments.peek().is_some_and(|first| looks_reserved(first)) {
        return Err(PathError::Reserved);
    }
    for segment in segments {
        match segment {
            "" => return Err(PathError::EmptySegment { path: path.to_owned() }),
            // Some servers take what follows a semicolon for a parameter, and resolve the rest.
            _ if matches!(segment.split(';').next(), Some("." | "..")) => {
                return Err(PathError::DotSegment { path: path.to_owned() });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns true if a person could take the segment for one of the server's own, or for what belongs to it: letters count in
/// any case, and characters that are escaped, such as blanks, do not.
fn looks_reserved(segment: &str) -> bool {
    let mut plain = segment.split('%');
    let mut seen = plain.next().unwrap_or_default().to_ascii_lowercase();
    plain.for_each(|rest| seen.push_str(&rest.get(2..).unwrap_or_default().to_ascii_lowercase()));
    let rest = seen.strip_prefix(REGISTRY).or_else(|| seen.strip_prefix(RESERVED));
    rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || "-_".contains(next)))
}

/// Writes escapes in upper case, and decodes those of unreserved characters.
fn normalised(path: &str) -> Result<String, PathError> {
    let wrong = |at| PathError::InvalidByte { path: path.to_owned(), at };
    let bytes = path.as_bytes();
    let mut normal = String::with_capacity(path.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                let digits = path.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or_else(|| wrong(at))?;
                match byte {
                    0 => return Err(wrong(at)),
                    byte if is_unreserved(byte) => normal.push(byte as char),
                    byte => normal.push_str(&format!("%{byte:02X}")),
                }
                at += 3;
            }
            byte if byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#') => {
                normal.push(byte as char);
                at += 1;
            }
            _ => return Err(wrong(at)),
        }
    }
    Ok(normal)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

impl fmt::Display for StreamPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for StreamPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", &*self.0)
    }
}

impl TryFrom<&str> for StreamPath {
    type Error = PathError;
    fn try_from(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for StreamPath {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        Self::parse(&text)
    }
}

impl TryFrom<Stored> for StreamPath {
    type Error = PathError;
    fn try_from(Stored(text): Stored) -> Result<Self, PathError> {
        Self::stored(&text)
    }
}

impl From<StreamPath> for String {
    fn from(path: StreamPath) -> Self {
        path.as_str().to_owned()
    }
}

impl Borrow<str> for StreamPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(path: &str, expected: Result<&str, ()>) {
        let parsed = StreamPath::parse(path);
        assert_eq!(parsed.as_ref().map(StreamPath::as_str).map_err(|_| ()), expected, "{path:?}");
    }

    #[test]
    fn spellings_of_one_path_are_equal() {
        check("a/b", Ok("a/b"));
        check("%61/%7Euser", Ok("a/~user"));
        check("a%2fb", Ok("a%2Fb"));
        check("%c3%a9", Ok("%C3%A9"));
    }

    #[test]
    fn other_texts_are_refused() {
        for path in ["", "%", "%4", "%zz", "%00", "a b", "é", "a?b", "a\nb", "__ds", "__ds/x", "%5f_ds/x"] {
            check(path, Err(()));
        }
        check("__dsx", Ok("__dsx"));
        check("a/__ds", Ok("a/__ds"));
        check("__registry__", Ok("__registry__"));
        check(&"x".repeat(StreamPath::BYTES_MAX + 1), Err(()));
    }

    #[test]
    fn a_stream_has_one_path_and_none_looks_like_the_servers_own() {
        let empty = ["a/", "/a", "a//b", "/", "//", "a%2f", "a%2F/b"];
        let dots = [".", "..", "a/./b", "a/../b", "a/..", "./a", "%2e%2e/a", "a/%2E", "a%2F..%2Fb"];
        let own = ["__DS", "__Ds/x", "__registry__/", "__registry__/x", "__REGISTRY__", "__registry__%20", "__ds%2Fx"];
        let alike = ["__registry__.", "__ds;x", "__ds%5Cx", "__ds.", "__Registry__;v=1"];
        for path in empty.into_iter().chain(dots).chain(own).chain(alike).chain([
            "..;/x",
            "a/.;b",
            "a%5C..%5Cb",
            "a\\%2e/b",
            "%E2%80%8B__ds",
            "__reg%C2%ADistry__",
        ]) {
            check(path, Err(()));
            // What earlier versions stored under such a path can be opened.
            assert!(StreamPath::stored(path).is_ok() || path.starts_with("__ds"), "{path}");
        }
        for path in ["...", ".a", "a..b", "a/.b", "a.", "_ds", "registry", "a/__registry__", "~"] {
            check(path, Ok(path));
        }
    }

    proptest! {
        #[test]
        fn a_path_is_its_own_normal_form(path in "\\PC{0,30}") {
            if let Ok(parsed) = StreamPath::parse(&path) {
                prop_assert_eq!(StreamPath::parse(parsed.as_str()), Ok(parsed.clone()));
            }
        }
    }
}
