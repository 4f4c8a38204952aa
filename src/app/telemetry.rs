//! The log on stderr: text on a terminal, else JSON lines.

use std::io::{self, IsTerminal};

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

/// Starts logging for the whole process; a second call has no effect.
/// `RUST_LOG` overrides `log.level` unless it is empty or malformed.
pub fn start(log: &Log) {
    let (filter, complaint) = filter(&log.level, std::env::var(RUST_LOG).ok().as_deref());
    let on_terminal = io::stderr().is_terminal();
    let people = match log.format {
        LogFormat::Auto => on_terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let subscriber = fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(people && on_terminal);
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
