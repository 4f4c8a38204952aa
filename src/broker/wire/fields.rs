//! Reading the fields of one JSON object, so that every complaint names its field.

use serde_json::{Map, Value};

use super::translation::{Pair, Translation};
use crate::broker::Error;
use crate::message::{MessageName, Role};

/// How many names a service may list as sent or received, and how many it may translate.
const NAMES_MAX: usize = 4_096;

/// The keys of one object; keys nobody asks for are ignored.
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value, expected: &'static str) -> Result<Self, Error> {
        value.as_object().map(Self).ok_or(Error::Body { expected })
    }

    /// As [`Fields::of`], for a part of a whole.
    pub(super) fn of_part(value: &'a Value, expected: &'static str) -> Result<Self, Error> {
        value.as_object().map(Self).ok_or(Error::Part { expected })
    }

    /// Every key there is.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.0.keys().map(String::as_str)
    }

    /// Every key there is, with its value.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of a key; `null` counts as none.
    pub(super) fn get(&self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
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

    /// A list of names in two languages; no pairs if the key is missing. The first match of several counts.
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

    /// A namespace or pairs, whichever there is. Errors: [`Error::Translations`] if there are both.
    pub(super) fn translation(&self, namespace: &'static str, pairs: &'static str) -> Result<Translation, Error> {
        let (prefix, list) = (self.text(namespace)?.map(str::to_owned), self.pairs(pairs)?);
        match (prefix, list.is_empty()) {
            (prefix, true) => Ok(prefix.into()),
            (None, false) => Ok(Translation::Pairs(list.into())),
            (Some(_), false) => Err(Error::Translations { namespace, pairs }),
        }
    }
}
