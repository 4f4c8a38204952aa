//! The `exorelay` command.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use exorelay::cli::{Error, Options, Threads, USAGE};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the end waits for work that cannot be cancelled, such as a name being looked up.
const LAST_GRACE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(answer) => {
            // Help and version are answers too; with the output closed there is nobody left to tell.
            drop(answer.print());
            return if answer.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let Err(error) = run(options) else { return ExitCode::SUCCESS };
    let code = error.exit_code();
    if code != 0 {
        for line in error.to_string().lines() {
            drop(writeln!(io::stderr(), "exorelay: {line}"));
        }
    }
    ExitCode::from(code)
}

fn run(options: Options) -> Result<(), Error> {
    let runtime = runtime(options.threads()?).map_err(Error::Runtime)?;
    let outcome = runtime.block_on(options.run());
    runtime.shutdown_timeout(LAST_GRACE);
    outcome
}

fn runtime(threads: Threads) -> io::Result<Runtime> {
    let mut builder = match threads {
        Threads::One => Builder::new_current_thread(),
        Threads::Many(threads) if threads.get() == 1 => Builder::new_current_thread(),
        Threads::Many(threads) => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(threads.get());
            builder
        }
    };
    builder.enable_all().build()
}
