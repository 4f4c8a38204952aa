//! `exorelay streams`, and the commands for its data folder

mod backup;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use self::backup::Backup;
use self::verify::Verify;
use super::Error;
use super::process::{Flag, Process, switch};
use super::runtime::server_threads;
use crate::app;
use crate::app::config::{Purpose, Sources};

/// Run Durable Streams: append-only streams that HTTP clients write, read and follow
#[derive(Debug, Default, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Example: write and read a stream of JSON messages from another shell
  exorelay streams
  curl -X PUT -H 'content-type: application/json' http://127.0.0.1:4437/v1/stream/orders
  curl -H 'content-type: application/json' -d '{\"id\":1}' http://127.0.0.1:4437/v1/stream/orders
  curl 'http://127.0.0.1:4437/v1/stream/orders?offset=-1'")]
pub(super) struct Streams {
    /// Listen address; port 0 takes a free port [default: 127.0.0.1:4437]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Streams")]
    listen: Option<String>,
    /// Storage: memory, or disk, which --data-dir implies [default: memory]
    #[arg(long, value_name = "memory|disk", help_heading = "Streams")]
    store: Option<String>,
    /// Folder of the disk store; created if missing
    #[arg(long, value_name = "DIR", help_heading = "Streams")]
    data_dir: Option<String>,
    /// When the disk store acknowledges an append: sync, "interval 10ms" or memory [default: sync]
    #[arg(long, value_name = "WHEN", help_heading = "Streams")]
    durability: Option<String>,
    /// Maximum wait of a long-poll for data [default: 30s]
    #[arg(long, value_name = "TIME", help_heading = "Streams")]
    long_poll_timeout: Option<String>,
    /// URL under which clients and the receivers of webhooks reach the streams; required if --listen is not on loopback
    #[arg(long, value_name = "URL", help_heading = "Streams")]
    public_url: Option<String>,
    /// Allow webhooks to http://localhost and http://127.x.x.x, for development
    #[arg(long, help_heading = "Streams")]
    webhook_loopback: bool,
    #[command(flatten)]
    process: Process,
    #[command(subcommand)]
    command: Option<StreamsCommand>,
}

/// The commands that work on a data folder
#[derive(Debug, Subcommand)]
enum StreamsCommand {
    Backup(Backup),
    Verify(Verify),
}

/// Returns the data folder: the given one, else the configured one. Errors: [`Error::NoDataFolder`] if there is none.
fn data_dir(given: Option<PathBuf>) -> Result<PathBuf, Error> {
    if let Some(given) = given {
        return Ok(given);
    }
    let configured = PathBuf::from(Sources::of_process(None).resolve(Purpose::Other)?.config.streams.data_dir);
    match configured.as_os_str().is_empty() {
        true => Err(Error::NoDataFolder { dir: configured }),
        false => Ok(configured),
    }
}

impl Streams {
    /// Returns true if it serves, and false for a command on a data folder.
    pub(super) fn is_server(&self) -> bool {
        self.command.is_none()
    }

    pub(super) async fn run(mut self) -> Result<(), Error> {
        match self.command {
            Some(StreamsCommand::Backup(backup)) => return backup.run().await,
            Some(StreamsCommand::Verify(verify)) => return verify.run().await,
            None => {}
        }
        let process = std::mem::take(&mut self.process);
        let config = process.start(Purpose::Streams, self.flags())?;
        Ok(app::streams(config, server_threads()?).await?)
    }

    fn flags(self) -> [Flag; 7] {
        [
            ("--public-url", "streams.public_url", self.public_url),
            ("--webhook-loopback", "streams.subscriptions_webhook_loopback", switch(self.webhook_loopback)),
            ("--listen", "streams.address", self.listen),
            ("--store", "streams.store", self.store),
            ("--data-dir", "streams.data_dir", self.data_dir),
            ("--durability", "streams.durability", self.durability),
            ("--long-poll-timeout", "streams.long_poll_timeout_ms", self.long_poll_timeout),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::process::tests::check_flags;
    use super::*;

    #[test]
    fn every_flag_has_a_key_and_shows_its_default() {
        check_flags("streams", &Streams::default().flags());
    }
}
