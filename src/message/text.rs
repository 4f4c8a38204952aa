//! Names and ids: short texts with a bound, free of control characters.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Why a text cannot be a name or an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The text is empty.
    #[error("the {what} is empty")]
    Empty {
        /// Which of the texts it is, in words.
        what: &'static str,
    },
    /// The text is longer than its bound.
    #[error("the {what} has {bytes} bytes, at most {bytes_max} are allowed")]
    TooLong {
        /// Which of the texts it is, in words.
        what: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// The text holds a line break, a tab, a NUL or their like.
    #[error("the {what} {text:?} has a control character")]
    ControlCharacter {
        /// Which of the texts it is, in words.
        what: &'static str,
        /// The text, shown escaped.
        text: String,
    },
}

/// Defines one text type: cheap to clone, checked when made.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $bytes_max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("The longest ", $what, ", in bytes.")]
            pub const BYTES_MAX: usize = $bytes_max;

            #[doc = concat!("Checks `text`: 1 to ", stringify!($bytes_max), " bytes without control characters.")]
            /// Errors: the [`TextError`] that tells which of this it broke.
            pub fn parse(text: &str) -> Result<Self, TextError> {
                check(text, $what, $bytes_max).map(|()| Self(text.into()))
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:?}", &*self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = TextError;
            fn try_from(text: &str) -> Result<Self, TextError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = TextError;
            fn try_from(text: String) -> Result<Self, TextError> {
                Self::parse(&text)
            }
        }

        impl TryFrom<&$name> for $name {
            type Error = TextError;
            fn try_from(text: &$name) -> Result<Self, TextError> {
                Ok(text.clone())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_type! {
    /// What a message is called: free text such as `users.create` or `create user`. Case counts; slashes, question
    /// marks and hashes are fine, URLs carry them percent-encoded.
    MessageName, "message name", 1024
}
text_type! {
    /// Who a service is on the bus. Several instances may share a role.
    Role, "role", 255
}
text_type! {
    /// The id of one message. Ours are UUIDs of version 7; those of others are kept to the letter.
    MessageId, "message id", 255
}
text_type! {
    /// The id of a whole conversation; every message of it carries the same.
    ActivityId, "activity id", 255
}
text_type! {
    /// One running process of a role, for as long as it runs.
    InstanceId, "instance id", 255
}

impl MessageId {
    /// The id that is this UUID's text.
    pub fn from_uuid(uuid: uuid::Uuid) -> Self {
        Self(hyphenated(uuid))
    }
}

impl InstanceId {
    /// The id that is this UUID's text.
    pub fn from_uuid(uuid: uuid::Uuid) -> Self {
        Self(hyphenated(uuid))
    }
}

impl From<MessageId> for ActivityId {
    /// A conversation is named after the message that opened it.
    fn from(id: MessageId) -> Self {
        Self(id.0)
    }
}

fn hyphenated(uuid: uuid::Uuid) -> Arc<str> {
    let mut buffer = uuid::Uuid::encode_buffer();
    Arc::from(&*uuid.hyphenated().encode_lower(&mut buffer))
}

fn check(text: &str, what: &'static str, bytes_max: usize) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty { what });
    }
    if text.len() > bytes_max {
        return Err(TextError::TooLong { what, bytes: text.len(), bytes_max });
    }
    if text.chars().any(char::is_control) {
        return Err(TextError::ControlCharacter { what, text: text.chars().take(80).collect() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_name(text: &str, expected: Result<(), &str>) {
        let outcome = MessageName::parse(text).map(drop).map_err(|error| error.to_string());
        assert_eq!(outcome, expected.map_err(str::to_owned));
    }

    #[test]
    fn a_name_may_hold_spaces_slashes_and_any_letters() {
        for name in ["users.create", "create user", "a/b?c#d", "größe", "x"] {
            check_name(name, Ok(()));
        }
    }

    #[test]
    fn an_empty_name_is_refused() {
        check_name("", Err("the message name is empty"));
    }

    #[test]
    fn a_name_of_ten_kilobytes_is_refused() {
        check_name(&"x".repeat(10_000), Err("the message name has 10000 bytes, at most 1024 are allowed"));
    }

    #[test]
    fn a_control_character_is_refused_and_shown_escaped() {
        check_name("a\nb", Err("the message name \"a\\nb\" has a control character"));
    }
}
