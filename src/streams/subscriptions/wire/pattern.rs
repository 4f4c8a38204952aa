//! Patterns of stream paths: `*` stands for one segment, `**` for any number of them, also none.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::invalid::InvalidRequest;
use crate::streams::wire::StreamPath;

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// Itself.
    Literal(Box<str>),
    /// `*`
    One,
    /// `**`
    Any,
}

/// A pattern, in the same normal form as paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Pattern(Arc<str>);

impl Pattern {
    /// Errors: a text that could be no path, and a `*` beside other characters of its segment.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidRequest> {
        let path = StreamPath::parse(text).map_err(|error| InvalidRequest(format!("pattern: {error}")))?;
        let mixed = path.as_str().split('/').find(|step| step.contains('*') && !matches!(*step, "*" | "**"));
        match mixed {
            Some(step) => {
                Err(InvalidRequest(format!("pattern: * and ** stand for whole segments, {step:?} is neither")))
            }
            None => Ok(Self(path.as_str().into())),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Its segments; `**` behind `**` adds nothing and is left out.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for text in self.0.split('/') {
            let step = match text {
                "*" => Step::One,
                "**" => Step::Any,
                text => Step::Literal(text.into()),
            };
            if step != Step::Any || steps.last() != Some(&Step::Any) {
                steps.push(step);
            }
        }
        steps
    }

    /// Whether the path is one it stands for. Takes at most steps times segments.
    pub(crate) fn matches(&self, path: &StreamPath) -> bool {
        let segments: Vec<&str> = path.as_str().split('/').collect();
        // `reached[n]`: the segments so far can be told by the steps before the one at `n`.
        let mut reached = vec![false; segments.len() + 1];
        reached[0] = true;
        for step in self.0.split('/') {
            let mut next = vec![false; segments.len() + 1];
            for at in 0..=segments.len() {
                next[at] = match step {
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
        Self::parse(&text)
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

    fn check(pattern: &str, fitting: &[&str], others: &[&str]) {
        let parsed = Pattern::parse(pattern).unwrap();
        let fits = |path: &&&str| parsed.matches(&StreamPath::parse(path).unwrap());
        assert_eq!(fitting.iter().filter(fits).count(), fitting.len(), "{pattern} fits {fitting:?}");
        assert_eq!(others.iter().filter(fits).count(), 0, "{pattern} fits none of {others:?}");
    }

    #[test]
    fn a_star_is_one_segment_and_two_are_any_number() {
        check("events/*", &["events/a", "events/"], &["events", "events/a/b", "other/a"]);
        check("events/**", &["events", "events/a", "events/a/b"], &["event", "x/events"]);
        check("**", &["a", "a/b/c"], &[]);
        check("**/log", &["log", "a/log", "a/b/log"], &["log/a", "alog"]);
        check("a/**/b/*", &["a/b/c", "a/x/b/c", "a/b/b/b"], &["a/b", "a/x/c"]);
        check("a", &["a"], &["a/b", "b"]);
    }

    #[test]
    fn two_spellings_of_a_path_are_one() {
        check("%61/*", &["a/b"], &[]);
    }

    #[test]
    fn stars_stand_alone() {
        for pattern in ["", "a*", "***", "a/b*/c", "a b", "__ds/*"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern:?}");
        }
    }
}
