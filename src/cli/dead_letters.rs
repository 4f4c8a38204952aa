//! `exorelay dead-letters`

use axum::http::header::LINK;
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
        let (mut rows, mut pages) = (Vec::new(), Pages::new());
        while let Some(page) = pages.next(&sidecar).await? {
            match self.output {
                Output::Json => page.iter().try_for_each(|row| print_line(&one_line(row.get())))?,
                Output::Text => rows.append(&mut cells(&sidecar, &page).await?),
            }
        }
        match self.output {
            Output::Json => Ok(()),
            Output::Text if rows.is_empty() => {
                warn(&format!("no dead letters at {}", sidecar.shown()));
                Ok(())
            }
            Output::Text => table(rows).iter().try_for_each(|line| print_line(line)),
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
    let (mut ids, mut pages) = (Vec::new(), Pages::new());
    while let Some(page) = pages.next(sidecar).await? {
        ids.extend(read(sidecar, &page).await?.into_iter().map(|row| row.id.to_string()));
    }
    Ok(ids)
}

/// The pages of the list, one after the other.
struct Pages {
    /// The path of the next one.
    next: Option<String>,
}

impl Pages {
    fn new() -> Self {
        Self { next: Some("/dead-letters".to_owned()) }
    }

    /// Returns the rows of the next page; `None` after the last one.
    async fn next(&mut self, sidecar: &Server) -> Result<Option<Vec<Box<RawValue>>>, Error> {
        let Some(path) = self.next.take() else { return Ok(None) };
        let answer = sidecar.call(Method::GET, &path, HeaderMap::new(), Bytes::new()).await?;
        let answer = sidecar.accepted(answer).await?;
        self.next = next_of(&answer.headers);
        match serde_json::from_slice(&answer.body) {
            Ok(rows) => Ok(Some(rows)),
            Err(error) => Err(sidecar.unexpected(error).await),
        }
    }
}

/// Returns the path of the next page. RFC 8288.
fn next_of(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (path, relation) = link.strip_prefix('<')?.split_once('>')?;
    let is_next = relation.replace(' ', "") == ";rel=\"next\"" && path.starts_with("/dead-letters?");
    is_next.then(|| path.to_owned())
}

async fn read(sidecar: &Server, page: &[Box<RawValue>]) -> Result<Vec<Row>, Error> {
    match page.iter().map(|row| serde_json::from_str(row.get())).collect() {
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

/// The cells of one line of the table.
type Cells = [String; 6];

/// Returns the lines of a page, without the messages.
async fn cells(sidecar: &Server, page: &[Box<RawValue>]) -> Result<Vec<Cells>, Error> {
    Ok(read(sidecar, page).await?.into_iter().map(cells_of).collect())
}

fn cells_of(row: Row) -> Cells {
    let dash = |text: Option<String>| text.map_or_else(|| "-".to_owned(), |text| one_line(&text));
    let envelope = row.message.and_then(|message| serde_json::from_str(message.get()).ok());
    let Envelope { name, sender } = envelope.unwrap_or_default();
    [row.id.to_string(), row.at, row.direction, dash(name), dash(sender), one_line(&row.reason)]
}

fn table(rows: Vec<Cells>) -> Vec<String> {
    let title = ["ID", "SINCE", "DIRECTION", "MESSAGE", "SENDER", "REASON"].map(str::to_owned);
    columns(&std::iter::once(title).chain(rows).collect::<Vec<_>>())
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
            table(vec![cells_of(row())]),
            ["ID  SINCE  DIRECTION  MESSAGE  SENDER  REASON", "3   T      incoming   a.b      -       no way"]
        );
    }

    #[test]
    fn the_next_page_is_the_one_that_the_sidecar_names() {
        let next = |link: &'static str| next_of(&HeaderMap::from_iter([(LINK, link.parse().unwrap())]));
        assert_eq!(next("</dead-letters?limit=2&after=7>; rel=\"next\""), Some("/dead-letters?limit=2&after=7".into()));
        for other in ["</dead-letters?after=7>; rel=\"prev\"", "<http://other/dead-letters?after=7>; rel=\"next\"", ""]
        {
            assert_eq!(next(other), None, "{other}");
        }
        assert_eq!(next_of(&HeaderMap::new()), None);
    }

    #[test]
    fn one_dead_letter_is_shown_with_its_message() {
        let lines = described(&row());
        assert_eq!(lines[..4], ["id         3", "since      T", "direction  incoming", "reason     no way"]);
        assert!(lines[4].starts_with(r#"message    {"id":"7","name":"a.b","payload":[1, "#), "{lines:?}");
    }
}
