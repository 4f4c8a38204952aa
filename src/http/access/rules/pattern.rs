//! Patterns of names: `*` matches one segment, `**` matches any number of them, `{sub}` is the caller's own segment.

use percent_encoding::percent_decode_str;

use super::verb::System;

/// The placeholder for the subject of the caller.
const SUBJECT: &str = "{sub}";

/// A pattern of the names of one system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    system: System,
    /// No two in a row are `Any`.
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// A segment that matches itself; of a path, in every spelling.
    Literal(Box<str>),
    /// The subject of the caller, between two texts.
    Subject { before: Box<str>, after: Box<str> },
    /// `*`
    One,
    /// `**`
    Any,
}

/// The object of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// A name; empty for the process as a whole.
    Name(&'a str),
    /// Every name that a pattern matches; its segments are names, `*` and `**`.
    Matching(&'a str),
}

impl<'a> Target<'a> {
    /// All names.
    pub(crate) const ALL: Target<'static> = Target::Matching("**");

    pub(super) fn text(self) -> &'a str {
        match self {
            Self::Name(text) | Self::Matching(text) => text,
        }
    }

    fn kind(self, segment: &str) -> TargetSegment<'_> {
        match (self, segment) {
            (Self::Matching(_), "*") => TargetSegment::One,
            (Self::Matching(_), "**") => TargetSegment::Any,
            (Self::Name(_) | Self::Matching(_), text) => TargetSegment::Literal(text),
        }
    }
}

/// One segment of a target.
#[derive(Debug, Clone, Copy)]
enum TargetSegment<'a> {
    Literal(&'a str),
    One,
    Any,
}

impl Pattern {
    /// Parses a pattern of names of `system`. Errors: the text for the user.
    pub(crate) fn parse(system: System, text: &str) -> Result<Self, String> {
        let mut segments = Vec::new();
        for part in text.split(system.separator()) {
            let segment = Segment::parse(system, part).map_err(|cause| format!("the pattern {text:?} {cause}"))?;
            if segment != Segment::Any || segments.last() != Some(&Segment::Any) {
                segments.push(segment);
            }
        }
        Ok(Self { system, segments })
    }

    /// Returns true if the pattern matches every name of `target`, for a caller with this subject. False for some patterns
    /// that are written differently and match the same names. Takes at most the product of both lengths.
    pub(crate) fn covers(&self, subject: Option<&str>, target: Target<'_>) -> bool {
        let (mut at, mut rest) = (0, Some(target.text()));
        // The pattern after the last `**`, and the part of the target to try it on.
        let mut retry: Option<(usize, Option<&str>)> = None;
        loop {
            let step = match (self.segments.get(at), rest) {
                (None, None) => return true,
                (Some(Segment::Any), _) => {
                    retry = Some((at + 1, rest));
                    at += 1;
                    continue;
                }
                (Some(segment), Some(text)) => {
                    let (first, after) = self.split(text);
                    segment.covers(subject, target.kind(first)).then_some(after)
                }
                (None, Some(_)) | (Some(_), None) => None,
            };
            match (step, retry) {
                (Some(after), _) => (at, rest) = (at + 1, after),
                (None, Some((next, Some(text)))) => {
                    let (_, after) = self.split(text);
                    retry = Some((next, after));
                    (at, rest) = (next, after);
                }
                (None, Some((_, None)) | None) => return false,
            }
        }
    }

    /// Returns true if the pattern matches a name of `target`, for a caller with this subject.
    pub(crate) fn meets(&self, subject: Option<&str>, target: Target<'_>) -> bool {
        let parts: Vec<TargetSegment<'_>> =
            target.text().split(self.system.separator()).map(|part| target.kind(part)).collect();
        // `reached[n]`: the segments of the pattern so far and the first `n` of the target match a common name.
        let mut reached = vec![false; parts.len() + 1];
        reached[0] = true;
        extend(&mut reached, &parts);
        for segment in &self.segments {
            let mut next = vec![false; parts.len() + 1];
            for at in 0..=parts.len() {
                next[at] = match segment {
                    Segment::Any => reached[at] || at > 0 && next[at - 1],
                    segment => {
                        at > 0 && reached[at - 1] && segment.meets(subject, parts[at - 1])
                        // A `**` of the target matches this segment and may match more.
                        || at > 0 && reached[at] && matches!(parts[at - 1], TargetSegment::Any)
                    }
                };
            }
            extend(&mut next, &parts);
            reached = next;
        }
        reached[parts.len()]
    }

    fn split<'a>(&self, text: &'a str) -> (&'a str, Option<&'a str>) {
        match text.split_once(self.system.separator()) {
            Some((first, after)) => (first, Some(after)),
            None => (text, None),
        }
    }
}

/// Adds what is reached by a `**` of the target that matches no segment.
fn extend(reached: &mut [bool], parts: &[TargetSegment<'_>]) {
    for (at, part) in parts.iter().enumerate() {
        if reached[at] && matches!(part, TargetSegment::Any) {
            reached[at + 1] = true;
        }
    }
}

impl Segment {
    fn parse(system: System, text: &str) -> Result<Self, String> {
        if let Some((before, after)) = text.split_once(SUBJECT) {
            if [before, after].iter().any(|part| part.contains(['*', '{', '}'])) {
                return Err(format!("has the segment {text:?}, expected {SUBJECT} once, with letters around it"));
            }
            return Ok(Self::Subject { before: before.into(), after: after.into() });
        }
        match text {
            "" => Err("has an empty segment".to_owned()),
            "*" => Ok(Self::One),
            "**" => Ok(Self::Any),
            _ if text.contains('*') => {
                Err(format!("has * beside other letters in {text:?}, expected * or ** as a whole segment"))
            }
            _ if text.contains(['{', '}']) => Err(format!("has {text:?}, expected {SUBJECT} as the only placeholder")),
            _ if system == System::Streams => Ok(Self::Literal(percent_decode_str(text).decode_utf8_lossy().into())),
            _ => Ok(Self::Literal(text.into())),
        }
    }

    /// Returns true if it matches all that `part` matches.
    fn covers(&self, subject: Option<&str>, part: TargetSegment<'_>) -> bool {
        match (self, part) {
            (Self::Any, _) | (Self::One, TargetSegment::Literal(_) | TargetSegment::One) => true,
            (Self::Literal(own), TargetSegment::Literal(text)) => is_equal(text, [own, "", ""]),
            (Self::Subject { before, after }, TargetSegment::Literal(text)) => {
                subject.is_some_and(|subject| is_segment(subject) && is_equal(text, [before, subject, after]))
            }
            (Self::One | Self::Literal(_) | Self::Subject { .. }, _) => false,
        }
    }

    /// Returns true if both match a common segment.
    fn meets(&self, subject: Option<&str>, part: TargetSegment<'_>) -> bool {
        match part {
            TargetSegment::Literal(_) => self.covers(subject, part),
            TargetSegment::One | TargetSegment::Any => match self {
                Self::Subject { .. } => subject.is_some_and(is_segment),
                Self::Literal(_) | Self::One | Self::Any => true,
            },
        }
    }
}

/// Returns true if a subject is safe as a part of a name: it is not empty, is no pattern, and no server or proxy can take it
/// for several segments or for another directory.
fn is_segment(subject: &str) -> bool {
    let is_plain = |letter: char| !letter.is_control() && !matches!(letter, '/' | '\\' | '*' | '%' | '?' | '#' | ';');
    !matches!(subject, "" | "." | "..") && subject.chars().all(is_plain)
}

/// Compares a segment of a name, which may have escapes, with the text that the parts make together.
fn is_equal(segment: &str, parts: [&str; 3]) -> bool {
    let expected = parts.iter().flat_map(|part| part.bytes());
    match segment.contains('%') {
        true => percent_decode_str(segment).eq(expected),
        false => segment.bytes().eq(expected),
    }
}
