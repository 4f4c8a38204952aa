//! `exorelay stream read`

use clap::Args;

use super::explain::named;
use super::pages::read_page;
use super::position::Position;
use super::printer::Printer;
use super::progress::Progress;
use super::server::{Server, ServerOptions};
use crate::cli::Error;

/// Print the content of a stream up to its current end
#[derive(Debug, Args)]
#[command(after_help = "\
Examples: pick a field of each message; copy a binary stream
  exorelay stream read orders | jq .id
  exorelay stream read backups/monday > monday.tar

Each message of a JSON stream is printed on one line; other content is printed unchanged. To go on later where a read ended:
  offset=$(exorelay stream read orders --print-offset 2>&1 >orders.jsonl | tail -n 1)
  exorelay stream read orders --from \"$offset\" >>orders.jsonl")]
pub(in crate::cli) struct Read {
    /// The name or URL of the stream
    name: String,
    #[command(flatten)]
    position: Position,
    #[command(flatten)]
    server: ServerOptions,
}

impl Read {
    pub(super) async fn run(self) -> Result<(), Error> {
        let server = self.server.open_for_content()?.of(&self.name);
        let end = named(&server, &self.name, self.read(&server).await).await?;
        self.position.print(&end);
        Ok(())
    }

    /// Prints the content and returns its end offset.
    async fn read(&self, server: &Server) -> Result<String, Error> {
        let url = server.url_of(&self.name)?;
        let (mut printer, mut offset) = (Printer::new(Progress::start(None)), self.position.offset().to_owned());
        loop {
            let page = match read_page(server, &url, &[("offset", &offset)], &mut printer).await {
                Ok(page) => page,
                Err(error) => {
                    printer.end()?;
                    return Err(error);
                }
            };
            let Some(next) = page.next.filter(|next| *next != offset) else { break };
            offset = next;
            if page.up_to_date || page.closed {
                break;
            }
        }
        printer.end()?;
        Ok(offset)
    }
}
