//! Names and ids: short texts without control characters.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Error of parsing a name or id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The text is empty.
    #[error("the {what} is empty")]
    Empty {
        /// Kind of text, for people.
        what: &'static str,
    },
    /// The text is too long.
    #[error("the {what} has {bytes} bytes, at most {bytes_max} are allowed")]
    TooLong {
        /// Kind of text, for people.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// Maximum length in bytes.
        bytes_max: usize,
    },
    /// The text contains a control character, such as a line break, a tab or NUL.
    #[error("the {what} {text:?} has a control character")]
    ControlCharacter {
        /// Kind of text, for people.
        what: &'static str,
        /// The beginning of the text.
        text: String,
    },
}

/// Defines a text type that is cheap to clone and checked on creation.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $bytes_max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("Maximum length of a ", $what, " in bytes.")]
            pub const BYTES_MAX: usize = $bytes_max;

            #[doc = concat!("Parses 1 to ", stringify!($bytes_max), " bytes without control characters.")]
            pub fn parse(text: &str) -> Result<Self, TextError> {
                check(text, $what, $bytes_max).map(|()| Self(text.into()))
            }

            /// The text.
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
    /// Name of a message: free text such as `users.create` or `create user`. Case-sensitive. Slashes, question marks and
    /// hashes are allowed; in URLs they are percent-encoded.
    MessageName, "message name", 1024
}
text_type! {
    /// Name of a service on the bus. Several instances may share a role.
    Role, "role", 255
}
text_type! {
    /// Identifier of a message. Ours are UUIDs of version 7; those of others stay unchanged.
    MessageId, "message id", 255
}
text_type! {
    /// Identifier of an activity, which all its messages share.
    ActivityId, "activity id", 255
}
text_type! {
    /// Identifier of a running process of a role.
    InstanceId, "instance id", 255
}

impl MessageId {
    /// Makes an id of the text of a UUID.
    pub fn from_uuid(uuid: uuid::Uuid) -> Self {
        Self(hyphenated(uuid))
    }
}

impl InstanceId {
    /// Makes an id of the text of a UUID.
    pub fn from_uuid(uuid: uuid::Uuid) -> Self {
        Self(hyphenated(uuid))
    }
}

impl From<MessageId> for ActivityId {
    /// An activity has the id of its first message.
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
    fn a_name_may_contain_spaces_slashes_and_any_letters() {
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
    fn a_control_character_is_refused_and_escaped_in_the_error() {
        check_name("a\nb", Err("the message name \"a\\nb\" has a control character"));
    }
}
