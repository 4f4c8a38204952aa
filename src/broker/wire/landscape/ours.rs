//! Our own `landscape.toml`: one table per role. Strict, so that a typo cannot lose messages.
//!
//! ```toml
//! [services.tweets]
//! receives = ["text-snippets create"]
//! sends = ["text-snippets created"]
//! translations = [
//!   { public = "tweets create", internal = "text-snippets create" },
//!   { public = "tweets created", internal = "text-snippets created" },
//! ]
//!
//! [services.users]
//! receives = ["mongo.create"]
//! namespace = "mongo"
//! address = "localhost:5002"   # only for services of the HTTP era; others connect to the broker
//! ```

use serde_json::Value;

use super::json::routes;
use super::{Form, Landscape, RoleRoutes};
use crate::broker::Error;
use crate::broker::wire::announcement::Address;
use crate::broker::wire::fields::Fields;
use crate::message::{Role, nearest};

/// Keys of a role.
const KEYS: [&str; 5] = ["receives", "sends", "namespace", "translations", "address"];

/// The only top-level key.
const SERVICES: &str = "services";

impl Landscape {
    /// Parses our own form. Errors: [`Error::Syntax`] with the line, [`Error::UnknownKey`] with the nearest known
    /// key, and
    /// errors that name role and field.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let table: toml::Table = text.parse().map_err(|error| syntax(text, &error))?;
        let file: Value = serde_json::to_value(table).map_err(|error| Error::syntax("TOML", &error))?;
        let file = Fields::of_part(&file, "a table")?;
        check_keys("", &file, &[SERVICES])?;
        let expected = "there, with a table for each role: [services.users]";
        let services = file.get(SERVICES).ok_or(Error::Field { field: SERVICES, expected })?;
        let services = services.as_object().ok_or(Error::Field { field: SERVICES, expected })?;
        let read = |(name, value): (&String, &Value)| service(name, value);
        Self::of(Form::Translations, services.iter().map(read).collect::<Result<_, _>>()?)
    }
}

fn service(name: &str, value: &Value) -> Result<RoleRoutes, Error> {
    let role = Role::parse(name).map_err(Error::text("role"))?;
    let read = || {
        let fields = Fields::of_part(value, "a table, with receives and sends")?;
        check_keys(&format!("{SERVICES}.{name}."), &fields, &KEYS)?;
        let translation = fields.translation("namespace", "translations")?;
        let address = fields.text("address")?.map(address).transpose()?;
        Ok(RoleRoutes { address, ..routes(role, &fields, translation)? })
    };
    read().map_err(Error::of_role(name))
}

fn address(text: &str) -> Result<Address, Error> {
    let wrong = || Error::Field { field: "address", expected: "HOST:PORT, such as localhost:5002" };
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    Address::new(host, port).map_err(|_| wrong())
}

fn check_keys(prefix: &str, fields: &Fields<'_>, known: &[&'static str]) -> Result<(), Error> {
    let Some(key) = fields.keys().find(|key| !known.contains(key)) else { return Ok(()) };
    let hint = match nearest(key, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("there is {}", known.join(", ")),
    };
    Err(Error::UnknownKey { key: format!("{prefix}{key}"), hint })
}

/// Converts a parser error to its message and line number; its own display spans several lines.
fn syntax(text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map_or(0, |span| span.start);
    let line = 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
    Error::syntax("TOML", &format!("line {line}: {}", error.message()))
}
