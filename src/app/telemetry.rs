//! The log on stderr: text on a terminal, else JSON lines. Ready lines and the errors of servers have the same keys.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::SystemTime;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use super::config::{Log, LogFormat};

/// Libraries that log too much at level `info`.
const QUIET: [&str; 2] = ["fjall=warn", "lsm_tree=warn"];

/// The variable that overrides `log.level`.
const RUST_LOG: &str = "RUST_LOG";

/// The variable that sets `log.format`.
const LOG_FORMAT: &str = "EXORELAY__LOG__FORMAT";

/// True if the log of this process is for people, once it has started. As global as the log itself.
static FOR_PEOPLE: OnceLock<bool> = OnceLock::new();

/// Starts logging for the whole process; a second call has no effect.
/// `RUST_LOG` overrides `log.level` unless it is empty or malformed.
pub fn start(log: &Log) {
    let (filter, complaint) = filter(&log.level, std::env::var(RUST_LOG).ok().as_deref());
    let on_terminal = io::stderr().is_terminal();
    let people = is_for_people(log.format);
    FOR_PEOPLE.get_or_init(|| people);
    // A log that cannot be written, for example because its terminal is gone, must not end the process by a panic.
    let subscriber = fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(people && on_terminal);
    let started = match people {
        true => subscriber.finish().with(filter_fn(is_discreet)).try_init(),
        false => subscriber.json().flatten_event(true).finish().with(filter_fn(is_discreet)).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was already started");
    }
    if let Some(complaint) = complaint {
        tracing::warn!(%complaint, "RUST_LOG is malformed: using log.level");
    }
}

/// Writes the errors for which a server did not start, or ended: a line for each, in the form of the log, whatever its level. If
/// the log has not started, its form is what the environment says; the configuration may be what is wrong.
pub fn write_errors(errors: &str) {
    let given = match std::env::var(LOG_FORMAT).as_deref() {
        Ok("human") => LogFormat::Human,
        Ok("json") => LogFormat::Json,
        _ => LogFormat::Auto,
    };
    let people = FOR_PEOPLE.get().copied().unwrap_or_else(|| is_for_people(given));
    for error in errors.lines() {
        let line = if people { format!("exorelay: {error}") } else { json_line("ERROR", error, "") };
        // A closed stderr does not matter.
        drop(writeln!(io::stderr(), "{line}"));
    }
}

/// Returns a line with the keys of the log; `fields` are further members, each after a comma. Formatted by hand because
/// serde_json sorts keys, and people read these lines, too.
pub(super) fn json_line(level: &str, message: &str, fields: &str) -> String {
    let at = humantime::format_rfc3339_micros(SystemTime::now());
    let message = serde_json::Value::from(message);
    format!(r#"{{"timestamp":"{at}","level":"{level}","message":{message},"target":"exorelay"{fields}}}"#)
}

fn is_for_people(format: LogFormat) -> bool {
    match format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    }
}

/// Returns true for events that do not print what was sent or received: at TRACE, libraries print whole frames and calls, with
/// the tokens and payloads in them. No level shows those.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    let package = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::DEBUG || ["exorelay", "exocom"].contains(&package)
}

/// Returns the filter, and the problem with `rust_log` if it was ignored.
fn filter(level: &str, rust_log: Option<&str>) -> (EnvFilter, Option<String>) {
    match rust_log.filter(|text| !text.trim().is_empty()).map(EnvFilter::try_new) {
        None => (configured(level), None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (configured(level), Some(error.to_string())),
    }
}

/// Returns the configured filter, with noisy libraries reduced to warnings unless `level` names them.
fn configured(level: &str) -> EnvFilter {
    let filter = EnvFilter::new(level);
    if filter.max_level_hint().is_some_and(|most| most <= LevelFilter::WARN) || level.contains("fjall") {
        return filter;
    }
    QUIET.iter().fold(filter, |filter, directive| {
        filter.add_directive(directive.parse().expect("each is a target and a level"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rust_log: Option<&str>, expected: &str, complains: bool) {
        let (filter, complaint) = filter("warn", rust_log);
        assert_eq!((filter.to_string().as_str(), complaint.is_some()), (expected, complains), "{rust_log:?}");
    }

    #[test]
    fn the_configured_level_applies_without_rust_log() {
        check(None, "warn", false);
        check(Some(" "), "warn", false);
    }

    #[test]
    fn libraries_only_log_warnings_unless_they_are_named() {
        assert_eq!(configured("info").to_string(), "lsm_tree=warn,fjall=warn,info");
        assert_eq!(configured("info,fjall=debug").to_string(), "fjall=debug,info");
        assert_eq!(configured("error").to_string(), "error");
    }

    #[test]
    fn rust_log_overrides_the_configured_level() {
        check(Some("exorelay=debug"), "exorelay=debug", false);
    }

    #[test]
    fn a_malformed_rust_log_is_ignored_with_a_warning() {
        check(Some("exorelay=loud"), "warn", true);
    }
}
