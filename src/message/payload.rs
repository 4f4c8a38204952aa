//! A message's payload: JSON text that is checked once and never rebuilt.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Why bytes are not a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The bytes are not UTF-8.
    #[error("the body is not UTF-8: byte {position} does not continue a character")]
    NotUtf8 {
        /// Where the first wrong byte stands, counted from 0.
        position: usize,
    },
    /// The text is not JSON, or not of the asked-for shape.
    #[error("the body is not the expected JSON: {cause}")]
    NotJson {
        /// What the parser says, with line and column.
        cause: String,
    },
    /// Arrays and objects stand in each other deeper than allowed.
    #[error("the JSON is nested deeper than {} levels", Payload::DEPTH_MAX)]
    TooDeep,
}

impl PayloadError {
    pub(crate) fn not_json(cause: impl fmt::Display) -> Self {
        Self::NotJson { cause: cause.to_string() }
    }
}

/// Any JSON value, as the text its sender wrote. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Bytes);

impl Payload {
    /// How deep arrays and objects may stand in each other: what JSON parsers of other languages take without trouble.
    pub const DEPTH_MAX: usize = 128;

    /// Checks that `json` is one JSON value in UTF-8, at most [`Payload::DEPTH_MAX`] levels deep.
    pub fn parse(json: Bytes) -> Result<Self, PayloadError> {
        check_text(&json)?;
        serde_json::from_slice::<&RawValue>(&json).map_err(PayloadError::not_json)?;
        Ok(Self(json))
    }

    /// The JSON text of `value`. Errors: what `value` itself says when it cannot be written as JSON.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        let json = serde_json::to_vec(value).map_err(PayloadError::not_json)?;
        check_depth(&json)?;
        Ok(Self(json.into()))
    }

    /// Reads the value as a `T`. Errors: [`PayloadError::NotJson`] naming the field or kind that does not fit.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        serde_json::from_slice(&self.0).map_err(PayloadError::not_json)
    }

    /// The JSON text as bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Whether the value is `null`.
    pub fn is_null(&self) -> bool {
        self.0.trim_ascii() == b"null"
    }

    /// Takes a part of a text that [`check_text`] and a JSON parser have already seen.
    pub(super) fn from_checked(json: Bytes) -> Self {
        Self(json)
    }
}

impl fmt::Debug for Payload {
    /// The length only: payloads do not belong in logs.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Payload({} bytes)", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// Checks encoding and depth, the two things serde_json's raw values do not.
pub(super) fn check_text(json: &[u8]) -> Result<(), PayloadError> {
    std::str::from_utf8(json).map_err(|error| PayloadError::NotUtf8 { position: error.valid_up_to() })?;
    check_depth(json)
}

/// Counts brackets outside of strings. Text that is not JSON may pass; the parser sees to that.
fn check_depth(json: &[u8]) -> Result<(), PayloadError> {
    let mut depth = 0_usize;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
        if depth > Payload::DEPTH_MAX {
            return Err(PayloadError::TooDeep);
        }
    }
    Ok(())
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
    fn the_text_of_a_value_is_kept_as_written() {
        for json in ["{ \"b\": 1.50, \"a\" : [ ] }", "\"\"", "0", "false", "null", "1e400", "[1,2]"] {
            assert_eq!(parse(json).unwrap().as_bytes(), json);
        }
    }

    #[test]
    fn half_a_value_two_values_and_none_are_refused() {
        for json in ["{\"a\":", "1 2", "", "  ", "{'a':1}", "[1,]", "nul"] {
            assert!(matches!(parse(json), Err(PayloadError::NotJson { .. })), "{json}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_with_their_place() {
        assert_eq!(parse(&b"\"a\xff\""[..]), Err(PayloadError::NotUtf8 { position: 2 }));
    }

    #[test]
    fn nesting_is_bounded_and_brackets_in_strings_do_not_count() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(Payload::DEPTH_MAX)).is_ok());
        assert_eq!(parse(nested(Payload::DEPTH_MAX + 1)), Err(PayloadError::TooDeep));
        assert_eq!(parse(nested(100_000)), Err(PayloadError::TooDeep));
        assert!(parse(format!("\"\\\"{}\"", "[".repeat(1_000))).is_ok());
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
