//! `exorelay stream close`

use clap::Args;

use super::server::{At, text_of};
use crate::cli::Error;
use crate::cli::output::print_line;
use crate::streams::header;

/// Close a stream for good: who follows it comes to its end; prints where that is
#[derive(Debug, Args)]
#[command(after_help = "\
Example: the day is over
  exorelay stream close logs/2026-06-01")]
pub(in crate::cli) struct Close {
    /// The stream: its name, or its URL
    name: String,
    #[command(flatten)]
    at: At,
}

impl Close {
    pub(super) async fn run(self) -> Result<(), Error> {
        let server = self.at.server()?;
        let url = server.url_of(&self.name)?;
        let answer = server.call(|client| client.post(&url).header(&header::CLOSED, "true")).await?;
        print_line(text_of(answer.headers(), &header::NEXT_OFFSET).unwrap_or_default())
    }
}
