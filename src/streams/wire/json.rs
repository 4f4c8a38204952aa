//! Appends to a JSON stream: validated, with one level of array flattened, and every value verbatim.
//!
//! A record is the messages of one append, each followed by a comma, so that records can be concatenated.

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::IgnoredAny;

/// The reason why a body is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is not UTF-8.
    #[error("the body is not UTF-8 at byte {at}")]
    NotText {
        /// The index of the first invalid byte.
        at: usize,
    },
    /// It is not valid JSON.
    #[error("the body is not JSON: {cause}")]
    Syntax {
        /// The parser's message, with line and column.
        cause: String,
    },
}

/// Returns the record for this body; `None` for an empty array. Copies the body once, so that the receive buffer is
/// released. Errors: [`JsonError`].
pub(crate) fn record_of(body: &[u8]) -> Result<Option<Bytes>, JsonError> {
    let text = std::str::from_utf8(body).map_err(|error| JsonError::NotText { at: error.valid_up_to() })?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| JsonError::Syntax { cause: error.to_string() })?;
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let messages = inner.trim_matches([' ', '\t', '\r', '\n']);
    if messages.is_empty() {
        return Ok(None);
    }
    let mut record = BytesMut::with_capacity(messages.len() + 1);
    record.put_slice(messages.as_bytes());
    record.put_u8(b',');
    Ok(Some(record.freeze()))
}

/// The position after the first `count` messages of a record and their commas; `None` if it has fewer.
pub(crate) fn messages_end(record: &[u8], count: u64) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped, mut found) = (0_usize, false, false, 0);
    if count == 0 {
        return Some(0);
    }
    for (at, byte) in record.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                found += 1;
                if found == count {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The position after the last message, with its comma, that ends within the first `length` bytes of a record.
pub(crate) fn whole_messages(record: &[u8], length: usize) -> usize {
    let (mut end, record) = (0, &record[..length.min(record.len())]);
    while let Some(message) = messages_end(&record[end..], 1) {
        end += message;
    }
    end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn check(body: &str, record: Option<&str>) {
        let made = record_of(body.as_bytes()).unwrap();
        assert_eq!(made.as_deref(), record.map(str::as_bytes), "{body}");
    }

    #[test]
    fn exactly_one_level_of_array_is_flattened() {
        check("[1,2]", Some("1,2,"));
        check("[[1,2],[3,4]]", Some("[1,2],[3,4],"));
        check("[[[1,2,3]]]", Some("[[1,2,3]],"));
        check(r#"{"a":[1]}"#, Some(r#"{"a":[1]},"#));
        check("true", Some("true,"));
        check(" [ ] ", None);
    }

    #[test]
    fn messages_that_are_cut_do_not_count_as_whole() {
        let record = br#"{"a":[1,2]},"x,y",3,"#;
        let ends = [(0, 0), (11, 0), (12, 12), (15, 12), (17, 12), (18, 18), (19, 18), (20, 20), (99, 20)];
        for (length, end) in ends {
            assert_eq!(whole_messages(record, length), end, "{length}");
        }
    }

    #[test]
    fn values_are_verbatim() {
        check(
            "\n [ 1.50 ,\r\n{\"a\": 1, \"a\": 12345678901234567890} ]",
            Some("1.50 ,\r\n{\"a\": 1, \"a\": 12345678901234567890},"),
        );
    }

    #[test]
    fn a_body_that_is_not_json_is_refused() {
        for body in ["", " ", "[1", "1 2", "{a:1}", "'a'", "[1,]", "\u{feff}1", "NaN"] {
            assert!(record_of(body.as_bytes()).is_err(), "{body:?}");
        }
        assert_eq!(record_of(b"\"\xff\""), Err(JsonError::NotText { at: 1 }));
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let depth = 1_000_000;
        let body = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(record_of(body.as_bytes()).unwrap().unwrap().len(), 2 * depth - 1);
    }

    #[test]
    fn commas_inside_messages_are_not_counted() {
        let record = br#""a,\"b",{"c":[1,2]},[3,4] ,5,"#;
        let ends: Vec<_> = (0..6).map(|count| messages_end(record, count)).collect();
        assert_eq!(ends, [Some(0), Some(8), Some(20), Some(27), Some(29), None]);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((".{0,5}", inner), 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn messages_are_read_back_wherever_a_record_is_cut(values in prop::collection::vec(value(), 1..6)) {
            let record = record_of(Value::from(values.clone()).to_string().as_bytes()).unwrap().unwrap();
            for count in 1..=values.len() {
                let end = messages_end(&record, count as u64).unwrap();
                let array = format!("[{}]", std::str::from_utf8(&record[..end - 1]).unwrap());
                prop_assert_eq!(serde_json::from_str::<Vec<Value>>(&array).unwrap(), &values[..count]);
            }
            prop_assert_eq!(messages_end(&record, values.len() as u64), Some(record.len()));
            prop_assert_eq!(messages_end(&record, values.len() as u64 + 1), None);
        }

        #[test]
        fn a_truncated_array_is_refused(values in prop::collection::vec(value(), 1..4), cut in 1_usize..50) {
            let text = Value::from(values).to_string();
            let bytes = text.as_bytes();
            let length = bytes.len() - cut.min(bytes.len());
            prop_assert!(record_of(&bytes[..length]).is_err());
        }

        #[test]
        fn garbage_is_refused_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(Some(record)) = record_of(&body) {
                messages_end(&record, 3);
            }
        }
    }
}
