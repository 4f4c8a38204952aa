//! A message and its JSON envelope:
//! `{"id","name","payload","sender","activityId","responseTo","auth","isSecurity","traceparent","relay"}`.
//!
//! HTTP-era ExoCom bodies are the same object with fewer keys (reference: exo 2.1, 2.2), and implementations of that era
//! ignore unknown keys, so one format serves bus, webhook and command line.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::payload::check_text;
use super::{ActivityId, Error, MessageId, MessageName, Payload, PayloadError, Properties, Role, TraceParent};

/// A named event or command. Cheap to clone: clones share texts and payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Unique id on the bus, by which duplicates are recognised.
    pub id: MessageId,
    /// Name, as the service that holds the message uses it.
    pub name: MessageName,
    /// Any JSON value, if the sender gave one.
    pub payload: Option<Payload>,
    /// Role of the sender. `None` from HTTP-era brokers, which do not pass it on.
    pub sender: Option<Role>,
    /// Activity it belongs to. `None` from HTTP-era senders.
    pub activity_id: Option<ActivityId>,
    /// Id of the message that it answers.
    pub response_to: Option<MessageId>,
    /// On whose behalf it is sent: an opaque value that replies carry back. exo 1.
    pub auth: Option<Payload>,
    /// True if it belongs to the security side channel. exo 3.6.
    pub is_security: bool,
    /// Trace it belongs to.
    pub trace: Option<TraceParent>,
    /// Properties that only our relays and broker exchange.
    pub properties: Properties,
}

impl Message {
    /// Creates a message with only an id and a name.
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
            properties: Properties::default(),
        }
    }

    /// Deserialises the payload; a missing one counts as `null`. Errors: [`PayloadError::Mismatch`] with the field or type
    /// that does not match.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        match &self.payload {
            Some(payload) => payload.to(),
            None => T::deserialize(serde_json::Value::Null).map_err(PayloadError::not_json),
        }
    }

    /// The activity it belongs to: its `activityId`, else the id of the message it answers, else its own id.
    pub fn conversation(&self) -> ActivityId {
        let opener = || self.response_to.clone().unwrap_or_else(|| self.id.clone()).into();
        self.activity_id.clone().unwrap_or_else(opener)
    }

    /// Parses an envelope. `name` is the name from the URL, if there is one, and takes precedence over the envelope's.
    /// An empty body counts as `{}`, as in the original implementations; unknown keys are ignored.
    ///
    /// Errors, in this order: not UTF-8, too deep, not a JSON object, a field of the wrong type, [`Error::MissingId`],
    /// [`Error::MissingName`], an invalid text.
    pub fn from_json(name: Option<MessageName>, body: &Bytes) -> Result<Self, Error> {
        Self::parse(name, body, || Err(Error::MissingId))
    }

    /// As [`Message::from_json`], for senders that may leave the id out or empty; `id` then creates one.
    pub(crate) fn from_json_with(body: &Bytes, id: impl FnOnce() -> MessageId) -> Result<Self, Error> {
        Self::parse(None, body, || Ok(id()))
    }

    fn parse(
        name: Option<MessageName>,
        body: &Bytes,
        missing_id: impl FnOnce() -> Result<MessageId, Error>,
    ) -> Result<Self, Error> {
        check_text(body)?;
        let fields = Fields::parse(body)?;
        let id = match fields.text("id", fields.id)? {
            Some(id) => MessageId::parse(&id)?,
            None => missing_id()?,
        };
        let name = match name {
            Some(name) => name,
            None => MessageName::parse(&fields.text("name", fields.name)?.ok_or(Error::MissingName)?)?,
        };
        let part = |raw: &RawValue| Payload::from_checked(part_of(body, raw.get().as_bytes()));
        Ok(Self {
            id,
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
            properties: fields.properties(),
        })
    }

    /// Returns the envelope as JSON. Keys without a value are left out; the payload stays as its sender wrote it.
    pub fn to_json(&self) -> Bytes {
        let mut json = Vec::new();
        self.write_json(&mut json);
        json.into()
    }

    /// Appends the envelope to `json`: see [`Message::to_json`].
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
        if !self.properties.is_default() {
            json.extend_from_slice(b",\"relay\":");
            serde_json::to_writer(&mut *json, &self.properties).expect("writing to memory cannot fail");
        }
        json.push(b'}');
    }

    /// Parses a JSON array of envelopes, each with its own result: see [`Message::from_json`]. Errors: the body is not a
    /// JSON array.
    pub fn list_from_json(body: &Bytes) -> Result<Vec<Result<Self, Error>>, Error> {
        check_text(body)?;
        let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(PayloadError::not_json)?;
        Ok(items.into_iter().map(|item| Self::from_json(None, &part_of(body, item.get().as_bytes()))).collect())
    }

    /// Returns a JSON array of envelopes.
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

/// Parts of bodies of at least this size are copied, unless they are most of it: a slice keeps the whole body in memory.
const COPIED_BODY_BYTES_MIN: usize = 1_024;

/// Returns a part of `body`, as a slice or as a copy.
fn part_of(body: &Bytes, part: &[u8]) -> Bytes {
    match body.len() >= COPIED_BODY_BYTES_MIN && part.len() < body.len() / 2 {
        true => Bytes::copy_from_slice(part),
        false => body.slice_ref(part),
    }
}

/// Fields of an envelope, as unparsed JSON text.
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
    /// `null` counts as none, which is what WebSocket-era senders send.
    #[serde(borrow)]
    auth: Option<&'a RawValue>,
    #[serde(borrow)]
    is_security: Option<&'a RawValue>,
    #[serde(borrow)]
    traceparent: Option<&'a RawValue>,
    #[serde(borrow)]
    relay: Option<&'a RawValue>,
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

    /// Returns our properties. Others may use the key for something else, which is ignored.
    fn properties(&self) -> Properties {
        self.relay.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// Returns the string in a field. An empty one counts as none, as in the original implementations.
    fn text(&self, field: &'static str, raw: Option<&'a RawValue>) -> Result<Option<String>, Error> {
        let Some(raw) = raw else { return Ok(None) };
        let text: String = serde_json::from_str(raw.get()).map_err(|_| Error::Field { field, expected: "a string" })?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}

/// Keeps `"payload":null` distinct from a missing payload.
fn keep_null<'de: 'a, 'a, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn write_text(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("writing a string to memory cannot fail");
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
    fn a_missing_or_empty_id_is_reported() {
        for body in ["", "{}", r#"{"id":""}"#, r#"{"id":null}"#, r#"{"payload":{"id":"1"}}"#] {
            check(body, Err(Error::MissingId));
        }
        assert_eq!(Error::MissingId.to_string(), "missing message id");
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named() {
        check(r#"{"id":5}"#, Err(Error::Field { field: "id", expected: "a string" }));
        check(r#"{"id":"1","responseTo":[]}"#, Err(Error::Field { field: "responseTo", expected: "a string" }));
        check(r#"{"id":"1","isSecurity":1}"#, Err(Error::Field { field: "isSecurity", expected: "true or false" }));
    }

    #[test]
    fn a_body_that_is_not_an_object_is_refused() {
        for body in ["[]", "\"hello\"", "5", "null"] {
            check(body, Err(Error::NotAnObject));
        }
    }

    #[test]
    fn the_name_in_the_url_takes_precedence_over_the_one_in_the_body() {
        check(r#"{"id":"1","name":"other","unknown":true}"#, Ok(hello("1")));
        assert_eq!(Message::from_json(None, &Bytes::from(r#"{"id":"1"}"#)), Err(Error::MissingName));
    }

    #[test]
    fn a_small_payload_does_not_keep_its_large_body_in_memory() {
        let body = |payload: usize, junk: usize| {
            let (payload, junk) = ("x".repeat(payload), "y".repeat(junk));
            Bytes::from(format!(r#"{{"id":"1","name":"a","payload":"{payload}","auth":"z","junk":"{junk}"}}"#))
        };
        let shares = |body: &Bytes, value: &Payload| body.as_ptr_range().contains(&value.as_bytes().as_ptr());
        for (payload, junk, shared) in [(9, 9, true), (9, 4_000, false), (4_000, 9, true)] {
            let body = body(payload, junk);
            let message = Message::from_json(None, &body).unwrap();
            assert_eq!(shares(&body, &message.payload.unwrap()), shared, "{payload} {junk}");
        }
        let item = String::from_utf8(body(900, 0).to_vec()).unwrap();
        let list = Bytes::from(format!("[{item},{item},{item}]"));
        for message in Message::list_from_json(&list).unwrap() {
            assert!(!shares(&list, &message.unwrap().payload.unwrap()));
        }
    }

    #[test]
    fn an_activity_defaults_to_the_answered_message_then_to_the_message_itself() {
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
                properties: Properties { hops: u32::from(is_security), ..Properties::default() },
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
