//! `exorelay broker`

use std::path::PathBuf;

use clap::Args;

use super::Error;
use super::process::{Flag, Process, switch};
use crate::app;
use crate::app::config::Purpose;

/// Run the ExoCom broker
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Example: a broker for all hosts of a private network that prints one line per delivery
  exorelay broker --listen 0.0.0.0:3100 --insecure --log-messages")]
pub(super) struct Broker {
    /// Listen address; port 0 takes a free port [default: 127.0.0.1:3100]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Broker")]
    listen: Option<String>,
    /// Roles and routes: a landscape.toml, a .json file as posted to /services, an application.yml, or a folder with one.
    /// SIGHUP reloads it
    #[arg(long, value_name = "FILE", help_heading = "Broker")]
    landscape: Option<PathBuf>,
    /// Behave like the original HTTP-era broker where this one differs
    #[arg(long, help_heading = "Broker")]
    compat: bool,
    /// Print one line per delivery on stdout
    #[arg(long, help_heading = "Broker")]
    log_messages: bool,
    /// Print payloads below that line and let `tail --payloads` show them; payloads may contain secrets
    #[arg(long, help_heading = "Broker")]
    log_payloads: bool,
    #[command(flatten)]
    process: Process,
}

impl Broker {
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let (process, landscape) = (std::mem::take(&mut self.process), self.landscape.take());
        let config = process.start(Purpose::Broker, self.flags())?;
        Ok(app::broker(config, landscape).await?)
    }

    fn flags(self) -> [Flag; 4] {
        [
            ("--listen", "broker.address", self.listen),
            ("--compat", "broker.compat", switch(self.compat)),
            ("--log-messages", "broker.log_messages", switch(self.log_messages)),
            ("--log-payloads", "broker.log_payloads", switch(self.log_payloads)),
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
