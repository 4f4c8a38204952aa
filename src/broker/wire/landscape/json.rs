//! Landscapes as JSON, in the forms of all eras of the original.
//!
//! ```text
//! [{"name":"users","port":5002,"receives":["mongo.create"],"internalNamespace":"mongo"}]                exo 2.3
//! [{"role":"users","receives":["mongo.create"],"sends":[],"namespace":"mongo"}]                          exo 3.8
//! [{"role":"users","receives":["mongo create"],"sends":[],"messageTranslations":[{"public":…}]}]         exo 3.7
//! {"users":{"receives":["mongo create"],"sends":[],"translations":[{"public":…,"internal":…}]}}          exo 3.7
//! ```

use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::{Form, Landscape, RoleRoutes, relaxed};
use crate::broker::Error;
use crate::broker::wire::announcement::Address;
use crate::broker::wire::fields::Fields;
use crate::broker::wire::translation::Translation;
use crate::message::Role;

/// Key of the translations in the form that also supports namespaces.
const TRANSLATIONS_OF_ARRAYS: &str = "messageTranslations";

impl Landscape {
    /// Parses the body of `POST /services`, or the environment variable of the original. An array whose elements have a
    /// `port` is the form of the HTTP era; other arrays and objects declare roles. Unknown keys are ignored. Errors
    /// name
    /// index and field; nothing is applied then.
    pub fn from_json(body: &Bytes) -> Result<Self, Error> {
        let value: Value = serde_json::from_slice(body).map_err(not_json)?;
        match &value {
            Value::Array(list) if is_of_the_http_era(list) => Self::of(Form::Http, each(list, "name", service)?),
            Value::Array(list) => declared_by_array(list),
            Value::Object(_) => declared_by_object(body),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Err(Error::Body { expected: "a JSON array of services or a JSON object of roles" })
            }
        }
    }
}

impl Landscape {
    /// Parses the variable of an original of 2016 or 2017: an array of roles, in JSON or in what a shell has left of it:
    /// stripped or single quotes and trailing commas are accepted. Empty texts and objects declare nothing. What is not JSON is of the form with namespaces, as
    /// only brokers of that form took it. Errors: as [`Landscape::from_json`], with line and column.
    pub fn from_relaxed_json(text: &str) -> Result<Self, Error> {
        let text = unwrapped(text.trim());
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Null) => Self::of(Form::Namespaces, Vec::new()),
            Ok(Value::Object(map)) if map.is_empty() => Self::of(Form::Namespaces, Vec::new()),
            Ok(_) => Self::from_json(&Bytes::copy_from_slice(text.as_bytes())),
            Err(_) if text.is_empty() => Self::of(Form::Namespaces, Vec::new()),
            Err(_) => match relaxed::parse(text)? {
                Value::Array(list) if list.iter().any(|service| service.get("port").is_some()) => {
                    Self::of(Form::Http, each(&list, "name", service)?)
                }
                Value::Array(list) => {
                    let Self { form, roles } = declared_by_array(&list)?;
                    let has_pairs = roles.iter().any(|routes| !routes.translation.pairs().is_empty());
                    Ok(Self { form: if has_pairs { form } else { Form::Namespaces }, roles })
                }
                Value::Object(map) if map.is_empty() => Self::of(Form::Namespaces, Vec::new()),
                _ => Err(Error::Body { expected: "a JSON array of roles" }),
            },
        }
    }
}

/// Returns the text inside quotes around the whole, which files of variables leave there.
fn unwrapped(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('\'').or_else(|| inner('"').filter(|inner| !inner.contains('\\'))).map_or(text, str::trim)
}

/// The empty array counts too: it removes all services.
fn is_of_the_http_era(list: &[Value]) -> bool {
    list.is_empty() || list.iter().any(|service| service.get("port").is_some())
}

/// Reads every element. Errors: those of `read` with the index, and [`Error::NameTwice`].
fn each(
    list: &[Value],
    field: &'static str,
    read: impl Fn(&Value) -> Result<RoleRoutes, Error>,
) -> Result<Vec<RoleRoutes>, Error> {
    let mut names = HashSet::new();
    let mut roles = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let service = read(value).map_err(|source| Error::Service { index, source: Box::new(source) })?;
        if !names.insert(service.role.clone()) {
            return Err(Error::NameTwice { index, field, name: service.role });
        }
        roles.push(service);
    }
    Ok(roles)
}

fn service(value: &Value) -> Result<RoleRoutes, Error> {
    let expected = "a JSON object, like {\"name\":\"users\",\"port\":4000,\"receives\":[…]}";
    let fields = Fields::of_part(value, expected)?;
    let receives = fields.names("receives")?;
    Ok(RoleRoutes {
        role: fields.role("name")?,
        address: Some(Address::new(fields.text("host")?.unwrap_or("localhost"), fields.port("port")?)?),
        translation: fields.text("internalNamespace")?.map(str::to_owned).into(),
        sends: fields.names("sends")?.unwrap_or_default(),
        receives: receives.ok_or(Error::Field { field: "receives", expected: "an array of message names" })?,
    })
}

fn declared_by_array(list: &[Value]) -> Result<Landscape, Error> {
    let roles = each(list, "role", declared)?;
    let has = |wanted: fn(&Translation) -> bool| roles.iter().position(|routes| wanted(&routes.translation));
    let namespace = has(|translation| translation.namespace().is_some());
    let pairs = has(|translation| !translation.pairs().is_empty());
    let form = match (namespace, pairs) {
        (Some(namespace), Some(pairs)) => return Err(Error::Mixed { namespace, pairs }),
        (None, Some(_)) => Form::MessageTranslations,
        (Some(_), None) => Form::Namespaces,
        // Empty namespaces still select that form.
        (None, None) if list.iter().any(|role| namespace_key(role).is_some()) => Form::Namespaces,
        (None, None) => Form::MessageTranslations,
    };
    Landscape::of(form, roles)
}

fn declared(value: &Value) -> Result<RoleRoutes, Error> {
    let fields = Fields::of_part(value, "a JSON object, like {\"role\":\"users\",\"receives\":[…],\"sends\":[…]}")?;
    misplaced(&fields, &["translations"], TRANSLATIONS_OF_ARRAYS)?;
    let role = if fields.get("role").is_none() && fields.get("name").is_some() { "name" } else { "role" };
    let translation = fields.translation(namespace_key(value).unwrap_or("namespace"), TRANSLATIONS_OF_ARRAYS)?;
    routes(fields.role(role)?, &fields, translation)
}

fn namespace_key(value: &Value) -> Option<&'static str> {
    ["namespace", "internalNamespace"].into_iter().find(|key| value.get(key).is_some_and(|value| !value.is_null()))
}

fn declared_by_object(body: &Bytes) -> Result<Landscape, Error> {
    let Entries(entries) = serde_json::from_slice(body).map_err(not_json)?;
    let read = |(name, value): (String, Value)| {
        let role = Role::parse(&name).map_err(Error::text("role"))?;
        declared_alone(role, &value).map_err(Error::of_role(&name))
    };
    Landscape::of(Form::Translations, entries.into_iter().map(read).collect::<Result<_, _>>()?)
}

fn declared_alone(role: Role, value: &Value) -> Result<RoleRoutes, Error> {
    let nothing = Value::Object(serde_json::Map::new());
    // `null` is how programs of the original's language write a value with nothing in it.
    let value = if value.is_null() { &nothing } else { value };
    let fields = Fields::of_part(value, "a JSON object, like {\"receives\":[…],\"sends\":[…]}")?;
    misplaced(&fields, &["namespace", "internalNamespace", TRANSLATIONS_OF_ARRAYS], "translations")?;
    let translation = fields.translation("namespace", "translations")?;
    routes(role, &fields, translation)
}

/// Refuses keys of another form, which would be ignored and leave messages untranslated.
fn misplaced(fields: &Fields<'_>, keys: &[&'static str], instead: &'static str) -> Result<(), Error> {
    let found = keys.iter().find(|key| fields.get(key).is_some());
    found.map_or(Ok(()), |key| Err(Error::Misplaced { key, instead }))
}

/// Reads a declared role that connects to the broker itself.
pub(super) fn routes(role: Role, fields: &Fields<'_>, translation: Translation) -> Result<RoleRoutes, Error> {
    Ok(RoleRoutes {
        role,
        receives: fields.names("receives")?.unwrap_or_default(),
        sends: fields.names("sends")?.unwrap_or_default(),
        translation,
        address: None,
    })
}

fn not_json(error: serde_json::Error) -> Error {
    Error::syntax("JSON", &error)
}

/// Entries of a JSON object as written, duplicate keys included.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Entries;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of roles")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}
