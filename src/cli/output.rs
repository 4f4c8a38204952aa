//! The output of commands.

use std::io::{self, Write};

use clap::ValueEnum;

use super::Error;

/// The format of a command's output. The variants have no docs because clap would print them in every help text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Text,
    Json,
}

/// Prints `text` and a line break, and flushes. Errors: [`Error::Output`], also when stdout is closed.
pub(super) fn print_line(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Error::Output)
}

/// Prints a message on stderr that does not end the command.
pub(super) fn warn(text: &str) {
    // A closed stderr does not matter.
    drop(writeln!(io::stderr(), "exorelay: {text}"));
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
