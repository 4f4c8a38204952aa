//! Paths of streams.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The first segment of the protocol's own paths below the root of all streams.
pub(in crate::streams) const RESERVED: &str = "__ds";

/// The path of the registry.
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
    /// It is one of the protocol's own paths.
    #[error("paths below __ds are the protocol's own")]
    Reserved,
}

/// The path of a stream below the root of all streams, as in a URL: percent-encoded, with slashes. Two spellings of one path
/// (RFC 3986 6.2.2) are equal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamPath(Arc<str>);

impl StreamPath {
    /// Maximum length, in bytes.
    pub const BYTES_MAX: usize = 1024;

    /// Parses the part of a URL's path after the root.
    pub fn parse(path: &str) -> Result<Self, PathError> {
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
        check(&"x".repeat(StreamPath::BYTES_MAX + 1), Err(()));
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
