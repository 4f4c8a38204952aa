//! `exorelay stream append`

use axum::http::header::CONTENT_TYPE;
use clap::Args;
use uuid::Uuid;

use super::batches::Batches;
use super::explain::named;
use super::import::{Import, Pace, Producer};
use super::input::{Content, Input};
use super::messages::Form;
use super::server::{Server, ServerOptions, text_of};
use crate::cli::Error;
use crate::cli::output::{print_line, warn};

/// Append to a stream and print the new end offset
#[derive(Debug, Args)]
#[command(after_help = "\
Examples: one message; a binary file; lines of JSON, safe to run again
  exorelay stream append orders '{\"id\":1}'
  exorelay stream append backups/monday - < monday.tar
  exorelay stream append orders --lines --file orders.jsonl --producer-id import-7

Without CONTENT and --file it reads stdin. Retries never append twice. More than 1 MiB of bytes is sent as several appends.")]
pub(in crate::cli) struct Append {
    /// The name or URL of the stream
    name: String,
    #[command(flatten)]
    content: Content,
    /// Append each line as one record, many per request; in a JSON stream each line is a message
    #[arg(long)]
    lines: bool,
    /// Producer id; the same input with the same id is appended only once [default: a new id each time]
    #[arg(long, value_name = "ID", help_heading = "Producer")]
    producer_id: Option<String>,
    /// Producer epoch; the server refuses lower epochs from then on
    #[arg(long, value_name = "N", help_heading = "Producer", default_value_t = 0, requires = "producer_id")]
    epoch: u64,
    #[command(flatten)]
    server: ServerOptions,
}

impl Append {
    pub(super) async fn run(self) -> Result<(), Error> {
        let (server, name) = (self.server.open()?.of(&self.name), self.name.clone());
        named(&server, &name, self.append(&server).await).await
    }

    async fn append(self, server: &Server) -> Result<(), Error> {
        let url = server.url_of(&self.name)?;
        let pace = if self.producer_id.is_some() { Pace::Repeatable } else { Pace::Prompt };
        let id = self.producer_id.unwrap_or_else(|| format!("exorelay-{}", Uuid::now_v7()));
        let input = self.content.open()?.unwrap_or_else(Input::stdin);
        let head = server.call(|client| client.head(&url)).await?;
        let content_type = text_of(head.headers(), &CONTENT_TYPE).unwrap_or("application/octet-stream");
        let form = Form::of(content_type);
        let producer = Producer { id, epoch: self.epoch };
        let mut import = Import::new(server, &url, content_type, producer, input.bytes());
        match (self.lines, form) {
            (true, form) => import.lines(input.chunks(), Batches::of(form), pace).await?,
            (false, Form::Messages) => import.one(input.json()?).await?,
            (false, Form::Bytes) => import.bytes(input.chunks()).await?,
        }
        if import.repeated > 0 {
            warn(&format!("{} of {} appends had already been made", import.repeated, import.appends()));
        }
        match import.next.as_deref() {
            Some(next) => print_line(next),
            // An empty file is a valid import.
            None if self.lines || import.appends() > 0 => Ok(()),
            None => Err(Error::NothingToAppend),
        }
    }
}
