//! `exorelay stream close`

use clap::Args;

use super::explain::named;
use super::server::{ServerOptions, text_of};
use crate::cli::Error;
use crate::cli::output::print_line;
use crate::streams::header;

/// Close a stream for good, which ends its followers, and print its end offset
#[derive(Debug, Args)]
#[command(after_help = "\
Example: close the log of a day
  exorelay stream close logs/2026-06-01")]
pub(in crate::cli) struct Close {
    /// The name or URL of the stream
    name: String,
    #[command(flatten)]
    server: ServerOptions,
}

impl Close {
    pub(super) async fn run(self) -> Result<(), Error> {
        let server = self.server.open()?.of(&self.name);
        let url = server.url_of(&self.name)?;
        let closed = server.call(|client| client.post(&url).header(&header::CLOSED, "true"));
        let answer = named(&server, &self.name, closed.await).await?;
        print_line(text_of(answer.headers(), &header::NEXT_OFFSET).unwrap_or_default())
    }
}
