//! The line on stdout that announces a ready listener, for scripts and tests.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use super::config::LogFormat;
use super::telemetry;

/// Prints `<system> ready on <address>`, or the same as one line of JSON:
/// `{…,"system":"api","status":"ready","address":"127.0.0.1:41234"}`. `Auto` means the sentence on a terminal, else JSON.
/// A closed stdout is ignored.
pub fn announce(format: LogFormat, system: &str, address: impl Display) {
    let mut out = io::stdout().lock();
    let line = match is_for_people(format, out.is_terminal()) {
        true => for_people(system, &address),
        false => for_programs(system, &address),
    };
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
        tracing::debug!(%error, system, "cannot print the ready line");
    }
}

fn is_for_people(format: LogFormat, on_terminal: bool) -> bool {
    match format {
        LogFormat::Auto => on_terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
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
    fn the_format_of_the_log_holds_for_ready_lines() {
        for (format, on_terminal, expected) in [
            (LogFormat::Auto, true, true),
            (LogFormat::Auto, false, false),
            (LogFormat::Human, false, true),
            (LogFormat::Json, true, false),
        ] {
            assert_eq!(is_for_people(format, on_terminal), expected, "{format:?}");
        }
    }

    #[test]
    fn a_terminal_gets_a_sentence_and_a_pipe_gets_json() {
        assert_eq!(for_people("api", &"127.0.0.1:41234"), "api ready on 127.0.0.1:41234");
        let json = for_programs("api", &"127.0.0.1:41234");
        let expected = r#""level":"INFO","message":"api ready on 127.0.0.1:41234","target":"exorelay","system":"api","status":"ready","address":"127.0.0.1:41234"}"#;
        assert!(json.starts_with("{\"timestamp\":\"") && json.ends_with(expected), "{json}");
    }
}
