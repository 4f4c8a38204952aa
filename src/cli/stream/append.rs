//! `exorelay stream append`

use axum::http::header::CONTENT_TYPE;
use clap::Args;
use uuid::Uuid;

use super::batches::Batches;
use super::import::{Import, Pace, Producer};
use super::input::{Content, Input};
use super::messages::Form;
use super::server::{At, text_of};
use crate::cli::Error;
use crate::cli::output::{print_line, warn};

/// Append to a stream, and print where it ends then
#[derive(Debug, Args)]
#[command(after_help = "\
Examples: one message; a file of bytes; a million lines of JSON, in a way that can be repeated
  exorelay stream append orders '{\"id\":1}'
  exorelay stream append backups/monday - < monday.tar
  exorelay stream append orders --lines --from orders.jsonl --producer-id import-7

Whatever has to be sent again counts once. More than a megabyte of bytes is several appends, one after the other.")]
pub(in crate::cli) struct Append {
    /// The stream: its name, or its URL
    name: String,
    #[command(flatten)]
    content: Content,
    /// Make one record of each line, many in one append; in a JSON stream each line is a message
    #[arg(long)]
    lines: bool,
    /// Who appends; the same input again under the same id counts once [default: a new id each time]
    #[arg(long, value_name = "ID", help_heading = "Producer")]
    producer_id: Option<String>,
    /// Which life of that producer it is; one with a lower number is refused from then on
    #[arg(long, value_name = "N", help_heading = "Producer", default_value_t = 0, requires = "producer_id")]
    epoch: u64,
    #[command(flatten)]
    at: At,
}

impl Append {
    pub(super) async fn run(self) -> Result<(), Error> {
        let server = self.at.server()?;
        let url = server.url_of(&self.name)?;
        let pace = if self.producer_id.is_some() { Pace::Repeatable } else { Pace::AsTheyCome };
        let id = self.producer_id.unwrap_or_else(|| format!("exorelay-{}", Uuid::now_v7()));
        let input = self.content.open()?.unwrap_or_else(Input::stdin);
        let head = server.call(|client| client.head(&url)).await?;
        let content_type = text_of(head.headers(), &CONTENT_TYPE).unwrap_or("application/octet-stream");
        let form = Form::of(content_type);
        let mut import = Import::new(&server, &url, content_type, Producer { id, epoch: self.epoch });
        match (self.lines, form) {
            (true, form) => import.lines(input.pieces(), Batches::of(form), pace).await?,
            (false, Form::Messages) => import.one(input.json()?).await?,
            (false, Form::Bytes) => import.bytes(input.pieces()).await?,
        }
        if import.repeated > 0 {
            warn(&format!("{} of {} appends had been made before", import.repeated, import.appends()));
        }
        match import.next.as_deref() {
            Some(next) => print_line(next),
            // A file without lines is one that is imported.
            None if self.lines || import.appends() > 0 => Ok(()),
            None => Err(Error::NothingToAppend),
        }
    }
}
