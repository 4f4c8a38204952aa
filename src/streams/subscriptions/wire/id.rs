//! What subscriptions are called.

use std::fmt;
use std::sync::Arc;

/// Why a text cannot name a subscription.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the id of a subscription has 1 to {} bytes, no slash and no control character", SubscriptionId::BYTES_MAX)]
pub(crate) struct IdError;

/// The name of a subscription, decoded: 1 to 256 bytes of UTF-8 without slashes and control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SubscriptionId(Arc<str>);

impl SubscriptionId {
    /// The longest id, in bytes.
    pub(crate) const BYTES_MAX: usize = 256;

    /// Errors: [`IdError`].
    pub(crate) fn parse(text: &str) -> Result<Self, IdError> {
        let long = text.is_empty() || text.len() > Self::BYTES_MAX;
        match long || text.contains(|letter: char| letter == '/' || letter.is_control()) {
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
        for fit in ["a", "sub-1", "é 1", &"x".repeat(SubscriptionId::BYTES_MAX)] {
            assert_eq!(SubscriptionId::parse(fit).unwrap().as_str(), fit);
        }
        for unfit in ["", "a/b", "a\0b", "a\n", &"x".repeat(SubscriptionId::BYTES_MAX + 1)] {
            assert_eq!(SubscriptionId::parse(unfit), Err(IdError), "{unfit:?}");
        }
    }
}
