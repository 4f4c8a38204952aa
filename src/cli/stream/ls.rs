//! `exorelay stream ls`

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::messages::{Form, Messages};
use super::name::name_of;
use super::server::{Server, ServerOptions, is_true, text_of, with_query};
use crate::cli::Error;
use crate::cli::follow::innermost;
use crate::cli::output::{Output, one_line, print_line};
use crate::cli::server::CALL_TIMEOUT;
use crate::streams::header;

/// The stream in which a server lists its streams.
const REGISTRY: &str = "__registry__";

/// List a server's streams with type, creation time and state; needs a server with a registry
#[derive(Debug, Args)]
#[command(after_help = "\
Examples: all streams; those below chats/, one JSON object per line
  exorelay stream ls
  exorelay stream ls chats/ --output json")]
pub(in crate::cli) struct Ls {
    /// List only names that start with this
    prefix: Option<String>,
    /// Output format; json prints the registry's own rows
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    server: ServerOptions,
}

/// The fields of a registry message that are used here. State protocol, "Change messages".
#[derive(Deserialize)]
struct Change {
    r#type: String,
    key: String,
    value: Option<Box<RawValue>>,
    headers: Operation,
}

#[derive(Deserialize)]
struct Operation {
    operation: String,
}

/// The registry rows of the existing streams, by path.
#[derive(Default)]
struct Rows(BTreeMap<String, Box<RawValue>>);

impl Rows {
    /// Applies a registry message. Control messages and unknown types are skipped.
    fn apply(&mut self, line: &[u8]) {
        let Ok(change) = serde_json::from_slice::<Change>(line) else { return };
        match (change.r#type.as_str(), change.headers.operation.as_str(), change.value) {
            ("stream", "delete", _) => drop(self.0.remove(&change.key)),
            ("stream", "insert" | "update" | "upsert", Some(value)) => drop(self.0.insert(change.key, value)),
            _ => {}
        }
    }
}

impl Ls {
    pub(super) async fn run(self) -> Result<(), Error> {
        let server = self.server.open()?;
        let rows = read(&server).await?;
        let prefix = self.prefix.unwrap_or_default();
        let named = rows.0.iter().map(|(path, row)| (name_of(server.root(), path), &**row));
        let named: Vec<_> = named.filter(|(name, _)| name.starts_with(&prefix)).collect();
        match self.output {
            Output::Json => named.iter().try_for_each(|(_, row)| print_line(&one_line(row.get()))),
            Output::Text => table(&named).iter().try_for_each(|line| print_line(line)),
        }
    }
}

/// Reads the registry to its end. Errors: [`Error::NoRegistry`], those of [`Server::call`].
async fn read(server: &Server) -> Result<Rows, Error> {
    let url = server.url_of(REGISTRY)?;
    let (mut rows, mut offset) = (Rows::default(), "-1".to_owned());
    loop {
        let page = with_query(&url, &[("offset", &offset)])?;
        let called = server.call(|client| client.get(page.clone())).await;
        let mut response = called.map_err(|error| match error {
            Error::StreamRefused { status: 404, .. } => Error::NoRegistry { url: server.root().to_owned() },
            error => error,
        })?;
        let (mut messages, mut lines) = (Messages::of(Form::Messages), Vec::new());
        loop {
            let broken = |cause| Error::StreamCall { url: url.clone(), cause };
            let came = timeout(CALL_TIMEOUT, response.chunk()).await.map_err(|error| broken(error.to_string()))?;
            let Some(bytes) = came.map_err(|error| broken(innermost(&error)))? else { break };
            messages.push(&bytes, &mut lines);
            let whole = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            lines.drain(..whole).as_slice().split(|byte| *byte == b'\n').for_each(|line| rows.apply(line));
        }
        let headers = response.headers();
        let next = text_of(headers, &header::NEXT_OFFSET).filter(|next| *next != offset);
        match next.filter(|_| !is_true(headers, &header::UP_TO_DATE)) {
            Some(next) => offset = next.to_owned(),
            None => return Ok(rows),
        }
    }
}

/// Formats one line per stream, in columns; missing values are a dash.
fn table(rows: &[(String, &RawValue)]) -> Vec<String> {
    let cells: Vec<[String; 4]> = rows
        .iter()
        .map(|(name, row)| {
            let row: Value = serde_json::from_str(row.get()).unwrap_or_default();
            let content_type = row["contentType"].as_str().unwrap_or("-").to_owned();
            let created = row["createdAt"].as_u64().map_or_else(|| "-".to_owned(), instant);
            let state = row["closed"].as_bool().map_or("-", |closed| if closed { "closed" } else { "open" });
            [name.clone(), content_type, created, state.to_owned()]
        })
        .collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (names, types, times) = (width(0), width(1), width(2));
    let line = |[name, content_type, created, state]: &[String; 4]| {
        format!("{name:names$}  {content_type:types$}  {created:times$}  {state}")
    };
    cells.iter().map(line).collect()
}

fn instant(ms: u64) -> String {
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms));
    // RFC 3339 has no years of more than four digits.
    let printable = at.filter(|_| ms < 253_402_300_800_000);
    printable.map_or_else(|| "-".to_owned(), |at| humantime::format_rfc3339_seconds(at).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(messages: &[&str]) -> Vec<String> {
        let mut rows = Rows::default();
        messages.iter().for_each(|message| rows.apply(message.as_bytes()));
        let named: Vec<_> = rows.0.iter().map(|(path, row)| (path.clone(), &**row)).collect();
        table(&named)
    }

    #[test]
    fn created_and_not_deleted_streams_are_listed() {
        let insert = |key: &str, closed: &str| {
            format!(
                r#"{{"type":"stream","key":"{key}","value":{{"path":"{key}","contentType":"text/plain","createdAt":0{closed}}},"headers":{{"operation":"insert"}}}}"#
            )
        };
        let delete = r#"{"type":"stream","key":"b","headers":{"operation":"delete"}}"#;
        let reset = r#"{"headers":{"control":"snapshot-start"}}"#;
        let lines =
            rows(&[&insert("long/a", ",\"closed\":true"), &insert("b", ""), delete, reset, &insert("c", ""), "{"]);
        assert_eq!(
            lines,
            ["c       text/plain  1970-01-01T00:00:00Z  -", "long/a  text/plain  1970-01-01T00:00:00Z  closed"]
        );
    }

    #[test]
    fn rows_with_unexpected_values_are_listed() {
        let odd =
            r#"{"type":"stream","key":"a","value":{"createdAt":99999999999999999},"headers":{"operation":"upsert"}}"#;
        assert_eq!(rows(&[odd]), ["a  -  -  -"]);
    }
}
