//! Durations on the command line: a bare number means seconds, in every command.

use std::time::Duration;

/// Parses seconds such as `2` or `0.5`, or a time with its unit such as `250ms`, `30s` or `5m`. Errors: the expectation.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let with_unit = || humantime::parse_duration(text).ok();
    seconds(text)
        .or_else(with_unit)
        .ok_or_else(|| "expected seconds, or a time with its unit such as 250ms, 30s or 5m".to_owned())
}

/// Adds the unit to a bare number: the value of a flag is a number of seconds, whatever the unit of its setting.
pub(super) fn with_unit(text: String) -> String {
    seconds(&text).map_or(text, |duration| format!("{}ms", duration.as_millis()))
}

fn seconds(text: &str) -> Option<Duration> {
    let is_number = text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = text.parse().ok().filter(|_| is_number)?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_means_seconds() {
        for (text, ms) in [("2", 2_000), ("0.5", 500), ("0", 0), ("250ms", 250), ("1s 5ms", 1_005), ("5m", 300_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", ".", "-1", "soon", "2x", "1e400", "99999999999999999999"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_value_of_a_setting_gets_its_unit() {
        assert_eq!(with_unit("10".to_owned()), "10000ms");
        assert_eq!(with_unit("10s".to_owned()), "10s");
        assert_eq!(with_unit("soon".to_owned()), "soon");
    }
}
