//! Typed access to the fields of a JSON object, with errors that name the field.

use serde_json::{Map, Value};

use super::translation::{Pair, Translation};
use crate::broker::Error;
use crate::message::{MessageName, Role};

/// Maximum number of names that a service may list as sent or received, or translate.
const NAMES_MAX: usize = 4_096;

/// Fields of one object; keys that are not read are ignored.
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value, expected: &'static str) -> Result<Self, Error> {
        value.as_object().map(Self).ok_or(Error::Body { expected })
    }

    /// Like [`Fields::of`], for a part of a larger document.
    pub(super) fn of_part(value: &'a Value, expected: &'static str) -> Result<Self, Error> {
        value.as_object().map(Self).ok_or(Error::Part { expected })
    }

    /// Returns all keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns all keys with their values.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Returns the value of a key; `null` counts as missing.
    pub(super) fn get(&self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    /// Returns a string; `null` and the empty string count as missing.
    pub(super) fn text(&self, field: &'static str) -> Result<Option<&'a str>, Error> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(Error::Field { field, expected: "a string" }),
        }
    }

    pub(super) fn role(&self, field: &'static str) -> Result<Role, Error> {
        let text = self.text(field)?.ok_or(Error::Field { field, expected: "a non-empty string" })?;
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

    /// Returns a list of message names, or `None` if the key is missing.
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

    /// Returns translation pairs, none if the key is missing. The first of several matches counts.
    pub(super) fn pairs(&self, field: &'static str) -> Result<Vec<Pair>, Error> {
        let expected = "an array of {\"public\", \"internal\"} pairs of message names, at most 4096";
        let list = match self.0.get(field) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(list)) if list.len() <= NAMES_MAX => list,
            Some(_) => return Err(Error::Field { field, expected }),
        };
        let pair = |value: &Value| {
            let name = |key: &str| {
                let text = value.get(key).and_then(Value::as_str).ok_or(Error::Field { field, expected })?;
                MessageName::parse(text).map_err(Error::text(field))
            };
            Ok(Pair { public: name("public")?, internal: name("internal")? })
        };
        list.iter().map(pair).collect()
    }

    /// Returns the prefix of a service's own names. It is bounded, so that a translated name stays valid.
    pub(super) fn namespace(&self, field: &'static str) -> Result<Option<String>, Error> {
        match self.text(field)? {
            Some(text) if text.len() > Role::BYTES_MAX => {
                Err(Error::Field { field, expected: "a text of at most 255 bytes" })
            }
            text => Ok(text.map(str::to_owned)),
        }
    }

    /// Returns the namespace or the pairs. Errors: [`Error::Translations`] if both are present.
    pub(super) fn translation(&self, namespace: &'static str, pairs: &'static str) -> Result<Translation, Error> {
        let (prefix, list) = (self.namespace(namespace)?, self.pairs(pairs)?);
        match (prefix, list.is_empty()) {
            (prefix, true) => Ok(prefix.into()),
            (None, false) => Ok(Translation::Pairs(list.into())),
            (Some(_), false) => Err(Error::Translations { namespace, pairs }),
        }
    }
}
