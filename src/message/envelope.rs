//! A message and its JSON envelope:
//! `{"id","name","payload","sender","activityId","responseTo","auth","isSecurity","traceparent","relay"}`.
//!
//! HTTP-era ExoCom bodies are the same object with fewer keys (reference: exo 2.1, 2.2), and implementations of that era
//! ignore unknown keys, so one format serves bus, webhook and command line.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::carried::Carried;
use super::payload::{check_text, check_utf8};
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
    /// Errors, in this order: not UTF-8, nested deeper than 128 levels, not a JSON object, a field of the wrong type,
    /// [`Error::MissingId`], [`Error::MissingName`], an invalid text, a payload nested deeper than allowed.
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
        let levels = check_text(body, LEVELS_MAX)?;
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
        let message = Self {
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
        };
        Carried::by(&message.name, message.is_security).check_levels(levels)?;
        Ok(message)
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
        check_utf8(body)?;
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

/// Maximum nesting of an envelope, which JSON parsers of all languages accept.
const LEVELS_MAX: usize = 128;

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
mod tests;
