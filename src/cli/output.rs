//! What commands print.

use std::io::{self, Write};

use clap::ValueEnum;

use super::Error;

/// Who reads the output: people or programs. The variants carry no docs, which would make every help twice as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Text,
    Json,
}

/// Prints `text` and a line break, at once. Errors: [`Error::Output`], also when the reader is gone.
pub(super) fn print_line(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Error::Output)
}

/// Tells the person at the terminal about something that does not end the command.
pub(super) fn warn(text: &str) {
    // With stderr closed there is nobody left to tell.
    drop(writeln!(io::stderr(), "exorelay: {text}"));
}

/// JSON on one line that no terminal takes for commands: line breaks between tokens become blanks, other control
/// characters (JSON allows DEL and those above it in texts) are written as escapes.
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
    fn json_is_put_on_one_line_without_changing_its_value() {
        let pretty = "{\n\t\"a\": \"\u{9b}31m\u{7f}ö\"\r\n}";
        let line = one_line(pretty);
        assert_eq!(line, "{  \"a\": \"\\u009b31m\\u007fö\"  }");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&line), value(pretty));
    }
}
