//! Media types of streams.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

/// The kind of content that a stream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// JSON messages: appends are validated, and reads return one array.
    Json,
    /// Text: verbatim in events.
    Text,
    /// Anything else: base64 in events.
    Binary,
}

/// A media type, verbatim. Two are equal if they differ only in parameters and case.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct ContentType(Arc<str>);

/// The types of nearly all streams, which share these texts: a million copies would take more memory than the rest of the
/// streams.
static COMMON: LazyLock<[Arc<str>; 6]> = LazyLock::new(|| {
    [DEFAULT, JSON, "application/json; charset=utf-8", "text/plain", "text/plain; charset=utf-8", "text/event-stream"]
        .map(Arc::from)
});

const DEFAULT: &str = "application/octet-stream";
const JSON: &str = "application/json";

impl ContentType {
    /// Parses the value of a header; `None` if it is not a `type/subtype`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (class, name) = essence_of(text).split_once('/')?;
        if !is_token(class) || !is_token(name) || !text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            return None;
        }
        Some(Self::shared(text))
    }

    /// `application/json`.
    pub fn json() -> Self {
        Self::shared(JSON)
    }

    /// The text, including parameters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The kind of content.
    pub fn kind(&self) -> Kind {
        let essence = essence_of(&self.0);
        let class = essence.split('/').next().unwrap_or_default();
        match (essence.eq_ignore_ascii_case(JSON), class.eq_ignore_ascii_case("text")) {
            (true, _) => Kind::Json,
            (false, true) => Kind::Text,
            (false, false) => Kind::Binary,
        }
    }

    /// Returns true if its text is UTF-8: it names that charset or ASCII, which is a part of it, or none.
    pub(crate) fn is_utf8(&self) -> bool {
        let parameters = self.0.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
        let mut charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
        let Some((_, charset)) = charsets.next() else { return true };
        let charset = charset.trim().trim_matches('"');
        ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
    }

    fn shared(text: &str) -> Self {
        Self(COMMON.iter().find(|common| ***common == *text).cloned().unwrap_or_else(|| text.into()))
    }
}

/// The type without parameters.
fn essence_of(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

/// RFC 9110 5.6.2.
fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

impl Default for ContentType {
    fn default() -> Self {
        Self::shared(DEFAULT)
    }
}

impl PartialEq for ContentType {
    fn eq(&self, other: &Self) -> bool {
        essence_of(&self.0).eq_ignore_ascii_case(essence_of(&other.0))
    }
}

impl Eq for ContentType {}

impl From<String> for ContentType {
    fn from(text: String) -> Self {
        Self::parse(&text).unwrap_or_default()
    }
}

impl From<ContentType> for String {
    fn from(content_type: ContentType) -> Self {
        content_type.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_make_no_difference() {
        let plain = ContentType::parse("application/json").unwrap();
        let spelt = ContentType::parse(" Application/JSON; charset=utf-8 ").unwrap();
        assert_eq!(plain, spelt);
        assert_eq!(spelt.as_str(), "Application/JSON; charset=utf-8");
        assert_eq!(spelt.kind(), Kind::Json);
    }

    #[test]
    fn common_types_are_shared_and_others_are_verbatim() {
        let common = [DEFAULT, JSON].map(|text| [text, text].map(|text| ContentType::parse(text).unwrap().0));
        assert!(common.iter().all(|[one, other]| Arc::ptr_eq(one, other)));
        assert_eq!(ContentType::parse("Application/JSON").unwrap().as_str(), "Application/JSON");
    }

    #[test]
    fn json_is_one_type_text_is_a_family_and_the_rest_is_binary() {
        for (text, kind) in [
            ("text/event-stream", Kind::Text),
            ("Text/Plain;charset=utf-8", Kind::Text),
            ("textual/plain", Kind::Binary),
            ("application/vnd.api+json", Kind::Binary),
            ("application/octet-stream", Kind::Binary),
        ] {
            assert_eq!(ContentType::parse(text).unwrap().kind(), kind, "{text}");
        }
    }

    #[test]
    fn text_is_utf8_unless_it_names_another_charset() {
        for (text, expected) in [
            ("text/plain", true),
            ("text/plain; charset=utf-8", true),
            ("text/plain;format=flowed; Charset=\"UTF-8\"", true),
            ("text/plain; charset=us-ascii", true),
            ("text/plain; charset=iso-8859-1", false),
            ("text/html;charset=\"UTF-16\"", false),
        ] {
            assert_eq!(ContentType::parse(text).unwrap().is_utf8(), expected, "{text}");
        }
    }

    #[test]
    fn a_text_without_type_and_subtype_is_refused() {
        for text in ["", "json", "/", "a/", "/b", "a b/c", "text/plain\r\nx: y"] {
            assert_eq!(ContentType::parse(text), None, "{text:?}");
        }
    }
}
