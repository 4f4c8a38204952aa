//! Writes the content of a stream to stdout.

use std::io::{self, IsTerminal, Write};

use super::messages::{Form, Messages};
use super::progress::Progress;
use crate::cli::Error;

/// Prints the content of one stream as it arrives.
pub(super) struct Printer {
    messages: Messages,
    out: Vec<u8>,
    progress: Progress,
}

impl Printer {
    /// Returns a printer that shows `progress`, unless stdout is a terminal and so shows the content itself.
    pub(super) fn new(progress: Progress) -> Self {
        let progress = if io::stdout().is_terminal() { Progress::silent() } else { progress };
        Self { messages: Messages::of(Form::Bytes), out: Vec::new(), progress }
    }

    /// Starts a new body of this form.
    pub(super) fn begin(&mut self, form: Form) {
        self.messages = Messages::of(form);
    }

    /// Prints more of the body. Errors: [`Error::Output`], also when stdout is closed.
    pub(super) fn print(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.messages.push(bytes, &mut self.out);
        let printed = io::stdout().lock().write_all(&self.out).map_err(Error::Output);
        self.progress.add(self.out.len() as u64, 0);
        self.out.clear();
        printed
    }

    /// Flushes stdout. Errors: [`Error::Output`].
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        io::stdout().lock().flush().map_err(Error::Output)
    }

    /// Flushes stdout and removes the progress line. Errors: [`Error::Output`].
    pub(super) fn end(mut self) -> Result<(), Error> {
        self.flush()
    }

    /// Records the size of a body that reaches the end of the stream.
    pub(super) fn expect(&mut self, bytes: u64) {
        self.progress.expect(bytes);
    }
}
