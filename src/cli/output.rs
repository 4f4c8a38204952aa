//! The output of commands.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;

use super::Error;

/// The format of a command's output. The variants have no docs because clap would print them in every help text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Text,
    Json,
}

/// True while a [`Status`] is the last line of the terminal, of which the process has only one.
static STATUS_IS_SHOWN: AtomicBool = AtomicBool::new(false);

/// A line on stderr that is rewritten while work goes on: only on a terminal, and never between lines of a result. Any other
/// line takes its place, and so does nothing once it is dropped.
pub(super) struct Status {
    is_visible: bool,
}

impl Status {
    pub(super) fn new() -> Self {
        Self { is_visible: io::stderr().is_terminal() }
    }

    /// Returns a status that is never shown.
    pub(super) fn hidden() -> Self {
        Self { is_visible: false }
    }

    pub(super) fn is_visible(&self) -> bool {
        self.is_visible
    }

    /// Writes the line anew. It is cut off at the edge of the terminal: one of two rows could not be rewritten.
    pub(super) fn show(&self, text: &str) {
        if self.is_visible {
            STATUS_IS_SHOWN.store(true, Ordering::Relaxed);
            // A closed stderr does not matter.
            drop(write!(io::stderr(), "\r\x1b[K\x1b[?7l{text}\x1b[?7h"));
        }
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        if self.is_visible {
            remove_status();
        }
    }
}

fn remove_status() {
    if STATUS_IS_SHOWN.swap(false, Ordering::Relaxed) {
        drop(write!(io::stderr(), "\r\x1b[K"));
    }
}

/// Prints `text` and a line break, and flushes. Errors: [`Error::Output`], also when stdout is closed.
pub(super) fn print_line(text: &str) -> Result<(), Error> {
    remove_status();
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Error::Output)
}

/// Prints a message on stderr that does not end the command.
pub(super) fn warn(text: &str) {
    remove_status();
    // A closed stderr does not matter.
    drop(writeln!(io::stderr(), "exorelay: {text}"));
}

/// Prints a line on stderr that programs read.
pub(super) fn note(text: &str) {
    remove_status();
    drop(writeln!(io::stderr(), "{text}"));
}

/// Returns `json` on one line that is safe to print on a terminal: line breaks between tokens become spaces, other control
/// characters (JSON allows DEL and C1 characters in strings) are escaped.
pub(super) fn one_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '\n' | '\r' | '\t' => line.push(' '),
            control if control.is_control() => line += &format!("\\u{:04x}", u32::from(control)),
            letter => line.push(letter),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_put_on_one_line_with_the_same_value() {
        let pretty = "{\n\t\"a\": \"\u{9b}31m\u{7f}ö\"\r\n}";
        let line = one_line(pretty);
        assert_eq!(line, "{  \"a\": \"\\u009b31m\\u007fö\"  }");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&line), value(pretty));
    }
}
