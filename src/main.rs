//! The `exorelay` command.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use exorelay::cli::{Error, Options, USAGE, block_on};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    exorelay::app::create_private_files();
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(answer) => {
            // Help and version arrive here too. A closed output does not matter.
            drop(answer.print());
            return if answer.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let is_server = options.is_server();
    let Err(error) = run(options) else { return ExitCode::SUCCESS };
    let code = error.exit_code();
    if code != 0 && is_server {
        exorelay::app::telemetry::write_errors(&exorelay::chain(&error));
    } else if code != 0 {
        for line in exorelay::chain(&error).lines() {
            drop(writeln!(io::stderr(), "exorelay: {line}"));
        }
    }
    ExitCode::from(code)
}

fn run(options: Options) -> Result<(), Error> {
    block_on(options.threads()?, options.run()).map_err(Error::Runtime)?
}
