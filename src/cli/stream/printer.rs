//! Writes content to stdout as it comes.

use std::io::{self, IsTerminal, Write};

use super::messages::{Form, Messages};
use super::progress::Progress;
use crate::cli::Error;

/// Prints the content of one stream.
pub(super) struct Printer {
    messages: Messages,
    out: Vec<u8>,
    progress: Progress,
}

impl Printer {
    /// With `progress`, unless stdout is a terminal, which shows it by itself.
    pub(super) fn new(progress: Progress) -> Self {
        let progress = if io::stdout().is_terminal() { Progress::silent() } else { progress };
        Self { messages: Messages::of(Form::Bytes), out: Vec::new(), progress }
    }

    /// A body of this form begins.
    pub(super) fn begin(&mut self, form: Form) {
        self.messages = Messages::of(form);
    }

    /// Prints more of the body. Errors: [`Error::Output`], also when the reader is gone.
    pub(super) fn print(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.messages.push(bytes, &mut self.out);
        let printed = io::stdout().lock().write_all(&self.out).map_err(Error::Output);
        self.progress.add(self.out.len() as u64, 0);
        self.out.clear();
        printed
    }

    /// Whoever reads gets what was printed so far. Errors: [`Error::Output`].
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        io::stdout().lock().flush().map_err(Error::Output)
    }

    /// There is no more.
    pub(super) fn end(mut self) -> Result<(), Error> {
        self.progress.end();
        self.flush()
    }
}
