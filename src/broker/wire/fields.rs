//! Reading the fields of one JSON object, so that every complaint names its field.

use serde_json::{Map, Value};

use crate::broker::Error;
use crate::message::{MessageName, Role};

/// How many names a service may list as sent or received.
const NAMES_MAX: usize = 4_096;

/// The keys of one object; keys nobody asks for are ignored.
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value, expected: &'static str) -> Result<Self, Error> {
        value.as_object().map(Self).ok_or(Error::Body { expected })
    }

    /// A text; `null` and the empty one count as none.
    pub(super) fn text(&self, field: &'static str) -> Result<Option<&'a str>, Error> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(Error::Field { field, expected: "a string" }),
        }
    }

    pub(super) fn role(&self, field: &'static str) -> Result<Role, Error> {
        let text = self.text(field)?.ok_or(Error::Field { field, expected: "a string that is not empty" })?;
        Role::parse(text).map_err(Error::text(field))
    }

    pub(super) fn port(&self, field: &'static str) -> Result<u16, Error> {
        let port = self.0.get(field).and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok());
        port.filter(|port| *port > 0).ok_or(Error::Field { field, expected: "a number from 1 to 65535" })
    }

    pub(super) fn flag(&self, field: &'static str) -> Result<bool, Error> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(Error::Field { field, expected: "true or false" }),
        }
    }

    pub(super) fn number(&self, field: &'static str) -> Result<Option<u64>, Error> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or(Error::Field { field, expected: "a whole number" }),
        }
    }

    /// A list of message names, or `None` if the key is missing.
    pub(super) fn names(&self, field: &'static str) -> Result<Option<Vec<MessageName>>, Error> {
        let expected = "an array of message names, at most 4096";
        let list = match self.0.get(field) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Array(list)) if list.len() <= NAMES_MAX => list,
            Some(_) => return Err(Error::Field { field, expected }),
        };
        let name = |value: &Value| {
            let text = value.as_str().ok_or(Error::Field { field, expected })?;
            MessageName::parse(text).map_err(Error::text(field))
        };
        list.iter().map(name).collect::<Result<_, _>>().map(Some)
    }
}
