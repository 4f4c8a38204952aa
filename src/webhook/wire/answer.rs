//! Replies in the answer of a service.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::message::{MessageName, Payload, PayloadError, TextError};

/// Maximum length of a body excerpt in an error message.
const EXCERPT_BYTES_MAX: usize = 200;

/// Maximum number of keys in the description of an answer.
const KEYS_MAX: usize = 5;

/// Reason why the replies in an answer cannot be sent. The text names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The body looks like a reply in JSON, but is not valid JSON.
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
    /// The answer has too many replies.
    #[error("the answer has {replies} replies, at most {replies_max} are sent (webhook.answer_replies_max)")]
    TooMany {
        /// Their number.
        replies: usize,
        /// The bound.
        replies_max: usize,
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

/// Meaning of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The replies, in order; none if the body is empty or says so.
    Replies(Vec<Reply>),
    /// Something else: the message is handled, without a reply.
    Other(Other),
}

/// A body that is neither empty nor a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    /// Not a JSON object, such as `OK`, a page, or an array.
    NoObject,
    /// A JSON object without the key `reply` or `replies`.
    NoReply,
}

/// Byte order mark of UTF-8, which some platforms write before JSON.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads the body of an answer: `{"reply":{"name","payload"}}` or `{"replies":[…]}`, at most `replies_max`. A JSON object counts as one whatever
/// its content type; other keys are ignored. Payloads keep the text that the service wrote.
///
/// Errors: the first problem found in a reply; then no reply is returned. A body that begins like an object and is not JSON
/// is an error if its content type says JSON or it mentions a reply.
pub(crate) fn meaning(content_type: Option<&str>, body: &Bytes, replies_max: usize) -> Result<Meaning, AnswerError> {
    let body = without_mark(body);
    if body.is_empty() {
        return Ok(Meaning::Replies(Vec::new()));
    }
    if body.first() != Some(&b'{') {
        return Ok(Meaning::Other(Other::NoObject));
    }
    let answer: Answer<'_> = match serde_json::from_slice(&body) {
        Ok(answer) => answer,
        Err(_) if !content_type.is_some_and(is_json) && !mentions_reply(&body) => {
            return Ok(Meaning::Other(Other::NoObject));
        }
        Err(error) => return Err(AnswerError::not_json(error)),
    };
    let replies = match (answer.reply, answer.replies) {
        (None, None) => return Ok(Meaning::Other(Other::NoReply)),
        (Some(reply), Some(replies)) => match (given(reply), given(replies)) {
            (Some(_), Some(_)) => return Err(AnswerError::Both),
            (Some(reply), None) => vec![one("reply", &body, reply)?],
            (None, Some(replies)) => several(&body, replies, replies_max)?,
            (None, None) => Vec::new(),
        },
        (Some(reply), None) => given(reply).map(|reply| one("reply", &body, reply)).transpose()?.into_iter().collect(),
        (None, Some(replies)) => match given(replies) {
            Some(replies) => several(&body, replies, replies_max)?,
            None => Vec::new(),
        },
    };
    Ok(Meaning::Replies(replies))
}

/// Returns a body without surrounding white space and the byte order mark before it.
pub(super) fn without_mark(body: &Bytes) -> Bytes {
    let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body).trim_ascii();
    body.slice_ref(text)
}

/// Describes a body without its values, for a warning: `text`, `HTML`, `a JSON array`, `a JSON object with "id", "name"`.
pub(crate) fn describe(body: &[u8]) -> String {
    let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body).trim_ascii();
    match serde_json::from_slice::<serde_json::Value>(text) {
        Ok(serde_json::Value::Object(object)) if object.is_empty() => "an empty JSON object".to_owned(),
        Ok(serde_json::Value::Object(object)) => {
            let names = object.keys().take(KEYS_MAX).map(|key| format!("{:?}", excerpt(key.as_bytes())));
            let more = if object.len() > KEYS_MAX { ", …" } else { "" };
            format!("a JSON object with {}{more}", names.collect::<Vec<_>>().join(", "))
        }
        Ok(serde_json::Value::Array(_)) => "a JSON array".to_owned(),
        Ok(serde_json::Value::String(_)) => "a JSON string".to_owned(),
        Ok(serde_json::Value::Number(_)) => "a JSON number".to_owned(),
        Ok(serde_json::Value::Bool(_) | serde_json::Value::Null) => "a JSON literal".to_owned(),
        Err(_) if text.first() == Some(&b'<') => "HTML or XML".to_owned(),
        Err(_) => "text that is not JSON".to_owned(),
    }
}

/// Returns true if a content type is `expected`, parameters aside.
pub(super) fn is_essence(content_type: &str, expected: &str) -> bool {
    essence(content_type).eq_ignore_ascii_case(expected)
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

/// Returns the value of a key, unless it is `null`.
fn given(raw: &RawValue) -> Option<&RawValue> {
    Some(raw).filter(|raw| raw.get() != "null")
}

fn mentions_reply(body: &[u8]) -> bool {
    body.windows(5).any(|word| word == b"reply" || word == b"repli")
}

fn several(body: &Bytes, replies: &RawValue, replies_max: usize) -> Result<Vec<Reply>, AnswerError> {
    let items: Vec<&RawValue> = serde_json::from_str(replies.get())
        .map_err(|_| AnswerError::Field { field: "replies".into(), expected: "an array of replies" })?;
    check_count(items.len(), replies_max)?;
    items.into_iter().enumerate().map(|(at, item)| one(&format!("replies[{at}]"), body, item)).collect()
}

pub(super) fn check_count(replies: usize, replies_max: usize) -> Result<(), AnswerError> {
    if replies <= replies_max { Ok(()) } else { Err(AnswerError::TooMany { replies, replies_max }) }
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
    #[serde(borrow, default, deserialize_with = "raw")]
    reply: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    replies: Option<&'a RawValue>,
}

/// Keeps `null` as a value, so that it differs from a key that is missing.
fn raw<'de: 'a, 'a, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
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

    /// Compares replies, written as `name=payload`. Expects no replies, and a description, for other answers.
    fn check(content_type: Option<&str>, body: impl Into<Bytes>, expected: Result<&[&str], &str>) {
        let body = body.into();
        let actual = meaning(content_type, &body, 3).map_err(|error| error.to_string()).map(|meaning| match meaning {
            Meaning::Replies(replies) => texts(replies),
            Meaning::Other(_) => vec![format!("? {}", describe(&body))],
        });
        let expected = expected.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(actual, expected.map_err(str::to_owned), "{body:?}");
    }

    fn texts(replies: Vec<Reply>) -> Vec<String> {
        let text = |Reply { name, payload }: Reply| match payload {
            Some(payload) => format!("{name}={payload}"),
            None => name.to_string(),
        };
        replies.into_iter().map(text).collect()
    }

    #[test]
    fn an_answer_with_too_many_replies_is_refused_as_a_whole() {
        let answer = |count: usize| format!(r#"{{"replies":[{}]}}"#, vec![r#"{"name":"a"}"#; count].join(","));
        check(JSON, answer(3), Ok(&["a", "a", "a"]));
        let refused = "the answer has 4 replies, at most 3 are sent (webhook.answer_replies_max)";
        check(JSON, answer(4), Err(refused));
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
    fn an_answer_may_say_that_there_is_no_reply() {
        for body in
            ["", " \r\n", "\u{feff}", r#"{"reply":null}"#, r#"{"replies":[]}"#, r#"{"reply":null,"replies":null}"#]
        {
            check(JSON, body, Ok(&[]));
            check(None, body, Ok(&[]));
        }
    }

    #[test]
    fn a_reply_counts_whatever_its_content_type() {
        for content_type in [None, JSON, Some("text/html; charset=utf-8"), Some("text/plain"), Some("")] {
            check(content_type, r#"{"reply":{"name":"a"}}"#, Ok(&["a"]));
            check(content_type, "\u{feff}{\"reply\":{\"name\":\"a\",\"payload\":[ 1 ]}}\r\n", Ok(&["a=[ 1 ]"]));
            check(content_type, r#"{"reply":null,"replies":[{"name":"a"}]}"#, Ok(&["a"]));
        }
    }

    #[test]
    fn anything_else_is_described() {
        for content_type in [None, JSON, Some("text/plain")] {
            check(content_type, "OK", Ok(&["? text that is not JSON"]));
            check(content_type, "<html>", Ok(&["? HTML or XML"]));
            check(content_type, "[]", Ok(&["? a JSON array"]));
            check(content_type, "\"ok\"", Ok(&["? a JSON string"]));
            check(content_type, "5", Ok(&["? a JSON number"]));
            check(content_type, "null", Ok(&["? a JSON literal"]));
            check(content_type, "{}", Ok(&["? an empty JSON object"]));
            check(content_type, r#"{"id":1,"name":"secret"}"#, Ok(&[r#"? a JSON object with "id", "name""#]));
        }
        let many = r#"{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1}"#;
        check(None, many, Ok(&[r#"? a JSON object with "a", "b", "c", "d", "e", …"#]));
        check(Some("text/plain"), "{not json}", Ok(&["? text that is not JSON"]));
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
        check(JSON, deep, Err("\"reply.payload\": the JSON is nested deeper than 120 levels"));
    }

    #[test]
    fn a_broken_reply_is_an_error() {
        let broken = |content_type, body: &'static str| {
            let error = meaning(content_type, &Bytes::from(body), 3).unwrap_err();
            assert!(matches!(error, AnswerError::NotJson { .. }), "{body}: {error}");
        };
        broken(JSON, "{");
        broken(JSON, "{\"reply\":");
        broken(None, "{\"reply\":");
        broken(Some("text/html"), "{'reply': {'name': 'a'}}");
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
            drop(describe(&bytes));
            drop(meaning(JSON, &Bytes::from(bytes), 3));
        }

        #[test]
        fn a_truncated_answer_is_refused(cut in 1_usize..50) {
            let whole = r#"{"replies":[{"name":"a","payload":[1,"2",{"3":4}]}]}"#;
            let start = Bytes::from(&whole[..cut]);
            prop_assert!(meaning(JSON, &start, 3).is_err());
        }
    }
}
