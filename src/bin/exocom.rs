//! The `exocom` command: a drop-in for the original broker.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use exorelay::cli::{Error, Exocom, ExocomError, block_on};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code for wrong usage, as in the original.
const USAGE: u8 = 1;

fn main() -> ExitCode {
    exorelay::app::create_private_files();
    let exocom = match Exocom::try_parse() {
        Ok(exocom) => exocom,
        Err(answer) => {
            // Help arrives here too. A closed output does not matter.
            drop(answer.print());
            return if answer.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let Err(error) = run(exocom) else { return ExitCode::SUCCESS };
    let code = error.exit_code();
    if code != 0 {
        drop(writeln!(io::stderr(), "{}", exorelay::chain(&error)));
    }
    ExitCode::from(code)
}

fn run(exocom: Exocom) -> Result<(), ExocomError> {
    block_on(exocom.threads()?, exocom.run()).map_err(Error::Runtime)?
}
