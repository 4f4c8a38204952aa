//! `exorelay dev`

use clap::Args;

use super::Error;
use super::process::{Flag, Process};
use super::runtime::sidecar_threads;
use crate::app;
use crate::app::config::Purpose;

/// Run broker, sidecar, edge and a greeter in one process to try things out
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Example: send the greeter a request from another shell
  exorelay dev
  exorelay request hello '{\"name\":\"world\"}'")]
pub(super) struct Dev {
    /// Address where the broker delivers messages [default: 127.0.0.1:4000]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Listeners (port 0 takes a free port)")]
    listen: Option<String>,
    /// Address where services call the sidecar [default: 127.0.0.1:4001]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Listeners (port 0 takes a free port)")]
    api: Option<String>,
    /// Listen address of the broker [default: 127.0.0.1:3100]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Listeners (port 0 takes a free port)")]
    broker: Option<String>,
    /// Address for browsers and other clients outside the bus [default: 127.0.0.1:4002]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Listeners (port 0 takes a free port)")]
    edge: Option<String>,
    /// URL under which clients and the receivers of webhooks reach the edge; required if --edge is not on loopback
    #[arg(long, value_name = "URL", help_heading = "Streams")]
    public_url: Option<String>,
    /// Store streams in this folder instead of in memory; created if missing
    #[arg(long, value_name = "DIR", help_heading = "Streams")]
    data_dir: Option<String>,
    #[command(flatten)]
    process: Process,
}

impl Dev {
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let process = std::mem::take(&mut self.process);
        let config = process.start(Purpose::Dev, self.flags())?;
        Ok(app::dev(config, sidecar_threads()?).await?)
    }

    fn flags(self) -> [Flag; 6] {
        [
            ("--public-url", "streams.public_url", self.public_url),
            ("--listen", "listen.address", self.listen),
            ("--api", "api.address", self.api),
            ("--broker", "broker.address", self.broker),
            ("--edge", "edge.address", self.edge),
            ("--data-dir", "streams.data_dir", self.data_dir),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::process::tests::check_flags;
    use super::*;

    #[test]
    fn every_flag_has_a_key_and_shows_its_default() {
        check_flags("dev", &Dev::default().flags());
    }
}
