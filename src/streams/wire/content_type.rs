//! Media types.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How the content of a stream is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// JSON messages: appends are validated, reads give one array.
    Json,
    /// Text: travels in events as it is.
    Text,
    /// Anything else: travels in events as base64.
    Binary,
}

/// A media type as its stream was created with; two are equal if they differ only in parameters and case.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct ContentType {
    text: Arc<str>,
    essence: Arc<str>,
}

impl ContentType {
    /// Reads the value of a header; `None` for what is no `type/subtype`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let essence = text.split(';').next().unwrap_or_default().trim();
        let (class, name) = essence.split_once('/')?;
        if !is_token(class) || !is_token(name) || !text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            return None;
        }
        let whole: Arc<str> = text.into();
        let lower = !essence.bytes().any(|byte| byte.is_ascii_uppercase());
        let essence = if lower && essence == text { whole.clone() } else { essence.to_ascii_lowercase().into() };
        Some(Self { text: whole, essence })
    }

    /// `application/json`.
    pub fn json() -> Self {
        let text: Arc<str> = "application/json".into();
        Self { essence: text.clone(), text }
    }

    /// As it was given, parameters included.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How content of this type is put together.
    pub fn kind(&self) -> Kind {
        match &*self.essence {
            "application/json" => Kind::Json,
            text if text.starts_with("text/") => Kind::Text,
            _ => Kind::Binary,
        }
    }
}

/// RFC 9110 5.6.2.
fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

impl Default for ContentType {
    fn default() -> Self {
        let text: Arc<str> = "application/octet-stream".into();
        Self { essence: text.clone(), text }
    }
}

impl PartialEq for ContentType {
    fn eq(&self, other: &Self) -> bool {
        self.essence == other.essence
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
        content_type.text.as_ref().to_owned()
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
    fn json_is_one_type_text_a_family_and_the_rest_is_binary() {
        for (text, kind) in [
            ("text/event-stream", Kind::Text),
            ("application/vnd.api+json", Kind::Binary),
            ("application/octet-stream", Kind::Binary),
        ] {
            assert_eq!(ContentType::parse(text).unwrap().kind(), kind, "{text}");
        }
    }

    #[test]
    fn what_has_no_type_and_subtype_is_no_media_type() {
        for text in ["", "json", "/", "a/", "/b", "a b/c", "text/plain\r\nx: y"] {
            assert_eq!(ContentType::parse(text), None, "{text:?}");
        }
    }
}
