//! Replies in the answer of a service.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::message::{MessageName, Payload, PayloadError, TextError};

/// Maximum length of a body excerpt in an error message.
const EXCERPT_BYTES_MAX: usize = 200;

/// Reason why the replies in an answer cannot be sent. The text names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The content type declares JSON, but the body is not valid JSON.
    #[error("the answer is not valid JSON: {cause}")]
    NotJson {
        /// Error of the parser, with line and column.
        cause: String,
    },
    /// The answer has both `reply` and `replies`.
    #[error("the answer has both \"reply\" and \"replies\"; expected only one of them")]
    Both,
    /// A field has a value of the wrong type.
    #[error("\"{field}\" must be {expected}")]
    Field {
        /// Name of the field or header.
        field: String,
        /// Expected value.
        expected: &'static str,
    },
    /// A message name is invalid.
    #[error("\"{field}\": {cause}")]
    Name {
        /// Name of the field or header.
        field: String,
        /// Cause.
        cause: TextError,
    },
    /// A payload is invalid.
    #[error("\"{field}\": {cause}")]
    Payload {
        /// Name of the field.
        field: String,
        /// Cause.
        cause: PayloadError,
    },
}

impl AnswerError {
    pub(super) fn not_json(cause: serde_json::Error) -> Self {
        Self::NotJson { cause: cause.to_string() }
    }
}

/// A reply from a service. A `null` payload counts as no payload, as in every send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) name: MessageName,
    pub(crate) payload: Option<Payload>,
}

/// Reads the replies in the body of an answer, in order: `{"reply":{"name","payload"}}` or `{"replies":[…]}`. Returns none
/// if the body is empty, not declared as JSON, or has neither key; other keys are ignored. Payloads keep the text that
/// the service wrote. Errors: the first problem found; then no reply is returned.
pub(crate) fn replies(content_type: Option<&str>, body: &Bytes) -> Result<Vec<Reply>, AnswerError> {
    if body.is_empty() || !content_type.is_some_and(is_json) {
        return Ok(Vec::new());
    }
    if body.trim_ascii_start().first() != Some(&b'{') {
        serde_json::from_slice::<&RawValue>(body).map_err(AnswerError::not_json)?;
        return Ok(Vec::new());
    }
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(AnswerError::not_json)?;
    match (answer.reply, answer.replies) {
        (None, None) => Ok(Vec::new()),
        (Some(_), Some(_)) => Err(AnswerError::Both),
        (Some(reply), None) => Ok(vec![one("reply", body, reply)?]),
        (None, Some(replies)) => {
            let items: Vec<&RawValue> = serde_json::from_str(replies.get())
                .map_err(|_| AnswerError::Field { field: "replies".into(), expected: "an array of replies" })?;
            items.into_iter().enumerate().map(|(at, item)| one(&format!("replies[{at}]"), body, item)).collect()
        }
    }
}

/// Returns true if the content type is that of a structured-mode CloudEvent.
pub(crate) fn is_structured_event(content_type: &str) -> bool {
    essence(content_type).eq_ignore_ascii_case("application/cloudevents+json")
}

pub(super) fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type).to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Returns the first 200 bytes of a body as one line, for messages.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let start = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_BYTES_MAX)]);
    let line = start.replace(|letter: char| letter.is_control(), " ");
    let line = line.trim();
    if line.is_empty() { "an empty body".to_owned() } else { line.to_owned() }
}

pub(super) fn name_of(field: &str, text: &str) -> Result<MessageName, AnswerError> {
    MessageName::parse(text).map_err(|cause| AnswerError::Name { field: field.to_owned(), cause })
}

/// Converts `raw`, which must be a slice of `body`, to a payload without copying it.
pub(super) fn payload_of(field: &str, body: &Bytes, raw: Option<&RawValue>) -> Result<Option<Payload>, AnswerError> {
    let Some(raw) = raw else { return Ok(None) };
    let payload = Payload::parse(body.slice_ref(raw.get().as_bytes()));
    payload.map(Some).map_err(|cause| AnswerError::Payload { field: field.to_owned(), cause })
}

fn one(field: &str, body: &Bytes, raw: &RawValue) -> Result<Reply, AnswerError> {
    let wrong = |part: &str, expected| AnswerError::Field { field: format!("{field}{part}"), expected };
    if !raw.get().starts_with('{') {
        return Err(wrong("", "an object with a \"name\" and a \"payload\""));
    }
    let fields: Fields<'_> = serde_json::from_str(raw.get()).map_err(AnswerError::not_json)?;
    let name = fields.name.and_then(|name| serde_json::from_str::<String>(name.get()).ok());
    let name = name.ok_or_else(|| wrong(".name", "a string"))?;
    let name = name_of(&format!("{field}.name"), &name)?;
    Ok(Reply { name, payload: payload_of(&format!("{field}.payload"), body, fields.payload)? })
}

fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    reply: Option<&'a RawValue>,
    #[serde(borrow)]
    replies: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JSON: Option<&str> = Some("application/json; charset=utf-8");

    /// Compares replies, written as `name=payload`.
    fn check(content_type: Option<&str>, body: impl Into<Bytes>, expected: Result<&[&str], &str>) {
        let body = body.into();
        let actual = replies(content_type, &body).map_err(|error| error.to_string()).map(|replies| {
            let texts = replies.into_iter().map(|Reply { name, payload }| match payload {
                Some(payload) => format!("{name}={payload}"),
                None => name.to_string(),
            });
            texts.collect::<Vec<_>>()
        });
        let expected = expected.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(actual, expected.map_err(str::to_owned), "{body:?}");
    }

    #[test]
    fn a_reply_keeps_its_payload_as_written() {
        check(JSON, r#"{"reply":{"name":"a b","payload":{ "x": 1.50 }}}"#, Ok(&[r#"a b={ "x": 1.50 }"#]));
        check(Some("application/vnd.api+json"), r#" {"reply":{"name":"a"},"more":1}"#, Ok(&["a"]));
    }

    #[test]
    fn replies_keep_their_order() {
        let body = r#"{"replies":[{"name":"b","payload":0},{"name":"a","payload":""},{"name":"c","id":5}]}"#;
        check(JSON, body, Ok(&["b=0", "a=\"\"", "c"]));
    }

    #[test]
    fn a_null_payload_counts_as_none() {
        check(JSON, r#"{"reply":{"name":"a","payload":null}}"#, Ok(&["a"]));
    }

    #[test]
    fn an_answer_without_replies_is_accepted() {
        for body in ["", "{}", "[]", "\"ok\"", "5", "null", r#"{"ok":true}"#, r#"{"reply":null}"#, r#"{"replies":[]}"#]
        {
            check(JSON, body, Ok(&[]));
        }
    }

    #[test]
    fn a_body_that_is_not_declared_as_json_is_not_read() {
        for content_type in [None, Some("text/plain"), Some("text/html; x=application/json"), Some("")] {
            check(content_type, r#"{"reply":{"name":"a"}}"#, Ok(&[]));
            check(content_type, "OK", Ok(&[]));
        }
    }

    #[test]
    fn an_error_names_the_field() {
        let object = "must be an object with a \"name\" and a \"payload\"";
        check(JSON, r#"{"reply":"a"}"#, Err(&format!("\"reply\" {object}")));
        check(JSON, r#"{"reply":{"payload":1}}"#, Err("\"reply.name\" must be a string"));
        check(JSON, r#"{"reply":{"name":5}}"#, Err("\"reply.name\" must be a string"));
        check(JSON, r#"{"reply":{"name":""}}"#, Err("\"reply.name\": the message name is empty"));
        check(JSON, r#"{"replies":{"name":"a"}}"#, Err("\"replies\" must be an array of replies"));
        check(JSON, r#"{"replies":[{"name":"a"},7]}"#, Err(&format!("\"replies[1]\" {object}")));
        check(JSON, r#"{"replies":[{"name":"a"},{}]}"#, Err("\"replies[1].name\" must be a string"));
        let both = "the answer has both \"reply\" and \"replies\"; expected only one of them";
        check(JSON, r#"{"reply":{"name":"a"},"replies":[]}"#, Err(both));
    }

    #[test]
    fn a_payload_that_is_nested_too_deep_is_refused() {
        let deep = format!(r#"{{"reply":{{"name":"a","payload":{}{}}}}}"#, "[".repeat(500), "]".repeat(500));
        check(JSON, deep, Err("\"reply.payload\": the JSON is nested deeper than 128 levels"));
    }

    #[test]
    fn an_answer_declared_as_json_must_be_json() {
        for body in ["OK", "{", "{\"reply\":", "<html>"] {
            assert!(matches!(replies(JSON, &Bytes::from(body)), Err(AnswerError::NotJson { .. })), "{body}");
        }
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt(b"not\r\nfound\n"), "not  found");
        assert_eq!(excerpt(b" "), "an empty body");
        assert_eq!(excerpt(&vec![b'x'; 10_000]).len(), 200);
        assert_eq!(excerpt("é".repeat(200).as_bytes()).chars().count(), 100);
        assert_eq!(excerpt(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(excerpt(&bytes));
            drop(replies(JSON, &Bytes::from(bytes)));
        }

        #[test]
        fn a_truncated_answer_is_refused(cut in 1_usize..50) {
            let whole = r#"{"replies":[{"name":"a","payload":[1,"2",{"3":4}]}]}"#;
            let start = Bytes::from(&whole[..cut]);
            prop_assert!(replies(JSON, &start).is_err());
        }
    }
}
