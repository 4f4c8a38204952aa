//! `exorelay stream read`

use clap::Args;

use super::pages::read_page;
use super::printer::Printer;
use super::progress::Progress;
use super::server::ServerOptions;
use crate::cli::Error;

/// Print the content of a stream up to its current end
#[derive(Debug, Args)]
#[command(after_help = "\
Examples: pick a field of each message; copy a binary stream
  exorelay stream read orders | jq .id
  exorelay stream read backups/monday > monday.tar

Each message of a JSON stream is printed on one line; other content is printed unchanged.")]
pub(in crate::cli) struct Read {
    /// The name or URL of the stream
    name: String,
    /// Start offset: -1 for the beginning, or an offset from the server
    #[arg(long, value_name = "OFFSET", default_value = "-1", allow_hyphen_values = true)]
    offset: String,
    #[command(flatten)]
    server: ServerOptions,
}

impl Read {
    pub(super) async fn run(self) -> Result<(), Error> {
        let server = self.server.open()?;
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
