//! The message, and its JSON envelope:
//! `{"id","name","payload","sender","activityId","responseTo","auth","isSecurity","traceparent"}`.
//!
//! The ExoCom bodies of the HTTP era are the same object with fewer keys (reference: exo 2.1, 2.2), and both sides of
//! that era ignore keys they do not know, so one form serves bus, webhook and command line.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::payload::check_text;
use super::{ActivityId, Error, MessageId, MessageName, Payload, PayloadError, Role, TraceParent};

/// One named event or command on its way. Cheap to clone: texts and payload are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Unique on the bus; what duplicates are recognised by.
    pub id: MessageId,
    /// What the message is called in the language of whoever holds it.
    pub name: MessageName,
    /// Any JSON value; `None` when the sender gave none.
    pub payload: Option<Payload>,
    /// Who sent it. `None` from brokers of the HTTP era, which do not tell.
    pub sender: Option<Role>,
    /// The conversation it belongs to. `None` from senders of the HTTP era.
    pub activity_id: Option<ActivityId>,
    /// The message this one answers.
    pub response_to: Option<MessageId>,
    /// On whose behalf it is sent: an opaque value that answers carry on. exo 1.
    pub auth: Option<Payload>,
    /// Whether it belongs to the security side channel. exo 3.6.
    pub is_security: bool,
    /// The trace it belongs to.
    pub trace: Option<TraceParent>,
}

impl Message {
    /// A message that has nothing but its id and its name.
    pub fn new(id: MessageId, name: MessageName) -> Self {
        Self {
            id,
            name,
            payload: None,
            sender: None,
            activity_id: None,
            response_to: None,
            auth: None,
            is_security: false,
            trace: None,
        }
    }

    /// The payload as a `T`; a message without payload reads as `null`.
    /// Errors: [`PayloadError::NotJson`] naming the field or kind that does not fit.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        match &self.payload {
            Some(payload) => payload.to(),
            None => T::deserialize(serde_json::Value::Null).map_err(PayloadError::not_json),
        }
    }

    /// The conversation it belongs to: its `activityId`, else the message it answers, else itself.
    pub fn conversation(&self) -> ActivityId {
        let opener = || self.response_to.clone().unwrap_or_else(|| self.id.clone()).into();
        self.activity_id.clone().unwrap_or_else(opener)
    }

    /// Reads an envelope. `name` is the one from the URL, if there was one; it wins over the body's.
    /// An empty body counts as `{}`, as the originals have it; keys that are not ours are ignored.
    ///
    /// Errors, in this order: not UTF-8, too deep, not a JSON object, a field of the wrong kind, [`Error::MissingId`],
    /// [`Error::MissingName`], a text out of its bounds.
    pub fn from_json(name: Option<MessageName>, body: &Bytes) -> Result<Self, Error> {
        check_text(body)?;
        let fields = Fields::parse(body)?;
        let id = fields.text("id", fields.id)?.ok_or(Error::MissingId)?;
        let name = match name {
            Some(name) => name,
            None => MessageName::parse(&fields.text("name", fields.name)?.ok_or(Error::MissingName)?)?,
        };
        let part = |raw: &RawValue| Payload::from_checked(part_of(body, raw.get().as_bytes()));
        Ok(Self {
            id: MessageId::parse(&id)?,
            name,
            payload: fields.payload.map(part),
            sender: fields.text("sender", fields.sender)?.map(|text| Role::parse(&text)).transpose()?,
            activity_id: fields
                .text("activityId", fields.activity_id)?
                .map(|text| ActivityId::parse(&text))
                .transpose()?,
            response_to: fields
                .text("responseTo", fields.response_to)?
                .map(|text| MessageId::parse(&text))
                .transpose()?,
            auth: fields.auth.map(part),
            is_security: fields.is_security()?,
            trace: fields.text("traceparent", fields.traceparent)?.and_then(|text| TraceParent::parse(&text)),
        })
    }

    /// Writes the envelope. Keys without a value are left out; the payload is copied as its sender wrote it.
    pub fn to_json(&self) -> Bytes {
        let mut json = Vec::new();
        self.write_json(&mut json);
        json.into()
    }

    /// Appends the envelope to `json`.
    pub fn write_json(&self, json: &mut Vec<u8>) {
        json.reserve(256 + self.payload.as_ref().map_or(0, |payload| payload.as_bytes().len()));
        json.extend_from_slice(b"{\"id\":");
        write_text(json, self.id.as_str());
        json.extend_from_slice(b",\"name\":");
        write_text(json, self.name.as_str());
        if let Some(payload) = &self.payload {
            json.extend_from_slice(b",\"payload\":");
            json.extend_from_slice(payload.as_bytes());
        }
        let optional = [
            (&b",\"sender\":"[..], self.sender.as_ref().map(Role::as_str)),
            (b",\"activityId\":", self.activity_id.as_ref().map(ActivityId::as_str)),
            (b",\"responseTo\":", self.response_to.as_ref().map(MessageId::as_str)),
            (b",\"traceparent\":", self.trace.as_ref().map(TraceParent::as_str)),
        ];
        for (key, text) in optional {
            if let Some(text) = text {
                json.extend_from_slice(key);
                write_text(json, text);
            }
        }
        if let Some(auth) = &self.auth {
            json.extend_from_slice(b",\"auth\":");
            json.extend_from_slice(auth.as_bytes());
        }
        if self.is_security {
            json.extend_from_slice(b",\"isSecurity\":true");
        }
        json.push(b'}');
    }

    /// Reads a JSON array of envelopes, each as [`Message::from_json`] does. Errors: the first one's, or that it is
    /// no array. Messages of a list go their own ways, so each gets memory of its own.
    pub fn list_from_json(body: &Bytes) -> Result<Vec<Result<Self, Error>>, Error> {
        check_text(body)?;
        let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(PayloadError::not_json)?;
        Ok(items.into_iter().map(|item| Self::from_json(None, &part_of(body, item.get().as_bytes()))).collect())
    }

    /// Writes a JSON array of envelopes.
    pub fn list_to_json<'a>(messages: impl IntoIterator<Item = &'a Self>) -> Bytes {
        let mut json = vec![b'['];
        for message in messages {
            if json.len() > 1 {
                json.push(b',');
            }
            message.write_json(&mut json);
        }
        json.push(b']');
        json.into()
    }
}

/// From this length of a body on a part of it is a copy, unless it is most of it: a slice keeps all of it in memory.
const COPIED_BODY_BYTES_MIN: usize = 1_024;

/// A part of `body` on its own.
fn part_of(body: &Bytes, part: &[u8]) -> Bytes {
    match body.len() >= COPIED_BODY_BYTES_MIN && part.len() < body.len() / 2 {
        true => Bytes::copy_from_slice(part),
        false => body.slice_ref(part),
    }
}

/// The keys of an envelope, each still as its JSON text.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Fields<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "keep_null")]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    sender: Option<&'a RawValue>,
    #[serde(borrow)]
    activity_id: Option<&'a RawValue>,
    #[serde(borrow)]
    response_to: Option<&'a RawValue>,
    /// `null` counts as none: that is how senders of the WebSocket era say so.
    #[serde(borrow)]
    auth: Option<&'a RawValue>,
    #[serde(borrow)]
    is_security: Option<&'a RawValue>,
    #[serde(borrow)]
    traceparent: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let body = body.trim_ascii();
        match body.first() {
            None => Ok(Self::default()),
            Some(b'{') => Ok(serde_json::from_slice(body).map_err(PayloadError::not_json)?),
            Some(_) => {
                serde_json::from_slice::<&RawValue>(body).map_err(PayloadError::not_json)?;
                Err(Error::NotAnObject)
            }
        }
    }

    fn is_security(&self) -> Result<bool, Error> {
        let wrong = |_| Error::Field { field: "isSecurity", expected: "true or false" };
        self.is_security.map_or(Ok(false), |raw| serde_json::from_str(raw.get()).map_err(wrong))
    }

    /// The text under a key; an empty one counts as none, as it does for the originals.
    fn text(&self, field: &'static str, raw: Option<&'a RawValue>) -> Result<Option<String>, Error> {
        let Some(raw) = raw else { return Ok(None) };
        let text: String = serde_json::from_str(raw.get()).map_err(|_| Error::Field { field, expected: "a string" })?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}

/// Tells `"payload":null` from no payload at all.
fn keep_null<'de: 'a, 'a, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn write_text(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("a string can always be written to memory as JSON");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Option<MessageName> {
        Some(MessageName::parse(text).unwrap())
    }

    fn check(body: &'static str, expected: Result<Message, Error>) {
        assert_eq!(Message::from_json(name("hello"), &Bytes::from(body)), expected, "{body}");
    }

    fn hello(id: &str) -> Message {
        Message::new(MessageId::parse(id).unwrap(), MessageName::parse("hello").unwrap())
    }

    #[test]
    fn an_envelope_with_only_an_id_is_a_message_without_payload() {
        check(r#"{"id":"1"}"#, Ok(hello("1")));
    }

    #[test]
    fn payloads_of_every_kind_arrive_as_written() {
        for payload in ["{}", "[]", "\"\"", "0", "false", "null", "{ \"a\" : 1.0 }"] {
            let body = Bytes::from(format!("{{\"id\":\"1\",\"payload\":{payload}}}"));
            let message = Message::from_json(name("hello"), &body).unwrap();
            assert_eq!(message.payload.unwrap().as_bytes(), payload);
        }
    }

    #[test]
    fn a_missing_or_empty_id_is_named() {
        for body in ["", "{}", r#"{"id":""}"#, r#"{"id":null}"#, r#"{"payload":{"id":"1"}}"#] {
            check(body, Err(Error::MissingId));
        }
        assert_eq!(Error::MissingId.to_string(), "missing message id");
    }

    #[test]
    fn a_field_of_the_wrong_kind_is_named() {
        check(r#"{"id":5}"#, Err(Error::Field { field: "id", expected: "a string" }));
        check(r#"{"id":"1","responseTo":[]}"#, Err(Error::Field { field: "responseTo", expected: "a string" }));
        check(r#"{"id":"1","isSecurity":1}"#, Err(Error::Field { field: "isSecurity", expected: "true or false" }));
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for body in ["[]", "\"hello\"", "5", "null"] {
            check(body, Err(Error::NotAnObject));
        }
    }

    #[test]
    fn the_name_in_the_url_wins_over_the_one_in_the_body() {
        check(r#"{"id":"1","name":"other","unknown":true}"#, Ok(hello("1")));
        assert_eq!(Message::from_json(None, &Bytes::from(r#"{"id":"1"}"#)), Err(Error::MissingName));
    }

    #[test]
    fn a_small_payload_does_not_keep_the_large_body_it_came_in() {
        let body = |payload: usize, junk: usize| {
            let (payload, junk) = ("x".repeat(payload), "y".repeat(junk));
            Bytes::from(format!(r#"{{"id":"1","name":"a","payload":"{payload}","auth":"z","junk":"{junk}"}}"#))
        };
        let is_kept = |body: &Bytes, value: &Payload| body.as_ptr_range().contains(&value.as_bytes().as_ptr());
        for (payload, junk, kept) in [(9, 9, true), (9, 4_000, false), (4_000, 9, true)] {
            let body = body(payload, junk);
            let message = Message::from_json(None, &body).unwrap();
            assert_eq!(is_kept(&body, &message.payload.unwrap()), kept, "{payload} {junk}");
        }
        let item = String::from_utf8(body(900, 0).to_vec()).unwrap();
        let list = Bytes::from(format!("[{item},{item},{item}]"));
        for message in Message::list_from_json(&list).unwrap() {
            assert!(!is_kept(&list, &message.unwrap().payload.unwrap()));
        }
    }

    #[test]
    fn a_conversation_is_named_by_its_activity_then_its_request_then_its_opener() {
        let mut message = hello("3");
        assert_eq!(message.conversation().as_str(), "3");
        message.response_to = Some(MessageId::parse("2").unwrap());
        assert_eq!(message.conversation().as_str(), "2");
        message.activity_id = Some(ActivityId::parse("1").unwrap());
        assert_eq!(message.conversation().as_str(), "1");
    }

    fn messages() -> impl Strategy<Value = Message> {
        let text = || "[a-zA-Z0-9 \"\\\\/üあ-]{1,20}";
        let option = proptest::option::of(text());
        let more = (option.clone(), any::<bool>());
        (text(), text(), option.clone(), option.clone(), option.clone(), option, more).prop_map(
            |(id, name, payload, sender, activity, response, (auth, is_security))| Message {
                id: MessageId::parse(&id).unwrap(),
                name: MessageName::parse(&name).unwrap(),
                payload: payload.map(|text| Payload::of(&text).unwrap()),
                sender: sender.map(|text| Role::parse(&text).unwrap()),
                activity_id: activity.map(|text| ActivityId::parse(&text).unwrap()),
                response_to: response.map(|text| MessageId::parse(&text).unwrap()),
                auth: auth.map(|text| Payload::of(&text).unwrap()),
                is_security,
                trace: TraceParent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            },
        )
    }

    proptest! {
        #[test]
        fn messages_survive_the_round_trip(message in messages()) {
            prop_assert_eq!(Message::from_json(None, &message.to_json()).unwrap(), message);
        }

        #[test]
        fn lists_survive_the_round_trip(list in proptest::collection::vec(messages(), 0..5)) {
            let read: Vec<_> = Message::list_from_json(&Message::list_to_json(&list)).unwrap();
            prop_assert_eq!(read.into_iter().collect::<Result<Vec<_>, _>>().unwrap(), list);
        }

        #[test]
        fn an_envelope_cut_anywhere_is_refused(message in messages(), cut in 0_usize..300) {
            let json = message.to_json();
            if cut > 0 && cut < json.len() {
                prop_assert!(Message::from_json(None, &json.slice(..cut)).is_err());
            }
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(Message::from_json(None, &Bytes::from(bytes.clone())));
            drop(Message::list_from_json(&Bytes::from(bytes)));
        }
    }
}
