//! `exorelay completions`

use clap::{Args, Command, ValueEnum};

use super::Error;
use super::output::print_line;

/// Print a shell's completion script
#[derive(Debug, Args)]
#[command(after_help = "\
Example: completions for the current bash session
  source <(exorelay completions bash)")]
pub(super) struct Completions {
    /// The shell to generate for
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
    /// Prints the script for `command`.
    pub(super) fn run(self, mut command: Command) -> Result<(), Error> {
        let shell = match self.shell {
            Shell::Bash => clap_complete::Shell::Bash,
            Shell::Zsh => clap_complete::Shell::Zsh,
            Shell::Fish => clap_complete::Shell::Fish,
        };
        // Written to memory first because the generator panics when its writer fails.
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, "exorelay", &mut script);
        print_line(String::from_utf8_lossy(&script).trim_end())
    }
}
