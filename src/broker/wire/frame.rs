//! The frames of the WebSocket era: one JSON object each. exo 3.1, 3.2, 3.8.
//!
//! Between our own relays and broker a frame may also be an array: acknowledgements of the messages received from the
//! peer, one for each, in order. Both sides announce this in the handshake, see [`ACKS_HEADER`]. After the broker has
//! answered "busy" it gives that answer to every following message until the relay sends an empty array and repeats the
//! refused messages, which keeps their order.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::fields::Fields;
use crate::broker::Error;
use crate::message::{self, InstanceId, Message, MessageId, MessageName, PayloadError, Role};

/// Handshake header with which both ends announce that they acknowledge messages. Its value is `1`.
pub const ACKS_HEADER: &str = "exo-acks";

/// Names of the registration, status request and status reply messages.
pub const REGISTER: &str = "exocom.register-service";
const STATUS: &str = "__status";
const STATUS_OK: &str = "__status-ok";

/// Go's zero time, which a Go client reads as "no time".
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// Start of the year 10000, beyond RFC 3339, in Unix seconds.
const YEAR_10_000_SECS: u64 = 253_402_300_800;

/// A parsed frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A service registers.
    Register(Box<Hello>),
    /// The peer asks whether this end is alive.
    Status,
    /// The peer answers that it is alive.
    Alive,
    /// A message.
    Message(Message),
    /// A list of acknowledgements as unparsed JSON.
    Answers(Bytes),
}

/// Protocol dialect of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Replies are matched by `responseTo`. exo 3.8.
    ResponseTo,
    /// Replies are matched by `activityId`. exo 3.1.
    ActivityId,
}

/// Registration over a WebSocket. Services of the originals send only their role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Role of the service.
    pub role: Role,
    /// Dialect, which decides how replies are matched.
    pub dialect: Dialect,
    /// Id of the running process; `None` from originals.
    pub instance: Option<InstanceId>,
    /// Messages the service receives.
    pub receives: Vec<MessageName>,
    /// Messages the service sends.
    pub sends: Vec<MessageName>,
    /// Prefix of the service's own message names.
    pub namespace: Option<String>,
    /// Token that authorizes the service for the role.
    pub token: Option<String>,
    /// True if the service behind the instance does not answer.
    pub away: bool,
}

/// Metadata the broker adds to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Time at which the broker accepted the message.
    pub timestamp: SystemTime,
    /// Time between the request and this reply.
    pub response_time: Option<Duration>,
}

impl Frame {
    /// Parses a text or binary frame. Errors: those of [`Message::from_json`], and those of a registration.
    pub fn from_bytes(frame: &Bytes) -> Result<Self, Error> {
        Self::parse(frame, || Message::from_json(None, frame))
    }

    /// Parses a frame of an original, which may leave the id out or empty; `id` then creates one. Errors: those of
    /// [`Frame::from_bytes`].
    pub fn of_original(frame: &Bytes, id: impl FnOnce() -> MessageId) -> Result<Self, Error> {
        Self::parse(frame, || Message::from_json_with(frame, id))
    }

    fn parse(frame: &Bytes, message: impl FnOnce() -> Result<Message, message::Error>) -> Result<Self, Error> {
        match frame.trim_ascii_start().first() {
            Some(b'[') => return Ok(Self::Answers(frame.clone())),
            Some(b'{') => {}
            Some(_) | None => return Err(wrong(message())),
        }
        // Nearly all frames are messages, so that is tried first.
        let read = message();
        if let Ok(message) = &read
            && ![REGISTER, STATUS, STATUS_OK].contains(&message.name.as_str())
        {
            return read.map(Self::Message).map_err(Error::Message);
        }
        match Name::of(frame).as_deref() {
            Some(REGISTER) => Ok(Self::Register(Box::new(Hello::from_json(frame)?))),
            Some(STATUS) => Ok(Self::Status),
            Some(STATUS_OK) => Ok(Self::Alive),
            Some(_) | None => read.map(Self::Message).map_err(Error::Message),
        }
    }
}

fn wrong(read: Result<Message, message::Error>) -> Error {
    read.err().map_or(Error::Body { expected: "a JSON object" }, Error::Message)
}

/// Name of the message in a frame, read without the rest.
#[derive(Deserialize)]
struct Name<'a> {
    #[serde(borrow)]
    name: std::borrow::Cow<'a, str>,
}

impl Name<'_> {
    /// Returns `None` if there is no name or the frame is not JSON; parsing the whole frame then reports the error.
    fn of(frame: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
        serde_json::from_slice::<Name<'_>>(frame).ok().map(|found| found.name)
    }
}

impl Hello {
    /// Parses a registration. Services with `activityId` name their role in `sender`, those without in the payload.
    /// exo 3.2, 3.8.
    fn from_json(frame: &[u8]) -> Result<Self, Error> {
        let value: Value = serde_json::from_slice(frame).map_err(PayloadError::not_json)?;
        let fields = Fields::of(&value, "a JSON object")?;
        let nothing = Value::Object(serde_json::Map::new());
        let payload = value.get("payload").filter(|payload| payload.is_object()).unwrap_or(&nothing);
        let told = Fields::of(payload, "a JSON object")?;
        let by_payload = match told.text("clientName")? {
            Some(name) => Some(name),
            None => told.text("name")?,
        };
        let by_sender = fields.text("sender")?;
        let dialect = match fields.text("activityId")? {
            Some(_) => Dialect::ActivityId,
            None => Dialect::ResponseTo,
        };
        let role = match dialect {
            Dialect::ActivityId => by_sender.or(by_payload),
            Dialect::ResponseTo => by_payload.or(by_sender),
        };
        let role = role.ok_or(Error::Field { field: "sender", expected: "the role of the registering service" })?;
        let instance = told.text("instance")?;
        Ok(Self {
            role: Role::parse(role).map_err(Error::text("sender"))?,
            dialect,
            instance: instance.map(InstanceId::parse).transpose().map_err(Error::text("instance"))?,
            receives: told.names("receives")?.unwrap_or_default(),
            sends: told.names("sends")?.unwrap_or_default(),
            namespace: told.namespace("namespace")?,
            token: told.text("token")?.map(str::to_owned),
            away: told.flag("away")?,
        })
    }

    /// Writes the registration in a form that brokers of both dialects understand; `id` is also its activity id.
    pub fn to_json(&self, id: &MessageId) -> Bytes {
        let Self { role, dialect: _, instance, receives, sends, namespace, token, away } = self;
        let mut payload = serde_json::json!({ "clientName": role, "receives": receives, "sends": sends });
        let more = [("instance", instance.as_ref().map(InstanceId::as_str)), ("namespace", namespace.as_deref())];
        for (key, text) in more.into_iter().chain([("token", token.as_deref())]) {
            if let Some(text) = text {
                payload[key] = text.into();
            }
        }
        if *away {
            payload["away"] = true.into();
        }
        serde_json::json!({ "name": REGISTER, "sender": role, "id": id, "activityId": id, "payload": payload })
            .to_string()
            .into()
    }
}

/// Writes a message as delivered to a service of the given dialect.
pub fn delivery_frame(message: &Message, dialect: Dialect, stamp: Option<&Stamp>) -> Bytes {
    match dialect {
        Dialect::ResponseTo => response_to_frame(message, stamp),
        Dialect::ActivityId => activity_id_frame(message, stamp),
    }
}

/// Writes all nine keys in alphabetical order: a Go client expects each, with its type. exo 3.1.
fn activity_id_frame(message: &Message, stamp: Option<&Stamp>) -> Bytes {
    let mut json = Vec::with_capacity(320 + message.payload.as_ref().map_or(0, |payload| payload.as_bytes().len()));
    let null = &b"null"[..];
    json.extend_from_slice(b"{\"activityId\":");
    text(&mut json, message.activity_id.as_ref().map_or("", |id| id.as_str()));
    json.extend_from_slice(b",\"auth\":");
    json.extend_from_slice(message.auth.as_ref().map_or(null, |auth| auth.as_bytes()));
    json.extend_from_slice(b",\"id\":");
    text(&mut json, message.id.as_str());
    json.extend_from_slice(if message.is_security { b",\"isSecurity\":true" } else { b",\"isSecurity\":false" });
    json.extend_from_slice(b",\"name\":");
    text(&mut json, message.name.as_str());
    json.extend_from_slice(b",\"payload\":");
    json.extend_from_slice(message.payload.as_ref().map_or(null, |payload| payload.as_bytes()));
    json.extend_from_slice(b",\"responseTime\":");
    json.extend_from_slice(nanos(stamp.and_then(|stamp| stamp.response_time)).to_string().as_bytes());
    json.extend_from_slice(b",\"sender\":");
    text(&mut json, message.sender.as_ref().map_or("", |sender| sender.as_str()));
    json.extend_from_slice(b",\"timestamp\":");
    text(&mut json, &stamp.and_then(|stamp| date(stamp.timestamp)).unwrap_or_else(|| NO_TIME.into()));
    json.push(b'}');
    json.into()
}

/// Writes five keys, and two more on replies. exo 3.8.
fn response_to_frame(message: &Message, stamp: Option<&Stamp>) -> Bytes {
    let mut json = Vec::with_capacity(256 + message.payload.as_ref().map_or(0, |payload| payload.as_bytes().len()));
    json.extend_from_slice(b"{\"name\":");
    text(&mut json, message.name.as_str());
    json.extend_from_slice(b",\"id\":");
    text(&mut json, message.id.as_str());
    if let Some(payload) = &message.payload {
        json.extend_from_slice(b",\"payload\":");
        json.extend_from_slice(payload.as_bytes());
    }
    if let Some(sender) = &message.sender {
        json.extend_from_slice(b",\"sender\":");
        text(&mut json, sender.as_str());
    }
    json.extend_from_slice(b",\"timestamp\":");
    let since = stamp.and_then(|stamp| stamp.timestamp.duration_since(SystemTime::UNIX_EPOCH).ok());
    json.extend_from_slice(nanos(since).to_string().as_bytes());
    if let Some(request) = &message.response_to {
        json.extend_from_slice(b",\"responseTime\":");
        json.extend_from_slice(nanos(stamp.and_then(|stamp| stamp.response_time)).to_string().as_bytes());
        json.extend_from_slice(b",\"responseTo\":");
        text(&mut json, request.as_str());
    }
    json.push(b'}');
    json.into()
}

/// Writes a message as a relay sends it to a broker of either dialect, without absent values. exo 3.1.
pub fn sending_frame(message: &Message) -> Bytes {
    let mut json = Vec::with_capacity(256 + message.payload.as_ref().map_or(0, |payload| payload.as_bytes().len()));
    json.extend_from_slice(b"{\"name\":");
    text(&mut json, message.name.as_str());
    let ids = [
        (&b",\"sender\":"[..], message.sender.as_ref().map(Role::as_str)),
        (b",\"id\":", Some(message.id.as_str())),
        (b",\"activityId\":", message.activity_id.as_ref().map(|id| id.as_str())),
        (b",\"responseTo\":", message.response_to.as_ref().map(MessageId::as_str)),
    ];
    for (key, value) in ids {
        if let Some(value) = value {
            json.extend_from_slice(key);
            text(&mut json, value);
        }
    }
    for (key, value) in [(&b",\"payload\":"[..], &message.payload), (b",\"auth\":", &message.auth)] {
        if let Some(value) = value {
            json.extend_from_slice(key);
            json.extend_from_slice(value.as_bytes());
        }
    }
    if message.is_security {
        json.extend_from_slice(b",\"isSecurity\":true");
    }
    json.push(b'}');
    json.into()
}

/// Writes the frame that answers [`Frame::Status`]. exo 4.2.
pub fn alive_frame(role: &Role, id: &MessageId) -> Bytes {
    serde_json::json!({ "name": STATUS_OK, "sender": role, "id": id, "activityId": id }).to_string().into()
}

/// Formats a time, or returns `None` if RFC 3339 cannot represent it: a clock may be set to anything.
fn date(time: SystemTime) -> Option<String> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok().filter(|since| since.as_secs() < YEAR_10_000_SECS);
    since.map(|_| humantime::format_rfc3339_nanos(time).to_string())
}

fn nanos(duration: Option<Duration>) -> u64 {
    duration.map_or(0, |duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

fn text(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("a string can always be written to memory as JSON");
}

#[cfg(test)]
mod tests;
