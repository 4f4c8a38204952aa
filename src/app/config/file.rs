//! The configuration file layer.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::given::{Given, Value};
use super::{Error, Origin, tables};

/// Parses the file and returns its values in line order. `name` is the file's name in messages. Errors: all syntax errors.
pub(super) fn read(name: &str, text: &str) -> Result<Vec<Given>, Vec<Error>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors.iter().map(|error| syntax(name, text, error)).collect());
    }
    // The parser with line numbers keeps numbers as text, so the values come from the plain parser.
    let values: toml::Table = text.parse().map_err(|error| vec![syntax(name, text, &error)])?;
    let mut lines = BTreeMap::new();
    collect_lines("", root.get_ref(), text, &mut lines);
    let mut given = Vec::new();
    collect_values("", values, &mut |key, mut value| {
        let line = lines.get(&key).copied().unwrap_or(1);
        if tables::is_list_of_tables(&key) {
            let line_of = |index| lines.get(&format!("{key}[{index}]")).copied().unwrap_or(line);
            tables::locate(&mut value, |index| origin(name, line_of(index)).to_string());
        }
        given.push((line, Given { key, value: Value::Typed(value), origin: origin(name, line) }));
    });
    given.sort_by_key(|(line, _)| *line);
    Ok(given.into_iter().map(|(_, given)| given).collect())
}

fn origin(name: &str, line: usize) -> Origin {
    Origin::File { name: name.to_owned(), line }
}

/// Uses only the parser's message, because its display quotes the line, which may hold a secret.
fn syntax(name: &str, text: &str, error: &toml::de::Error) -> Error {
    let line = error.span().map_or(1, |span| line_at(text, span.start));
    Error::Syntax { origin: origin(name, line), cause: error.message().trim().replace('\n', ", ") }
}

fn collect_lines(prefix: &str, table: &DeTable<'_>, text: &str, lines: &mut BTreeMap<String, usize>) {
    for (key, value) in table {
        let path = join(prefix, key.get_ref());
        lines.insert(path.clone(), line_at(text, Spanned::span(key).start));
        match value.get_ref() {
            DeValue::Table(inner) => collect_lines(&path, inner, text, lines),
            DeValue::Array(items) => {
                let line = |item: &Spanned<DeValue<'_>>| line_at(text, item.span().start);
                lines.extend(items.iter().enumerate().map(|(index, item)| (format!("{path}[{index}]"), line(item))));
            }
            _ => {}
        }
    }
}

/// Calls `found` for each value, at most two levels deep like sections and keys, and for each empty section, so that an
/// unknown section is an error even if it is empty.
fn collect_values(prefix: &str, table: toml::Table, found: &mut impl FnMut(String, toml::Value)) {
    for (key, value) in table {
        let path = join(prefix, &key);
        match value {
            toml::Value::Table(inner) if prefix.is_empty() && !inner.is_empty() => {
                collect_values(&path, inner, found);
            }
            value => found(path, value),
        }
    }
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

fn line_at(text: &str, position: usize) -> usize {
    1 + text.as_bytes().iter().take(position).filter(|byte| **byte == b'\n').count()
}
