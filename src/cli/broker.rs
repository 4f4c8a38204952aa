//! `exorelay broker`

use std::path::PathBuf;

use clap::Args;

use super::Error;
use super::process::{Flag, Process, switched_on};
use crate::app;
use crate::app::config::Purpose;

/// Run the ExoCom broker
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Example: a broker that other hosts reach, with one line per delivery
  exorelay broker --listen 0.0.0.0:3100 --log-messages")]
pub(super) struct Broker {
    /// Where it listens; port 0 takes a free one [default: 127.0.0.1:3100]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Broker")]
    listen: Option<String>,
    /// The roles there are: a landscape.toml, the body of POST /services as .json, or an application.yml or the folder it
    /// is in. SIGHUP reads it again
    #[arg(long, value_name = "FILE", help_heading = "Broker")]
    landscape: Option<PathBuf>,
    /// Behave as the original of the HTTP era where ours is better
    #[arg(long, help_heading = "Broker")]
    compat: bool,
    /// Print one line per delivery on stdout
    #[arg(long, help_heading = "Broker")]
    log_messages: bool,
    /// Print the payload below that line, and show it to those who follow with --payloads; payloads may hold secrets
    #[arg(long, help_heading = "Broker")]
    log_payloads: bool,
    #[command(flatten)]
    process: Process,
}

impl Broker {
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let (process, landscape) = (std::mem::take(&mut self.process), self.landscape.take());
        let config = process.start(Purpose::Other, self.flags())?;
        Ok(app::broker(config, landscape).await?)
    }

    fn flags(self) -> [Flag; 4] {
        [
            ("--listen", "broker.address", self.listen),
            ("--compat", "broker.compat", switched_on(self.compat)),
            ("--log-messages", "broker.log_messages", switched_on(self.log_messages)),
            ("--log-payloads", "broker.log_payloads", switched_on(self.log_payloads)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::process::tests::check_flags;
    use super::*;

    #[test]
    fn every_flag_has_a_key_and_shows_its_default() {
        check_flags("broker", &Broker::default().flags());
    }
}
