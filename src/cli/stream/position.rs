//! The position at which `read` and `follow` start, and the one to go on from.

use clap::Args;

use crate::cli::output::note;

/// The flags about positions.
#[derive(Debug, Args)]
pub(super) struct Position {
    /// Start position: start, now, or an offset from the server
    #[arg(
        long,
        alias = "offset",
        value_name = "start|now|OFFSET",
        default_value = "start",
        allow_hyphen_values = true
    )]
    from: String,
    /// Print the offset to go on from, with --from, as the last line on stderr
    #[arg(long)]
    print_offset: bool,
}

impl Position {
    /// Returns the offset to ask the server for.
    pub(super) fn offset(&self) -> &str {
        match self.from.as_str() {
            "start" => "-1",
            offset => offset,
        }
    }

    /// Prints the offset to go on from, if the user asks for it.
    pub(super) fn print(&self, offset: &str) {
        if self.print_offset {
            note(offset);
        }
    }
}
