//! `exorelay dead-letters`

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Error;
use super::output::{Output, one_line, print_line, warn};
use super::server::{Api, CALL_TIMEOUT, Server};
use super::table::columns;
use crate::message::path_segment;

/// List, try again or discard the messages that a sidecar could not handle or send
#[derive(Debug, Subcommand)]
pub(super) enum DeadLettersCommand {
    Ls(Ls),
    Show(Show),
    Replay(Replay),
    Discard(Discard),
}

/// List the dead letters, oldest first
#[derive(Debug, Args)]
#[command(after_help = "\
Example: the ids of those of one message
  exorelay dead-letters ls --output json | jq -r 'select(.message.name == \"users.create\").id'")]
pub(super) struct Ls {
    /// Output format; json prints one object per line
    #[arg(long, alias = "format", value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    api: Api,
}

/// Print one dead letter with its message
#[derive(Debug, Args)]
#[command(after_help = "\
Example: the payload of a dead letter
  exorelay dead-letters show 3 --output json | jq .message.payload")]
pub(super) struct Show {
    /// Id of the dead letter
    id: String,
    /// Output format; json prints an object on one line
    #[arg(long, alias = "format", value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    api: Api,
}

/// Handle or send dead letters again; one that fails again is a dead letter again
#[derive(Debug, Args)]
#[command(after_help = "\
Example: after the service has been mended
  exorelay dead-letters replay --all")]
pub(super) struct Replay {
    #[command(flatten)]
    letters: Letters,
}

/// Discard dead letters for good
#[derive(Debug, Args)]
#[command(after_help = "\
Example: two of them
  exorelay dead-letters discard 3 4")]
pub(super) struct Discard {
    #[command(flatten)]
    letters: Letters,
}

/// The dead letters that are meant.
#[derive(Debug, Args)]
struct Letters {
    /// Ids of dead letters
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// All of them
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    api: Api,
}

/// A row of `GET /dead-letters`.
#[derive(Deserialize)]
struct Row {
    id: u64,
    direction: String,
    reason: String,
    at: String,
    message: Option<Box<RawValue>>,
}

/// The parts of a message that the list shows.
#[derive(Default, Deserialize)]
struct Envelope {
    name: Option<String>,
    sender: Option<String>,
}

impl DeadLettersCommand {
    pub(super) async fn run(self) -> Result<(), Error> {
        match self {
            Self::Ls(ls) => ls.run().await,
            Self::Show(show) => show.run().await,
            Self::Replay(Replay { letters }) => letters.each(Method::POST, "/replay", "replayed").await,
            Self::Discard(Discard { letters }) => letters.each(Method::DELETE, "", "discarded").await,
        }
    }
}

impl Ls {
    async fn run(self) -> Result<(), Error> {
        let sidecar = self.api.open(CALL_TIMEOUT)?;
        let rows = list(&sidecar).await?;
        match self.output {
            Output::Json => rows.iter().try_for_each(|row| print_line(&one_line(row.get()))),
            Output::Text if rows.is_empty() => {
                warn(&format!("no dead letters at {}", sidecar.shown()));
                Ok(())
            }
            Output::Text => {
                let rows = rows.iter().map(|row| serde_json::from_str(row.get())).collect::<Result<Vec<Row>, _>>();
                match rows {
                    Ok(rows) => table(&rows).iter().try_for_each(|line| print_line(line)),
                    Err(error) => Err(sidecar.unexpected(error).await),
                }
            }
        }
    }
}

impl Show {
    async fn run(self) -> Result<(), Error> {
        let sidecar = self.api.open(CALL_TIMEOUT)?;
        let body = call(&sidecar, Method::GET, &self.id, "").await?;
        let row: Row = match serde_json::from_slice(&body) {
            Ok(row) => row,
            Err(error) => return Err(sidecar.unexpected(error).await),
        };
        match self.output {
            Output::Json => print_line(&one_line(&String::from_utf8_lossy(&body))),
            Output::Text => described(&row).iter().try_for_each(|line| print_line(line)),
        }
    }
}

impl Letters {
    /// Makes a call for each dead letter, and prints `done` with its id. Errors: the last refusal; the others are warnings.
    async fn each(self, method: Method, action: &str, done: &str) -> Result<(), Error> {
        let sidecar = self.api.open(CALL_TIMEOUT)?;
        let ids = if self.all { ids(&sidecar).await? } else { self.ids };
        let mut failed: Option<Error> = None;
        for id in ids {
            match call(&sidecar, method.clone(), &id, action).await {
                Ok(_) => print_line(&format!("{done} {id}"))?,
                Err(error @ Error::Refused { .. }) => {
                    failed.replace(error).iter().for_each(|error| warn(&error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

async fn ids(sidecar: &Server) -> Result<Vec<String>, Error> {
    let rows = list(sidecar).await?;
    match rows.iter().map(|row| serde_json::from_str::<Row>(row.get())).collect::<Result<Vec<_>, _>>() {
        Ok(rows) => Ok(rows.into_iter().map(|row| row.id.to_string()).collect()),
        Err(error) => Err(sidecar.unexpected(error).await),
    }
}

async fn list(sidecar: &Server) -> Result<Vec<Box<RawValue>>, Error> {
    let answer = sidecar.call(Method::GET, "/dead-letters", HeaderMap::new(), Bytes::new()).await?;
    let answer = sidecar.accepted(answer).await?;
    match serde_json::from_slice(&answer.body) {
        Ok(rows) => Ok(rows),
        Err(error) => Err(sidecar.unexpected(error).await),
    }
}

/// Makes a call about one dead letter and returns the body of the answer.
async fn call(sidecar: &Server, method: Method, id: &str, action: &str) -> Result<Bytes, Error> {
    let path = format!("/dead-letters/{}{action}", path_segment(id));
    let answer = sidecar.call(method, &path, HeaderMap::new(), Bytes::new()).await?;
    Ok(sidecar.accepted(answer).await?.body)
}

fn table(rows: &[Row]) -> Vec<String> {
    let title = ["ID", "SINCE", "DIRECTION", "MESSAGE", "SENDER", "REASON"].map(str::to_owned);
    let dash = |text: Option<String>| text.map_or_else(|| "-".to_owned(), |text| one_line(&text));
    let cells = rows.iter().map(|row| {
        let envelope = row.message.as_ref().and_then(|message| serde_json::from_str(message.get()).ok());
        let Envelope { name, sender } = envelope.unwrap_or_default();
        let (id, at, direction) = (row.id.to_string(), row.at.clone(), row.direction.clone());
        [id, at, direction, dash(name), dash(sender), one_line(&row.reason)]
    });
    columns(&std::iter::once(title).chain(cells).collect::<Vec<_>>())
}

fn described(row: &Row) -> Vec<String> {
    let message = row.message.as_ref().map_or_else(|| "-".to_owned(), |message| one_line(message.get()));
    let parts = [
        ("id", row.id.to_string()),
        ("since", row.at.clone()),
        ("direction", row.direction.clone()),
        ("reason", one_line(&row.reason)),
        ("message", message),
    ];
    columns(&parts.map(|(name, value)| [name.to_owned(), value]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let json = r#"{"id":3,"direction":"incoming","reason":"no\nway","at":"T","message":{"id":"7","name":"a.b","payload":[1,
            2]}}"#;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn each_dead_letter_is_a_line() {
        assert_eq!(
            table(&[row()]),
            ["ID  SINCE  DIRECTION  MESSAGE  SENDER  REASON", "3   T      incoming   a.b      -       no way"]
        );
    }

    #[test]
    fn one_dead_letter_is_shown_with_its_message() {
        let lines = described(&row());
        assert_eq!(lines[..4], ["id         3", "since      T", "direction  incoming", "reason     no way"]);
        assert!(lines[4].starts_with(r#"message    {"id":"7","name":"a.b","payload":[1, "#), "{lines:?}");
    }
}
