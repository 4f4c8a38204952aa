//! `exorelay completions`

use clap::{Args, CommandFactory, ValueEnum};

use super::output::print_line;
use super::{Error, Options};

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Example: for the shell at hand
  source <(exorelay completions bash)")]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(super) fn run(self) -> Result<(), Error> {
        let shell = match self.shell {
            Shell::Bash => clap_complete::Shell::Bash,
            Shell::Zsh => clap_complete::Shell::Zsh,
            Shell::Fish => clap_complete::Shell::Fish,
        };
        // Into memory first: the generator panics when its writer fails.
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Options::command(), "exorelay", &mut script);
        print_line(String::from_utf8_lossy(&script).trim_end())
    }
}
