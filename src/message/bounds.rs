//! Bounds of a message. They are checked where a message enters the bus, and leave room for everything that it may meet
//! later: the prefix of a translated name, an envelope, a list of envelopes, and the notice that carries it back. What the
//! first listener accepts, all others accept too.

use super::carried::Carried;
use super::{Message, MessageName, TextError};

/// Maximum JSON size of `auth`, in bytes: it also has to fit into a header.
pub const AUTH_BYTES_MAX: usize = 16 * 1024;

/// Maximum of the bytes that an envelope adds to its payload: the longest names and ids, `auth`, and some reserve.
pub const ENVELOPE_BYTES_MAX: usize = 32 * 1024;

/// A message that is out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutOfBounds {
    /// The payload is too large.
    #[error("the payload has {bytes} bytes, at most {bytes_max} are allowed")]
    Payload {
        /// Its size in bytes.
        bytes: usize,
        /// Maximum size in bytes.
        bytes_max: usize,
    },
    /// `auth` is too large.
    #[error("auth has {bytes} bytes, at most {bytes_max} are allowed")]
    Auth {
        /// Its size in bytes.
        bytes: usize,
        /// Maximum size in bytes.
        bytes_max: usize,
    },
    /// The name is too long.
    #[error(transparent)]
    Name(TextError),
}

impl Message {
    /// Checks a message that enters the bus; its payload may have `payload_bytes_max` bytes. The nesting of its JSON was
    /// checked when it was parsed.
    pub fn check_bounds(&self, payload_bytes_max: usize) -> Result<(), OutOfBounds> {
        let bytes_max = match Carried::by(&self.name, self.is_security) {
            Carried::Nothing => payload_bytes_max,
            Carried::Inner | Carried::Returned => payload_bytes_max.saturating_add(ENVELOPE_BYTES_MAX),
        };
        if let Some(bytes) = self.payload.as_ref().map(|payload| payload.as_bytes().len()).filter(|it| *it > bytes_max)
        {
            return Err(OutOfBounds::Payload { bytes, bytes_max });
        }
        if let Some(bytes) = self.auth.as_ref().map(|auth| auth.as_bytes().len()).filter(|it| *it > AUTH_BYTES_MAX) {
            return Err(OutOfBounds::Auth { bytes, bytes_max: AUTH_BYTES_MAX });
        }
        let (bytes, bytes_max) = (self.name.as_str().len(), MessageName::SENT_BYTES_MAX);
        // What comes back from a receiver has the name that it has there.
        match bytes > bytes_max && !self.properties.returned {
            true => Err(OutOfBounds::Name(TextError::TooLong { what: "message name", bytes, bytes_max })),
            false => Ok(()),
        }
    }
}

/// Bytes that a message takes besides its texts and values.
const STRUCTURE_BYTES: usize = 512;

impl Message {
    /// Returns the bytes that the message counts for while it waits: its payload, its auth value, its name and ids, and 512
    /// more.
    pub fn memory_bytes(&self) -> usize {
        let values = [&self.payload, &self.auth].into_iter().flatten().map(|value| value.as_bytes().len());
        let texts = [
            Some(self.id.as_str()),
            Some(self.name.as_str()),
            self.sender.as_ref().map(|sender| sender.as_str()),
            self.activity_id.as_ref().map(|id| id.as_str()),
            self.response_to.as_ref().map(|id| id.as_str()),
        ];
        STRUCTURE_BYTES + values.sum::<usize>() + texts.into_iter().flatten().map(str::len).sum::<usize>()
    }
}

impl MessageName {
    /// Maximum length in bytes of the name of a message that is sent: a translation may add a prefix.
    pub const SENT_BYTES_MAX: usize = Self::BYTES_MAX - 256;
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::{MessageId, Payload};

    fn message(name: &str, payload_bytes: usize, auth_bytes: usize) -> Message {
        let text = |bytes: usize| Payload::parse(Bytes::from(format!("\"{}\"", "x".repeat(bytes - 2)))).unwrap();
        let message = Message::new(MessageId::parse("1").unwrap(), MessageName::parse(name).unwrap());
        Message { payload: Some(text(payload_bytes)), auth: Some(text(auth_bytes)), ..message }
    }

    #[test]
    fn each_bound_is_exact_and_named() {
        let name = |bytes: usize| "n".repeat(bytes);
        assert_eq!(message(&name(MessageName::SENT_BYTES_MAX), 100, AUTH_BYTES_MAX).check_bounds(100), Ok(()));
        let check = |message: Message, words: &str| {
            let error = message.check_bounds(100).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        check(message("a", 101, 2), "the payload has 101 bytes, at most 100 are allowed");
        check(message("a", 2, AUTH_BYTES_MAX + 1), "auth has 16385 bytes, at most 16384 are allowed");
        check(message(&name(769), 2, 2), "the message name has 769 bytes, at most 768 are allowed");
    }

    #[test]
    fn a_message_that_carries_another_one_may_be_larger_by_an_envelope() {
        assert_eq!(message("security response", 100 + ENVELOPE_BYTES_MAX, 2).check_bounds(100), Ok(()));
        assert!(message("security response", 101 + ENVELOPE_BYTES_MAX, 2).check_bounds(100).is_err());
    }
}
