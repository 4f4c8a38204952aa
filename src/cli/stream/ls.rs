//! `exorelay stream ls`

use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::Value;
use serde_json::value::RawValue;

use super::explain::explained;
use super::name::name_of;
use super::registry;
use super::server::ServerOptions;
use crate::cli::Error;
use crate::cli::output::{Output, one_line, print_line};
use crate::cli::table::columns;

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

impl Ls {
    pub(super) async fn run(self) -> Result<(), Error> {
        let server = self.server.open()?;
        let rows = explained(&server, server.root(), registry::read(&server).await).await?;
        let prefix = self.prefix.unwrap_or_default();
        let named = rows.0.iter().map(|(path, row)| (name_of(server.root(), path), &**row));
        let named: Vec<_> = named.filter(|(name, _)| name.starts_with(&prefix)).collect();
        match self.output {
            Output::Json => named.iter().try_for_each(|(_, row)| print_line(&one_line(row.get()))),
            Output::Text => table(&named).iter().try_for_each(|line| print_line(line)),
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
    columns(&cells)
}

fn instant(ms: u64) -> String {
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms));
    // RFC 3339 has no years of more than four digits.
    let printable = at.filter(|_| ms < 253_402_300_800_000);
    printable.map_or_else(|| "-".to_owned(), |at| humantime::format_rfc3339_seconds(at).to_string())
}

#[cfg(test)]
mod tests {
    use super::registry::Rows;
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
