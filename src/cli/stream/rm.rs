//! `exorelay stream rm`

use std::cell::Cell;

use clap::Args;

use super::explain::named;
use super::server::ServerOptions;
use crate::cli::Error;

/// Delete streams; their forks keep their content
#[derive(Debug, Args)]
#[command(after_help = "\
Example: delete two streams
  exorelay stream rm orders chats/7")]
pub(in crate::cli) struct Rm {
    /// Names or URLs of streams
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    server: ServerOptions,
}

impl Rm {
    pub(super) async fn run(self) -> Result<(), Error> {
        let server = self.server.open()?;
        let place = |name: &String| {
            let server = server.of(name);
            server.url_of(name).map(|url| (server, url))
        };
        let places: Vec<_> = self.names.iter().map(place).collect::<Result<_, _>>()?;
        for (name, (server, url)) in self.names.iter().zip(places) {
            // A retry after a delete that went through finds nothing, which is a success.
            let attempts = Cell::new(0);
            let deleted = server.call(|client| {
                attempts.set(attempts.get() + 1);
                client.delete(&url)
            });
            match deleted.await {
                Err(Error::StreamRefused { status: 404 | 410, .. }) if attempts.get() > 1 => {}
                outcome => drop(named(&server, name, outcome).await?),
            }
        }
        Ok(())
    }
}
