//! Entity tags and cursors: what caches between server and reader need.

use std::fmt;

/// When cursors began to count: 2024-10-09T00:00:00Z.
const CURSOR_EPOCH_MS: u64 = 1_728_432_000_000;

/// The longest jump ahead of a client's cursor, in seconds.
const JITTER_S_MAX: u64 = 3600;

/// A cursor from a client that is further ahead than this is not one of ours.
const CURSOR_MAX: u64 = 1 << 53;

/// Names one answer for good: which life of the stream, from where to where, and whether it told of the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntityTag {
    pub(crate) log: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) closed: bool,
}

impl fmt::Display for EntityTag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = if self.closed { "-c" } else { "" };
        write!(formatter, "\"{:x}-{:x}-{:x}{closed}\"", self.log, self.start, self.end)
    }
}

/// Whether `If-None-Match` names the tag. RFC 9110 13.1.2: weakly compared.
pub(crate) fn matches_any(if_none_match: &str, tag: &EntityTag) -> bool {
    let tag = tag.to_string();
    let mut candidates = if_none_match.split(',').map(str::trim);
    candidates.any(|candidate| candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == tag)
}

/// The cursor that goes with an answer: the present interval, or one beyond the client's if that is not behind. `dice`
/// is any number.
pub(crate) fn next_cursor(client: Option<&str>, now_ms: u64, interval_ms: u64, dice: u64) -> u64 {
    let interval_ms = interval_ms.max(1);
    let current = now_ms.saturating_sub(CURSOR_EPOCH_MS) / interval_ms;
    let client = client.and_then(|text| text.parse::<u64>().ok()).filter(|cursor| *cursor <= CURSOR_MAX);
    match client.filter(|client| *client >= current) {
        None => current,
        Some(client) => client + ((1 + dice % JITTER_S_MAX) * 1000).div_ceil(interval_ms).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = CURSOR_EPOCH_MS + 20_000 * 100;

    fn check(client: Option<&str>, dice: u64, expected: u64) {
        assert_eq!(next_cursor(client, NOW_MS, 20_000, dice), expected, "{client:?}");
    }

    #[test]
    fn a_cursor_is_the_present_interval_or_beyond_the_clients() {
        check(None, 0, 100);
        check(Some("99"), 0, 100);
        check(Some("100"), 0, 101);
        check(Some("100"), 3599, 280);
        check(Some("500"), 20, 502);
    }

    #[test]
    fn cursors_that_make_no_sense_do_not_overflow() {
        for text in ["", "-1", "abc", "18446744073709551615", "99999999999999999999999"] {
            check(Some(text), 7, 100);
        }
    }

    #[test]
    fn a_tag_is_found_in_a_list_and_weak() {
        let tag = EntityTag { log: 255, start: 0, end: 16, closed: true };
        assert_eq!(tag.to_string(), "\"ff-0-10-c\"");
        assert!(matches_any("\"x\", W/\"ff-0-10-c\"", &tag));
        assert!(matches_any("*", &tag));
        assert!(!matches_any("\"ff-0-10\"", &tag));
    }
}
