//! Entity tags and cursors, for caches between server and reader.

use std::fmt;

/// The time of cursor 0: 2024-10-09T00:00:00Z.
const CURSOR_EPOCH_MS: u64 = 1_728_432_000_000;

/// Maximum jump ahead of a client's cursor, in seconds.
const JITTER_S_MAX: u64 = 3600;

/// Greater cursors from clients are not ours, and are ignored.
const CURSOR_MAX: u64 = 1 << 53;

/// Identifies the content of an answer: the life of the stream, the range, and if that reaches the closed end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntityTag {
    pub(crate) life: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) closed: bool,
}

impl fmt::Display for EntityTag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = if self.closed { "-c" } else { "" };
        write!(formatter, "\"{:x}-{:x}-{:x}{closed}\"", self.life, self.start, self.end)
    }
}

/// Returns true if `If-None-Match` has the tag. RFC 9110 13.1.2: weak comparison.
pub(crate) fn matches_any(if_none_match: &str, tag: &EntityTag) -> bool {
    let tag = tag.to_string();
    let mut candidates = if_none_match.split(',').map(str::trim);
    candidates.any(|candidate| candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == tag)
}

/// The cursor of an answer: the number of the current interval, or one beyond the client's cursor if that is not behind.
/// `dice` is any number; it decides how far beyond.
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
    fn a_cursor_is_the_current_interval_or_beyond_the_clients() {
        check(None, 0, 100);
        check(Some("99"), 0, 100);
        check(Some("100"), 0, 101);
        check(Some("100"), 3599, 280);
        check(Some("500"), 20, 502);
    }

    #[test]
    fn invalid_cursors_are_ignored() {
        for text in ["", "-1", "abc", "18446744073709551615", "99999999999999999999999"] {
            check(Some(text), 7, 100);
        }
    }

    #[test]
    fn a_tag_is_found_in_a_list_of_weak_tags() {
        let tag = EntityTag { life: 255, start: 0, end: 16, closed: true };
        assert_eq!(tag.to_string(), "\"ff-0-10-c\"");
        assert!(matches_any("\"x\", W/\"ff-0-10-c\"", &tag));
        assert!(matches_any("*", &tag));
        assert!(!matches_any("\"ff-0-10\"", &tag));
    }
}
