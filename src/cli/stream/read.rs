//! `exorelay stream read`

use clap::Args;

use super::pages::read_page;
use super::printer::Printer;
use super::progress::Progress;
use super::server::At;
use crate::cli::Error;

/// Print what a stream holds, up to its end as it is now
#[derive(Debug, Args)]
#[command(after_help = "\
Examples: take the messages of a JSON stream apart; copy a stream of bytes
  exorelay stream read orders | jq .id
  exorelay stream read backups/monday > monday.tar

Each message of a JSON stream is one line; anything else is printed as it is.")]
pub(in crate::cli) struct Read {
    /// The stream: its name, or its URL
    name: String,
    /// Where to begin: -1 is the start, else an offset that the server gave out
    #[arg(long, value_name = "OFFSET", default_value = "-1", allow_hyphen_values = true)]
    offset: String,
    #[command(flatten)]
    at: At,
}

impl Read {
    pub(super) async fn run(self) -> Result<(), Error> {
        let server = self.at.server()?;
        let url = server.url_of(&self.name)?;
        let (mut printer, mut offset) = (Printer::new(Progress::start()), self.offset);
        loop {
            let page = read_page(&server, &url, &[("offset", &offset)], &mut printer).await?;
            let next = page.next.filter(|next| *next != offset);
            match next {
                Some(next) if !page.up_to_date && !page.closed => offset = next,
                Some(_) | None => return printer.end(),
            }
        }
    }
}
