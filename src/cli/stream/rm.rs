//! `exorelay stream rm`

use std::cell::Cell;

use clap::Args;

use super::server::At;
use crate::cli::Error;

/// Delete streams; their forks keep what they have
#[derive(Debug, Args)]
#[command(after_help = "\
Example: two streams and all they hold
  exorelay stream rm orders chats/7")]
pub(in crate::cli) struct Rm {
    /// The streams: their names, or their URLs
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    at: At,
}

impl Rm {
    pub(super) async fn run(self) -> Result<(), Error> {
        let server = self.at.server()?;
        let urls: Vec<String> = self.names.iter().map(|name| server.url_of(name)).collect::<Result<_, _>>()?;
        for url in urls {
            // Another try after one that had worked finds nothing: that is done, too.
            let tries = Cell::new(0);
            let deleted = server.call(|client| {
                tries.set(tries.get() + 1);
                client.delete(&url)
            });
            match deleted.await {
                Err(Error::StreamRefused { status: 404 | 410, .. }) if tries.get() > 1 => {}
                outcome => drop(outcome?),
            }
        }
        Ok(())
    }
}
