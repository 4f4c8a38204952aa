//! Patterns of stream paths: `*` matches one segment, `**` matches any number of segments, including none.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::invalid::InvalidRequest;
use crate::streams::wire::StreamPath;

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    /// A segment that matches itself.
    Literal(Box<str>),
    /// `*`
    One,
    /// `**`
    Any,
}

/// A pattern, in the normal form of paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Pattern(Arc<str>);

impl Pattern {
    /// Maximum number of segments: each costs time with every path.
    const SEGMENTS_MAX: usize = 32;

    /// Maximum number of `**`.
    const ANY_MAX: usize = 4;

    /// Parses a pattern of a new subscription. Errors: as for [`Pattern::stored`]; it has too many segments.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidRequest> {
        let pattern = Self::stored(text)?;
        let segments = pattern.segments();
        if segments.len() > Self::SEGMENTS_MAX {
            let (count, max) = (segments.len(), Self::SEGMENTS_MAX);
            return Err(InvalidRequest(format!("pattern: it has {count} segments, at most {max} are allowed")));
        }
        let any = segments.iter().filter(|segment| **segment == Segment::Any).count();
        if any > Self::ANY_MAX {
            let max = Self::ANY_MAX;
            return Err(InvalidRequest(format!("pattern: it has {any} times **, at most {max} are allowed")));
        }
        Ok(pattern)
    }

    /// Parses a pattern that is stored already. Errors: the text is not a valid path, or a segment mixes `*` with other
    /// characters.
    pub(crate) fn stored(text: &str) -> Result<Self, InvalidRequest> {
        let path = StreamPath::stored(text).map_err(|error| InvalidRequest(format!("pattern: {error}")))?;
        let mixed = path.as_str().split('/').find(|segment| segment.contains('*') && !matches!(*segment, "*" | "**"));
        match mixed {
            Some(segment) => Err(InvalidRequest(format!(
                "pattern: the segment {segment:?} mixes * with other characters, expected * or ** alone"
            ))),
            None => Ok(Self(path.as_str().into())),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the segments; consecutive `**` are merged, since they match the same as one.
    pub(crate) fn segments(&self) -> Vec<Segment> {
        let mut segments: Vec<Segment> = Vec::new();
        for text in self.0.split('/') {
            let segment = match text {
                "*" => Segment::One,
                "**" => Segment::Any,
                text => Segment::Literal(text.into()),
            };
            if segment != Segment::Any || segments.last() != Some(&Segment::Any) {
                segments.push(segment);
            }
        }
        segments
    }

    /// Returns the text that every matching path begins with.
    pub(crate) fn literal_prefix(&self) -> &str {
        let Some(star) = self.0.find('*') else { return &self.0 };
        // The slash before `**` is not part of a path that ends there.
        let prefix = &self.0[..star];
        if self.0[star..].starts_with("**") { prefix.strip_suffix('/').unwrap_or(prefix) } else { prefix }
    }

    /// Returns true if the pattern matches the path. Time: segments of the pattern times segments of the path.
    pub(crate) fn matches(&self, path: &StreamPath) -> bool {
        let segments: Vec<&str> = path.as_str().split('/').collect();
        // `reached[n]`: the part of the pattern seen so far matches the first `n` segments.
        let mut reached = vec![false; segments.len() + 1];
        reached[0] = true;
        for part in self.0.split('/') {
            let mut next = vec![false; segments.len() + 1];
            for at in 0..=segments.len() {
                next[at] = match part {
                    "**" => reached[at] || at > 0 && next[at - 1],
                    "*" => at > 0 && reached[at - 1],
                    literal => at > 0 && reached[at - 1] && segments[at - 1] == literal,
                };
            }
            reached = next;
        }
        reached[segments.len()]
    }
}

impl TryFrom<String> for Pattern {
    type Error = InvalidRequest;
    fn try_from(text: String) -> Result<Self, InvalidRequest> {
        Self::stored(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let parsed = Pattern::parse(pattern).unwrap();
        let matches = |path: &&&str| parsed.matches(&StreamPath::stored(path).unwrap());
        assert_eq!(matching.iter().filter(matches).count(), matching.len(), "{pattern} matches {matching:?}");
        assert_eq!(others.iter().filter(matches).count(), 0, "{pattern} matches none of {others:?}");
    }

    #[test]
    fn one_star_matches_one_segment_and_two_match_any_number() {
        check("events/*", &["events/a", "events/"], &["events", "events/a/b", "other/a"]);
        check("events/**", &["events", "events/a", "events/a/b"], &["event", "x/events"]);
        check("**", &["a", "a/b/c"], &[]);
        check("**/log", &["log", "a/log", "a/b/log"], &["log/a", "alog"]);
        check("a/**/b/*", &["a/b/c", "a/x/b/c", "a/b/b/b"], &["a/b", "a/x/c"]);
        check("a", &["a"], &["a/b", "b"]);
    }

    #[test]
    fn every_match_begins_with_the_literal_prefix() {
        for (pattern, prefix) in [("a/b", "a/b"), ("a/*/b", "a/"), ("a/**", "a"), ("**/a", ""), ("*", "")] {
            assert_eq!(Pattern::parse(pattern).unwrap().literal_prefix(), prefix, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_has_few_segments_unless_an_earlier_version_stored_it() {
        let (long, any) = (vec!["a"; 33].join("/"), "**/a/**/a/**/a/**/a/**");
        for text in [long.as_str(), any] {
            assert!(Pattern::parse(text).is_err(), "{text}");
            assert!(Pattern::stored(text).is_ok(), "{text}");
        }
        assert!(Pattern::parse(&long[2..]).is_ok() && Pattern::parse(&any[5..]).is_ok());
    }

    #[test]
    fn percent_encoded_patterns_are_normalized() {
        check("%61/*", &["a/b"], &[]);
    }

    #[test]
    fn a_star_must_be_a_whole_segment() {
        for pattern in ["", "a*", "***", "a/b*/c", "a b", "__ds/*"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern:?}");
        }
    }
}
