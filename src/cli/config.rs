//! `exorelay config show` and `exorelay config check`

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Error;
use super::output::{Output, print_line};
use crate::app::check_certificates;
use crate::app::config::{self, Purpose, Sources};

/// Show and check the configuration
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    Show(Show),
    Check(Check),
}

/// Print every setting with its value and origin; secrets are hidden
#[derive(Debug, Args)]
#[command(after_help = "\
Example: list the settings from the environment
  exorelay config show | grep environment")]
pub(super) struct Show {
    /// Configuration file [default: ./exorelay.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value = "toml")]
    format: Format,
    /// Output format; json prints an object of values and origins by key
    #[arg(long, value_enum, default_value = "text", conflicts_with = "format")]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// The current settings
    Toml,
    /// A table of all settings with defaults and descriptions
    Markdown,
    /// A commented configuration file with all defaults
    Reference,
}

/// Check the configuration without starting anything
#[derive(Debug, Args)]
#[command(after_help = "\
Example: before a deployment
  exorelay config check /etc/exorelay.toml && systemctl restart greeter-relay")]
pub(super) struct Check {
    /// Configuration file [default: ./exorelay.toml if it exists]
    file: Option<PathBuf>,
}

impl ConfigCommand {
    pub(super) fn run(self) -> Result<(), Error> {
        match self {
            Self::Show(show) => show.run(),
            Self::Check(check) => {
                let resolved = Sources::of_process(check.file).resolve(Purpose::Check)?;
                for warning in resolved.warnings {
                    drop(writeln!(io::stderr(), "warning: {warning}"));
                }
                check_certificates(&resolved.config.tls).map_err(|error| Error::App(error.into()))?;
                print_line("configuration ok")
            }
        }
    }
}

impl Show {
    fn run(self) -> Result<(), Error> {
        let resolve = || Sources::of_process(self.config.clone()).resolve(Purpose::Other);
        let text = match (self.format, self.output) {
            (Format::Markdown, _) => config::markdown(),
            (Format::Reference, _) => config::toml_file(),
            (Format::Toml, Output::Text) => config::to_toml(&resolve()?),
            (Format::Toml, Output::Json) => config::to_json(&resolve()?),
        };
        print_line(text.trim_end())
    }
}
