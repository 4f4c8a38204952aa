//! W3C Trace Context: the header that names the trace of a message.

use std::fmt;
use std::sync::Arc;

/// A `traceparent` header, carried with the message unchanged. W3C Trace Context 3.2.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceParent(Arc<str>);

impl TraceParent {
    /// Name of the header.
    pub const HEADER: &'static str = "traceparent";

    /// Parses `version-traceid-parentid-flags` in lower-case hex. `None` for anything else: the standard requires that an
    /// invalid header is ignored, not refused.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let shape = [2, 32, 16, 2].map(|digits| parts.next().filter(|part| is_hex(part, digits)));
        let [Some(version), Some(trace), Some(parent), Some(_)] = shape else { return None };
        let exact = parts.next().is_none();
        let meaningful = version != "ff" && !is_zero(trace) && !is_zero(parent);
        (exact && meaningful).then(|| Self(text.into()))
    }

    /// Value of the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_hex(part: &str, digits: usize) -> bool {
    part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_zero(part: &str) -> bool {
    part.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_valid_header_stays_unchanged() {
        assert_eq!(TraceParent::parse(GOOD).unwrap().as_str(), GOOD);
    }

    #[test]
    fn invalid_headers_are_ignored() {
        let zero_trace = GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32));
        for invalid in ["", "00", &GOOD.to_uppercase(), &GOOD[1..], &format!("{GOOD}-x"), &zero_trace] {
            assert_eq!(TraceParent::parse(invalid), None, "{invalid}");
        }
    }
}
