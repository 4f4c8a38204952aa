//! The landscape that `POST /services` brings. exo 2.3.

use std::collections::HashSet;

use bytes::Bytes;
use serde_json::Value;

use super::announcement::Address;
use super::fields::Fields;
use super::translation::Translation;
use crate::broker::Error;
use crate::message::{MessageName, PayloadError, Role};

/// All services there are, as somebody configured them. Replaces the landscape before it as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landscape {
    /// Which form it was written in, which is also the form it is shown in.
    pub form: Form,
    /// One entry per role; no role twice.
    pub roles: Vec<RoleRoutes>,
}

/// The forms of a landscape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// An array of services that are reached over HTTP; what they send is told, not enforced. exo 2.3.
    #[default]
    Http,
    /// Roles with namespaces. exo 3.8.
    Namespaces,
    /// Roles with `messageTranslations`. exo 3.7.
    MessageTranslations,
    /// Roles with `translations`: ours, and the last of the originals'. exo 3.7.
    Translations,
}

/// One role of the landscape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRoutes {
    /// Who it is.
    pub role: Role,
    /// The messages it wants, in its own language.
    pub receives: Vec<MessageName>,
    /// The messages it sends, in its own language. Others are refused, except in [`Form::Http`].
    pub sends: Vec<MessageName>,
    /// How its language relates to everybody else's.
    pub translation: Translation,
    /// Where it is reached over HTTP; `None` for a service that connects by itself.
    pub address: Option<Address>,
}

impl Landscape {
    /// Reads the body of `POST /services` in the form of the HTTP era: an array of services with unique names. Keys
    /// that are not ours are ignored. Errors: those that name the place and the field; then nothing of it counts.
    pub fn from_json(body: &Bytes) -> Result<Self, Error> {
        let value: Value = serde_json::from_slice(body).map_err(PayloadError::not_json)?;
        let list = value.as_array().ok_or(Error::Body { expected: "a JSON array of services" })?;
        let mut names = HashSet::new();
        let mut roles = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            let service = read(value).map_err(|source| Error::Service { index, source: Box::new(source) })?;
            if !names.insert(service.role.clone()) {
                return Err(Error::NameTwice { index, name: service.role });
            }
            roles.push(service);
        }
        Ok(Self { form: Form::Http, roles })
    }
}

fn read(value: &Value) -> Result<RoleRoutes, Error> {
    let expected = "a JSON object, like {\"name\":\"users\",\"port\":4000,\"receives\":[…]}";
    let fields = Fields::of(value, expected)?;
    let receives = fields.names("receives")?;
    Ok(RoleRoutes {
        role: fields.role("name")?,
        address: Some(Address::new(fields.text("host")?.unwrap_or("localhost"), fields.port("port")?)?),
        translation: fields.text("internalNamespace")?.map(str::to_owned).into(),
        sends: fields.names("sends")?.unwrap_or_default(),
        receives: receives.ok_or(Error::Field { field: "receives", expected: "an array of message names" })?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(body: &str) -> Result<Vec<RoleRoutes>, Error> {
        Landscape::from_json(&Bytes::from(body.to_owned())).map(|landscape| landscape.roles)
    }

    fn check_refused(body: &str, expected: &str) {
        assert_eq!(parse(body).unwrap_err().to_string(), expected, "{body}");
    }

    #[test]
    fn a_body_that_is_no_array_is_refused() {
        for body in ["{}", "5", "null", "\"users\""] {
            check_refused(body, "the body must be a JSON array of services");
        }
    }

    #[test]
    fn a_complaint_names_place_and_field() {
        let good = r#"{"name":"web","port":1,"receives":[]}"#;
        check_refused(&format!("[{good},{{\"port\":1}}]"), "service 1: \"name\" must be a string that is not empty");
        check_refused(r#"[{"name":"a","receives":[]}]"#, "service 0: \"port\" must be a number from 1 to 65535");
        check_refused(r#"[{"name":"a","port":1}]"#, "service 0: \"receives\" must be an array of message names");
        check_refused(&format!("[{good},{good}]"), "service 1: \"name\" must be unique, \"web\" stands there twice");
    }

    #[test]
    fn the_host_is_localhost_unless_told_and_other_keys_are_ignored() {
        let services =
            parse(r#"[{"name":"a","port":1,"receives":["x"],"color":"red","internalNamespace":""}]"#).unwrap();
        assert_eq!(services[0].address.as_ref().unwrap().to_string(), "localhost:1");
        assert_eq!(services[0].translation, Translation::None);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(body in ".{0,200}") {
            drop(parse(&body));
        }
    }
}
