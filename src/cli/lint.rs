//! `exorelay lint`

use std::path::{Path, PathBuf};

use clap::Args;

use super::Error;
use super::output::print_line;
use crate::app::{self, landscape};
use crate::broker::{Landscape, Spoken};

/// The variable that holds the landscape in the WebSocket era. exo 3.7.
const SERVICE_DATA: &str = "SERVICE_DATA";

/// Find messages that are sent but not received, or received but not sent
#[derive(Debug, Args)]
#[command(after_help = "\
Example: before a deployment
  exorelay lint landscape.toml && exorelay broker --landscape landscape.toml

Prints nothing and exits with 0 if every message has a sender and a receiver, else exits with 1. A service's internal \
message names are translated to public names first.")]
pub(super) struct Lint {
    /// A landscape (.toml or .json), an application.yml, or a folder with one [default: application.yml in this folder,
    /// else the variable SERVICE_DATA]
    path: Option<PathBuf>,
}

impl Lint {
    pub(super) fn run(self) -> Result<(), Error> {
        let unmatched = self.landscape()?.unmatched();
        if unmatched.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        list(&mut lines, "The following messages are sent but not received:", &unmatched.sent);
        list(&mut lines, "The following messages are received but not sent:", &unmatched.received);
        print_line(&lines.join("\n"))?;
        Err(Error::Unmatched { sent: unmatched.sent.len(), received: unmatched.received.len() })
    }

    fn landscape(&self) -> Result<Landscape, Error> {
        if let Some(path) = &self.path {
            return Ok(landscape::read(path)?);
        }
        let application = landscape::application_in(Path::new(""));
        if application.exists() {
            return Ok(landscape::read(&application)?);
        }
        let text = std::env::var_os(SERVICE_DATA).filter(|text| !text.is_empty()).ok_or(Error::NothingToLint)?;
        let body = text.into_encoded_bytes().into();
        let unusable = |cause| app::Error::LandscapeVariable { variable: SERVICE_DATA, cause };
        Ok(Landscape::from_json(&body).map_err(unusable)?)
    }
}

fn list(lines: &mut Vec<String>, title: &str, messages: &[Spoken]) {
    if messages.is_empty() {
        return;
    }
    lines.push(title.to_owned());
    lines.extend(messages.iter().map(|Spoken { role, public }| format!("  {role}: {public}")));
}
