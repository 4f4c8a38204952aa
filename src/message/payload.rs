//! Payload of a message: JSON text that is checked once and never re-encoded.

use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use serde_json::value::RawValue;

/// Error of parsing or writing a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The bytes are not UTF-8.
    #[error("the payload is not UTF-8: invalid byte at position {position}")]
    NotUtf8 {
        /// Position of the first invalid byte, counted from 0.
        position: usize,
    },
    /// The text is not JSON.
    #[error("the payload is not valid JSON ({cause})")]
    NotJson {
        /// Position and problem, as the parser reports them.
        cause: String,
    },
    /// The JSON value cannot be read as the requested type.
    #[error("the payload has an unexpected form ({cause})")]
    Mismatch {
        /// Position and problem, as the parser reports them.
        cause: String,
    },
    /// The value cannot be represented as JSON.
    #[error("{cause}")]
    NotSerializable {
        /// The problem, as the serialiser reports it.
        cause: String,
    },
    /// Arrays and objects are nested deeper than allowed.
    #[error("the JSON is nested deeper than {levels_max} levels")]
    TooDeep {
        /// Maximum nesting.
        levels_max: usize,
    },
}

impl PayloadError {
    /// Error of deserialising JSON.
    pub(crate) fn not_json(error: serde_json::Error) -> Self {
        let cause = located(&error);
        match error.classify() {
            Category::Data => Self::Mismatch { cause },
            Category::Io | Category::Syntax | Category::Eof => Self::NotJson { cause },
        }
    }

    /// Error of serialising a value.
    pub(crate) fn not_serializable(error: serde_json::Error) -> Self {
        Self::NotSerializable { cause: error.to_string() }
    }
}

/// Formats a parser error with its position in front: `line 1, column 2: key must be a string`.
fn located(error: &serde_json::Error) -> String {
    let (line, column, text) = (error.line(), error.column(), error.to_string());
    match text.strip_suffix(&format!(" at line {line} column {column}")) {
        Some(problem) => format!("line {line}, column {column}: {problem}"),
        None => text,
    }
}

/// Any JSON value, as the text its sender wrote. Clones share the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Bytes);

impl Payload {
    /// Maximum nesting of arrays and objects in the payload of a message that is sent. With the envelopes, lists and notices
    /// around it, it stays below the 128 levels that JSON parsers of all languages accept.
    pub const DEPTH_MAX: usize = 120;

    /// Maximum nesting of a payload that carries another message.
    const CARRIED_DEPTH_MAX: usize = Self::DEPTH_MAX + 4;

    /// Checks that `json` is one JSON value in UTF-8, at most [`Payload::DEPTH_MAX`] levels deep.
    pub fn parse(json: Bytes) -> Result<Self, PayloadError> {
        Self::parse_within(json, Self::DEPTH_MAX)
    }

    /// As [`Payload::parse`], for a payload that carries another message and so may be four levels deeper.
    pub(crate) fn parse_carried(json: Bytes) -> Result<Self, PayloadError> {
        Self::parse_within(json, Self::CARRIED_DEPTH_MAX)
    }

    fn parse_within(json: Bytes, levels_max: usize) -> Result<Self, PayloadError> {
        check_text(&json, levels_max)?;
        serde_json::from_slice::<&RawValue>(&json).map_err(PayloadError::not_json)?;
        Ok(Self(json))
    }

    /// Serialises `value`. Errors: [`PayloadError::NotSerializable`], [`PayloadError::TooDeep`].
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        Self::of_within(value, Self::DEPTH_MAX)
    }

    /// As [`Payload::of`], for a payload that carries another message and so may be four levels deeper.
    pub(crate) fn of_carried<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        Self::of_within(value, Self::CARRIED_DEPTH_MAX)
    }

    fn of_within<T: Serialize + ?Sized>(value: &T, levels_max: usize) -> Result<Self, PayloadError> {
        let json = serde_json::to_vec(value).map_err(PayloadError::not_serializable)?;
        check_depth(&json, levels_max)?;
        Ok(Self(json.into()))
    }

    /// Deserialises the value. Errors: [`PayloadError::Mismatch`] with the field or type that does not match.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        serde_json::from_slice(&self.0).map_err(PayloadError::not_json)
    }

    /// The JSON text.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Returns true if the value is `null`.
    pub fn is_null(&self) -> bool {
        self.0.trim_ascii() == b"null"
    }

    /// Wraps JSON text that [`check_text`] and a JSON parser have accepted.
    pub(super) fn from_checked(json: Bytes) -> Self {
        Self(json)
    }
}

/// As part of a larger JSON document. Works with serde_json only.
impl Serialize for Payload {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_slice(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse_carried(Bytes::copy_from_slice(raw.get().as_bytes())).map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Payload {
    /// Formats the length only: payloads do not belong in logs.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Payload({} bytes)", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// Checks encoding and depth, which serde_json does not check for raw values. Returns the depth.
pub(super) fn check_text(json: &[u8], levels_max: usize) -> Result<usize, PayloadError> {
    check_utf8(json)?;
    check_depth(json, levels_max)
}

pub(super) fn check_utf8(json: &[u8]) -> Result<(), PayloadError> {
    std::str::from_utf8(json).map(drop).map_err(|error| PayloadError::NotUtf8 { position: error.valid_up_to() })
}

/// Checks the depth by counting brackets outside of strings, and returns it. Invalid JSON may pass; the parser refuses it.
fn check_depth(json: &[u8], levels_max: usize) -> Result<usize, PayloadError> {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
        if depth > levels_max {
            return Err(PayloadError::TooDeep { levels_max });
        }
    }
    Ok(deepest)
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(json: impl Into<Bytes>) -> Result<Payload, PayloadError> {
        Payload::parse(json.into())
    }

    #[test]
    fn the_text_of_a_value_stays_as_written() {
        for json in ["{ \"b\": 1.50, \"a\" : [ ] }", "\"\"", "0", "false", "null", "1e400", "[1,2]"] {
            assert_eq!(parse(json).unwrap().as_bytes(), json);
        }
    }

    #[test]
    fn anything_but_one_complete_value_is_refused() {
        for json in ["{\"a\":", "1 2", "", "  ", "{'a':1}", "[1,]", "nul"] {
            assert!(matches!(parse(json), Err(PayloadError::NotJson { .. })), "{json}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_with_their_position() {
        assert_eq!(parse(&b"\"a\xff\""[..]), Err(PayloadError::NotUtf8 { position: 2 }));
    }

    #[test]
    fn nesting_is_bounded_and_brackets_in_strings_do_not_count() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(Payload::DEPTH_MAX)).is_ok());
        assert_eq!(
            parse(nested(Payload::DEPTH_MAX + 1)),
            Err(PayloadError::TooDeep { levels_max: Payload::DEPTH_MAX })
        );
        assert_eq!(parse(nested(100_000)), Err(PayloadError::TooDeep { levels_max: Payload::DEPTH_MAX }));
        assert!(parse(format!("\"\\\"{}\"", "[".repeat(1_000))).is_ok());
    }

    #[test]
    fn errors_name_the_position_and_tell_invalid_json_from_an_unexpected_form() {
        let error = parse("{'a':1}").unwrap_err();
        let expected = "the payload is not valid JSON (line 1, column 2: key must be a string)";
        assert_eq!(error.to_string(), expected);
        let error = parse("{}").unwrap().to::<u8>().unwrap_err();
        let expected = "the payload has an unexpected form (line 1, column 0: invalid type: map, expected u8)";
        assert_eq!(error.to_string(), expected);
        let keys = std::collections::BTreeMap::from([((), 1)]);
        assert_eq!(Payload::of(&keys).unwrap_err().to_string(), "key must be a string");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(bytes));
        }

        #[test]
        fn values_survive_the_round_trip(numbers in proptest::collection::vec(any::<i64>(), 0..9), text in ".*") {
            let value = serde_json::json!({ "numbers": numbers, "text": text });
            let payload = Payload::of(&value).unwrap();
            prop_assert_eq!(&parse(payload.as_bytes().clone()).unwrap().to::<serde_json::Value>().unwrap(), &value);
        }
    }
}
