//! The line on stdout that announces a ready listener, for scripts and tests.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use super::telemetry;

/// Prints `<system> ready on <address>` on a terminal, else the same as one line of JSON:
/// `{…,"system":"api","status":"ready","address":"127.0.0.1:41234"}`. A closed stdout is ignored.
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
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let fields = format!(r#","system":{},"status":"ready","address":{}"#, text(system), text(&address.to_string()));
    telemetry::json_line("INFO", &for_people(system, address), &fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_a_sentence_and_a_pipe_gets_json() {
        assert_eq!(for_people("api", &"127.0.0.1:41234"), "api ready on 127.0.0.1:41234");
        let json = for_programs("api", &"127.0.0.1:41234");
        let expected = r#""level":"INFO","message":"api ready on 127.0.0.1:41234","target":"exorelay","system":"api","status":"ready","address":"127.0.0.1:41234"}"#;
        assert!(json.starts_with("{\"timestamp\":\"") && json.ends_with(expected), "{json}");
    }
}
