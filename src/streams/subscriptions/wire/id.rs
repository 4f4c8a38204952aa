//! Ids of subscriptions.

use std::fmt;
use std::sync::Arc;

/// The error of a text that is not a valid subscription id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a subscription id has 1 to {} bytes and contains no slash or control character", SubscriptionId::BYTES_MAX)]
pub(crate) struct IdError;

/// The id of a subscription, percent-decoded: 1 to 256 bytes of UTF-8 without slashes and control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SubscriptionId(Arc<str>);

impl SubscriptionId {
    /// Maximum length, in bytes.
    pub(crate) const BYTES_MAX: usize = 256;

    /// Parses an id. Errors: [`IdError`].
    pub(crate) fn parse(text: &str) -> Result<Self, IdError> {
        let wrong_length = text.is_empty() || text.len() > Self::BYTES_MAX;
        match wrong_length || text.contains(|letter: char| letter == '/' || letter.is_control()) {
            true => Err(IdError),
            false => Ok(Self(text.into())),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_texts_without_slashes() {
        for valid in ["a", "sub-1", "é 1", &"x".repeat(SubscriptionId::BYTES_MAX)] {
            assert_eq!(SubscriptionId::parse(valid).unwrap().as_str(), valid);
        }
        for invalid in ["", "a/b", "a\0b", "a\n", &"x".repeat(SubscriptionId::BYTES_MAX + 1)] {
            assert_eq!(SubscriptionId::parse(invalid), Err(IdError), "{invalid:?}");
        }
    }
}
