//! The flags that all servers share, and the start of a server process from its settings.

use std::path::PathBuf;

use clap::Args;

use super::Error;
use super::duration::with_unit;
use crate::app::config::{Purpose, Resolved, Sources};
use crate::app::{Config, telemetry};

/// A flag with its dashes, the setting that it overrides, and its value if it was given.
pub(super) type Flag = (&'static str, &'static str, Option<String>);

/// The flags of every server.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Process")]
pub(super) struct Process {
    /// Configuration file [default: ./exorelay.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Time for work in progress to finish at shutdown [default: 10s]
    #[arg(long, value_name = "TIME")]
    drain_grace: Option<String>,
    /// Listen address for probes, metrics and `exorelay drain` [default: none, the other listeners answer probes]
    #[arg(long, value_name = "HOST:PORT")]
    ops: Option<String>,
    /// Let everyone use listeners on other addresses than loopback, which refuse to start without a rule that guards them
    #[arg(long)]
    insecure: bool,
    /// Log level, or directives such as info,exorelay::bus=debug [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl Process {
    /// Resolves the configuration, with `flags` on top, and starts the log.
    pub(super) fn start(self, purpose: Purpose, flags: impl IntoIterator<Item = Flag>) -> Result<Config, Error> {
        let mut sources = Sources::of_process(self.config.clone());
        if purpose == Purpose::Dev {
            // What is tried out listens on this machine.
            sources = sources.default("streams.subscriptions_webhook_loopback", true);
        }
        let flags = flags.into_iter().chain(self.flags());
        let sources = flags.fold(sources, |sources, (flag, key, text)| {
            let text = if key.ends_with("_ms") { text.map(with_unit) } else { text };
            sources.flag(flag, key, text)
        });
        let Resolved { config, warnings, .. } = sources.resolve(purpose)?;
        telemetry::start(&config.log);
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(config)
    }

    fn flags(self) -> [Flag; 4] {
        [
            ("--drain-grace", "drain.grace_ms", self.drain_grace),
            ("--ops", "ops.address", self.ops),
            ("--insecure", "access.insecure", switch(self.insecure)),
            ("--log-level", "log.level", self.log_level),
        ]
    }
}

/// Returns the value of a switch if it was given.
pub(super) fn switch(given: bool) -> Option<String> {
    given.then(|| true.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use clap::CommandFactory;

    use super::super::Options;
    use super::*;
    use crate::app::config::Sources;

    /// Checks that each flag exists, has a setting, and that its help shows the setting's default.
    pub(in super::super) fn check_flags(command: &str, flags: &[Flag]) {
        let defaults: toml::Table = toml::Table::try_from(Config::default()).unwrap();
        let options = Options::command();
        let command = options.find_subcommand(command).unwrap();
        for (flag, key, _) in flags {
            let argument = command.get_arguments().find(|argument| argument.get_long() == flag.strip_prefix("--"));
            let help = argument.unwrap_or_else(|| panic!("{flag} is not a flag")).get_help().unwrap().to_string();
            let (section, name) = key.split_once('.').unwrap();
            let default = match &defaults[section][name] {
                toml::Value::Integer(ms) => {
                    humantime::format_duration(std::time::Duration::from_millis(*ms as u64)).to_string()
                }
                toml::Value::String(text) => text.clone(),
                _ => String::new(),
            };
            let shown = default.is_empty() || help.ends_with(&format!("[default: {default}]"));
            assert!(shown, "{flag}: {help:?} does not show {default}");
            let known = Sources::of_process(Some("/dev/null".into())).resolve(Purpose::Other).unwrap();
            assert!(known.origin(key).is_some(), "{key}");
        }
    }

    #[test]
    fn the_flags_of_every_server_show_their_defaults() {
        for command in ["dev", "run", "broker", "streams"] {
            check_flags(command, &Process::default().flags());
        }
    }
}
