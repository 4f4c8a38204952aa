//! The landscape that `POST /services` brings. exo 2.3.

use std::collections::HashSet;

use bytes::Bytes;
use serde_json::Value;

use super::announcement::Address;
use super::fields::Fields;
use crate::broker::Error;
use crate::message::{MessageName, PayloadError, Role};

/// One service of the landscape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name, which is its role.
    pub name: Role,
    /// Where it listens; the host is `localhost` unless told otherwise.
    pub address: Address,
    /// The prefix it uses for its own messages.
    pub namespace: Option<String>,
    /// The messages it sends.
    pub sends: Vec<MessageName>,
    /// The messages it wants, in its own language.
    pub receives: Vec<MessageName>,
}

/// Reads the body of `POST /services`: an array of services with unique names. Keys that are not ours are ignored.
/// Errors: those that name the place and the field; then nothing of it counts.
pub fn landscape_from_json(body: &Bytes) -> Result<Vec<Service>, Error> {
    let value: Value = serde_json::from_slice(body).map_err(PayloadError::not_json)?;
    let list = value.as_array().ok_or(Error::Body { expected: "a JSON array of services" })?;
    let mut names = HashSet::new();
    let mut services = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let service = read(value).map_err(|source| Error::Service { index, source: Box::new(source) })?;
        if !names.insert(service.name.clone()) {
            return Err(Error::NameTwice { index, name: service.name });
        }
        services.push(service);
    }
    Ok(services)
}

fn read(value: &Value) -> Result<Service, Error> {
    let expected = "a JSON object, like {\"name\":\"users\",\"port\":4000,\"receives\":[…]}";
    let fields = Fields::of(value, expected)?;
    let receives = fields.names("receives")?;
    Ok(Service {
        name: fields.role("name")?,
        address: Address::new(fields.text("host")?.unwrap_or("localhost"), fields.port("port")?)?,
        namespace: fields.text("internalNamespace")?.map(str::to_owned),
        sends: fields.names("sends")?.unwrap_or_default(),
        receives: receives.ok_or(Error::Field { field: "receives", expected: "an array of message names" })?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(body: &str) -> Result<Vec<Service>, Error> {
        landscape_from_json(&Bytes::from(body.to_owned()))
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
        assert_eq!(services[0].address.to_string(), "localhost:1");
        assert_eq!(services[0].namespace, None);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(body in ".{0,200}") {
            drop(parse(&body));
        }
    }
}
