//! The line on stdout that announces a ready listener, for scripts and tests.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// Prints `<system> ready on <address>` on a terminal, else the same as one line of JSON:
/// `{"system":"api","status":"ready","address":"127.0.0.1:41234"}`. A closed stdout is ignored.
pub fn announce(system: &str, address: impl Display) {
    let mut out = io::stdout().lock();
    let line = if out.is_terminal() { for_people(system, &address) } else { for_programs(system, &address) };
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
        tracing::debug!(%error, system, "cannot print the ready line");
    }
}

fn for_people(system: &str, address: &impl Display) -> String {
    format!("{system} ready on {address}")
}

fn for_programs(system: &str, address: &impl Display) -> String {
    // Formatted by hand because serde_json sorts keys, and people read this line too.
    let text = |text: &str| serde_json::Value::from(text).to_string();
    format!(r#"{{"system":{},"status":"ready","address":{}}}"#, text(system), text(&address.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_a_sentence_and_a_pipe_gets_json() {
        assert_eq!(for_people("api", &"127.0.0.1:41234"), "api ready on 127.0.0.1:41234");
        assert_eq!(
            for_programs("api", &"127.0.0.1:41234"),
            r#"{"system":"api","status":"ready","address":"127.0.0.1:41234"}"#
        );
    }
}
