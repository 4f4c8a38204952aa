//! Merges the layers and checks each of their values.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Table, Value};

use super::check::check;
use super::given::{self, Given};
use super::hide::hide;
use super::{Config, Error, Origin, tables};
use crate::message::nearest;

/// Lists that a file may give as the text of their only item, as it had to before they were lists.
const ONE_OR_LIST: [&str; 1] = ["webhook.secret"];

/// The current value of a key and its origin.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// The values of all keys, such as `bus.url`, merged so far.
pub(super) struct Merge {
    leaves: BTreeMap<String, Leaf>,
    errors: Vec<Error>,
}

impl Merge {
    /// Starts with the built-in defaults.
    pub(super) fn of_defaults() -> Self {
        let leaf = |(key, value)| (key, Leaf { value, origin: Origin::Default });
        Self { leaves: defaults().into_iter().map(leaf).collect(), errors: Vec::new() }
    }

    /// Overrides a value. An invalid one is recorded and skipped, so that all errors are reported together.
    pub(super) fn apply(&mut self, given: Given) {
        let Given { key, value, origin } = given;
        let Some(leaf) = self.leaves.get_mut(&key) else {
            self.errors.extend(self.misplaced(key, &value, origin));
            return;
        };
        if tables::is_list_of_tables(&key) {
            match tables::convert(&key, value, &origin) {
                Ok(value) => *leaf = Leaf { value, origin },
                Err(errors) => self.errors.extend(errors),
            }
            return;
        }
        match convert(&key, &leaf.value, value.clone()) {
            Ok(value) => *leaf = Leaf { value, origin },
            Err(cause) => self.errors.push(wrong_value(key, &value, origin, cause)),
        }
    }

    /// Records errors.
    pub(super) fn add_errors(&mut self, errors: impl IntoIterator<Item = Error>) {
        self.errors.extend(errors);
    }

    pub(super) fn leaf(&self, key: &str) -> &Leaf {
        self.leaves.get(key).expect("callers ask for keys of Config")
    }

    pub(super) fn leaves(&self) -> &BTreeMap<String, Leaf> {
        &self.leaves
    }

    /// Returns the configuration, the leaves it is made of, and all errors.
    pub(super) fn finish(self) -> (Config, BTreeMap<String, Leaf>, Vec<Error>) {
        let values = self.leaves.iter().map(|(key, leaf)| (key.as_str(), leaf.value.clone()));
        let config = Config::deserialize(nest(values)).expect("each value was read into a Config on its own");
        (config, self.leaves, self.errors)
    }

    /// Returns the error for a key that is not a leaf; `None` if it is an empty section.
    fn misplaced(&self, key: String, value: &given::Value, origin: Origin) -> Option<Error> {
        let section = format!("{key}.");
        let inside: Vec<&str> = self.leaves.keys().filter_map(|leaf| leaf.strip_prefix(&section)).collect();
        if inside.is_empty() {
            return Some(Error::UnknownKey { hint: self.hint(&key), key, origin });
        }
        match value {
            given::Value::Typed(Value::Table(table)) if table.is_empty() => None,
            _ => {
                let cause = format!("expected a section with the keys {}", inside.join(", "));
                Some(wrong_value(key, value, origin, cause))
            }
        }
    }

    fn hint(&self, key: &str) -> String {
        let mut sections: Vec<&str> = self.leaves.keys().filter_map(|leaf| leaf.split('.').next()).collect();
        sections.dedup();
        let known = self.leaves.keys().map(String::as_str);
        if let Some(meant) = nearest(key, known.chain(sections.iter().copied())) {
            return format!("did you mean {meant}?");
        }
        let last = key.rsplit('.').next().unwrap_or(key);
        let elsewhere = self.leaves.keys().find(|leaf| leaf.rsplit('.').next() == Some(last));
        if let Some(meant) = elsewhere {
            return format!("did you mean {meant}?");
        }
        let section = key.split('.').next().unwrap_or(key);
        let siblings: Vec<&str> =
            self.leaves.keys().filter_map(|leaf| leaf.strip_prefix(section)?.strip_prefix('.')).collect();
        if siblings.is_empty() {
            return format!("the sections are {}", sections.join(", "));
        }
        format!("[{section}] has {}", siblings.join(", "))
    }
}

/// Returns the defaults of all keys.
pub(super) fn defaults() -> BTreeMap<String, Value> {
    let table = Table::try_from(Config::default()).expect("the defaults are strings, numbers, booleans and lists");
    let mut leaves = BTreeMap::new();
    flatten("", table, &mut leaves);
    leaves
}

fn flatten(prefix: &str, table: Table, leaves: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        match value {
            Value::Table(inner) => flatten(&format!("{prefix}{key}."), inner, leaves),
            value => drop(leaves.insert(format!("{prefix}{key}"), value)),
        }
    }
}

/// Reverses [`flatten`], for keys made of a section and a name.
fn nest<'a>(values: impl Iterator<Item = (&'a str, Value)>) -> Table {
    let mut root = Table::new();
    for (key, value) in values {
        let (section, name) = key.split_once('.').expect("every key of Config is in a section");
        let section = root.entry(section).or_insert_with(|| Value::Table(Table::new()));
        section.as_table_mut().expect("only sections are at the root").insert(name.to_owned(), value);
    }
    root
}

/// Converts a value to the type of `current` and checks it. Errors: the cause, without the value.
fn convert(key: &str, current: &Value, value: given::Value) -> Result<Value, String> {
    let value = match value {
        given::Value::Text(text) => typed(key, current, text)?,
        given::Value::Typed(Value::String(text)) if ONE_OR_LIST.contains(&key) => one(text),
        given::Value::Typed(value) if value.same_type(current) && strings_only(&value) => value,
        given::Value::Typed(_) => return Err(format!("expected {}", expected_type(key, current))),
    };
    let value = complete(key, value);
    check(key, &value)?;
    Config::deserialize(nest(std::iter::once((key, value.clone())))).map_err(|error| expected_of(error.message()))?;
    Ok(value)
}

/// Returns the part of serde's message with the expectation; the rest quotes the value.
fn expected_of(message: &str) -> String {
    let message = message.trim();
    message.rfind(", expected ").map_or(message, |position| &message[position + 2..]).to_owned()
}

/// Returns the list for a text that stands for a list of one, or of none if it is empty.
fn one(text: String) -> Value {
    Value::Array(Some(text).filter(|text| !text.is_empty()).map(Value::String).into_iter().collect())
}

fn strings_only(value: &Value) -> bool {
    value.as_array().is_none_or(|items| items.iter().all(Value::is_str))
}

fn typed(key: &str, current: &Value, text: String) -> Result<Value, String> {
    let value = match current {
        Value::Integer(_) => number(key, text.trim()).map(Value::Integer),
        Value::Boolean(_) => text.trim().parse().ok().map(Value::Boolean),
        Value::Array(_) => list(&text),
        Value::String(_) | Value::Float(_) | Value::Datetime(_) | Value::Table(_) => return Ok(Value::String(text)),
    };
    value.ok_or_else(|| match current {
        Value::Array(_) => "expected names separated by commas, or a TOML list such as [\"a\", \"b\"]".to_owned(),
        _ if key.ends_with("_ms") => "expected milliseconds, or a duration such as 30s".to_owned(),
        _ => format!("expected {}", expected_type(key, current)),
    })
}

fn number(key: &str, text: &str) -> Option<i64> {
    let digits = text.replace('_', "");
    if let Ok(number) = digits.parse() {
        return Some(number);
    }
    let duration = humantime::parse_duration(text).ok().filter(|_| key.ends_with("_ms"))?;
    i64::try_from(duration.as_millis()).ok()
}

fn list(text: &str) -> Option<Value> {
    if text.trim_start().starts_with('[') {
        let table: Table = format!("list = {text}").parse().ok()?;
        return table.get("list").filter(|list| list.is_array() && strings_only(list) && table.len() == 1).cloned();
    }
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
}

/// Adds to a bare port, such as `4000` or `:4000`, what it leaves out: the loopback host, which every address has by default,
/// and the scheme of a URL.
fn complete(key: &str, value: Value) -> Value {
    let scheme = match key {
        "bus.url" | "webhook.forward" => "http://",
        key if key.ends_with(".address") => "",
        _ => return value,
    };
    let port = value.as_str().map(|text| text.strip_prefix(':').unwrap_or(text));
    match port.filter(|port| port.parse::<u16>().is_ok() && !port.starts_with('+')) {
        Some(port) => Value::String(format!("{scheme}127.0.0.1:{port}")),
        None => value,
    }
}

fn expected_type(key: &str, current: &Value) -> &'static str {
    match current {
        Value::String(_) => "a string in quotes",
        Value::Integer(_) if key.ends_with("_ms") => "a whole number of milliseconds",
        Value::Integer(_) => "a whole number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list of strings",
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => "a type that no key has",
    }
}

fn wrong_value(key: String, value: &given::Value, origin: Origin, cause: String) -> Error {
    let got = match value {
        given::Value::Text(text) => hide(&key, &Value::String(text.clone())),
        given::Value::Typed(value) => hide(&key, value),
    };
    Error::WrongValue { key, origin, got: got.to_string(), cause }
}
