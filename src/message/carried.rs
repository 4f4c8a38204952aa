//! Messages that carry another one in their payload.

use super::{FAILED, MessageName, Payload, PayloadError, UNDELIVERED};

/// Names of the messages that carry another one between the broker and the security service. exo 3.6.
const OF_SECURITY: [&str; 3] = ["authorize message", "security request", "security response"];

/// A message in the payload of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried {
    /// None.
    Nothing,
    /// The message that the security service decides on, asks or gets.
    Inner,
    /// A message that comes back, which may carry another one itself.
    Returned,
}

impl Carried {
    /// Returns what a message of this name carries.
    pub(super) fn by(name: &MessageName, is_security: bool) -> Self {
        match name.as_str() {
            UNDELIVERED | FAILED => Self::Returned,
            _ if is_security || name.is_of_security() => Self::Inner,
            _ => Self::Nothing,
        }
    }

    /// Checks the nesting of the envelope of a message: its `levels` are one more than those of the payload.
    pub(super) fn check_levels(self, levels: usize) -> Result<(), PayloadError> {
        let levels_max = match self {
            Self::Nothing => Payload::DEPTH_MAX,
            Self::Inner => Payload::DEPTH_MAX + 1,
            Self::Returned => return Ok(()),
        };
        match levels > levels_max + 1 {
            true => Err(PayloadError::TooDeep { levels_max }),
            false => Ok(()),
        }
    }
}

impl MessageName {
    /// Returns true for the messages between the broker and the security service that carry another message.
    pub(crate) fn is_of_security(&self) -> bool {
        OF_SECURITY.contains(&self.as_str())
    }
}
