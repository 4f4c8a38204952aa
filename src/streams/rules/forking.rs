//! Forks: where they begin, and which segments hold their inherited content.

use std::sync::Arc;

use bytes::Bytes;

use super::ledger::Ledger;
use super::refusal::Refusal;
use super::stream::Stream;
use crate::streams::wire::{ForkRequest, Kind, Segment, StreamPath, messages_end, whole_messages};

/// The append that holds the byte after an offset, which is not the end of its stream. It is read before the decision, and
/// valid as long as the stream has the same life.
#[derive(Debug, Clone)]
pub(crate) struct AppendAfter {
    /// The log of the source, which identifies its life.
    pub(crate) log: u64,
    /// The position where the append begins.
    pub(crate) start: u64,
    pub(crate) record: Bytes,
}

/// A valid point to fork a stream at.
pub(super) struct ForkPoint {
    /// The position of the requested offset, without the sub-offset.
    pub(super) position: u64,
    /// The position where the fork begins.
    pub(super) base: u64,
    pub(super) inherited: Arc<[Segment]>,
}

impl Ledger {
    /// Finds the point where the fork begins. Errors: the first check that fails, in the order of PROTOCOL "Forks".
    pub(super) fn fork_point(
        &self,
        source: &Stream,
        request: &ForkRequest,
        after_offset: Option<&AppendAfter>,
    ) -> Result<ForkPoint, Refusal> {
        let wrong_offset = |offset| Refusal::ForkOffset { source_path: request.source.clone(), offset };
        let wrong_sub_offset = Refusal::ForkSubOffset { sub_offset: request.sub_offset };
        let position = match request.offset {
            None => source.tail,
            Some(offset) => {
                let position = source.layout().position_of(offset).filter(|at| *at <= source.tail);
                position.ok_or_else(|| wrong_offset(offset))?
            }
        };
        let mut base = position;
        if position < source.tail {
            let offset = request.offset.unwrap_or(source.next());
            let append = after_offset.filter(|append| append.log == source.entry.log);
            let append = append.filter(|append| append.start <= position).ok_or_else(|| wrong_offset(offset))?;
            let (kind, inside) = (source.content_type().kind(), position - append.start);
            base = append.start + cut_at(kind, &append.record, inside, request.sub_offset).ok_or(wrong_sub_offset)?;
        } else if request.sub_offset > 0 {
            return Err(wrong_sub_offset);
        }
        let inherited = segments_until(source.layout().segments(), base);
        if inherited.len() >= self.limits.fork_segments_max {
            return Err(Refusal::ForksTooDeep { segments_max: self.limits.fork_segments_max });
        }
        Ok(ForkPoint { position, base, inherited: inherited.into() })
    }

    /// Returns the stream to fork. Errors: [`Refusal::SourceReadOnly`], [`Refusal::SourceNotFound`],
    /// [`Refusal::SourceDeleted`].
    pub(super) fn fork_source(&self, now_ms: u64, path: &StreamPath) -> Result<&Stream, Refusal> {
        if path.is_registry() {
            return Err(Refusal::SourceReadOnly { source_path: path.clone() });
        }
        self.live(now_ms, path).map_err(|refusal| match refusal {
            Refusal::Deleted { path } => Refusal::SourceDeleted { source_path: path },
            _ => Refusal::SourceNotFound { source_path: path.clone() },
        })
    }
}

/// The length of the part of a record that a fork contains: the whole messages in its first `inside` bytes and `sub_offset`
/// more of a JSON record, or that number of bytes of another one. `None` if the record has fewer.
fn cut_at(kind: Kind, record: &[u8], inside: u64, sub_offset: u64) -> Option<u64> {
    match kind {
        Kind::Json => {
            let before = whole_messages(record, usize::try_from(inside).ok()?);
            messages_end(&record[before..], sub_offset).map(|more| (before + more) as u64)
        }
        Kind::Text | Kind::Binary => inside.checked_add(sub_offset).filter(|end| *end <= record.len() as u64),
    }
}

/// The segments that hold the content before `end`, the last one cut there. Empty segments are left out.
fn segments_until(segments: impl Iterator<Item = Segment>, end: u64) -> Vec<Segment> {
    let mut cut = Vec::new();
    let mut start = 0;
    for segment in segments {
        let until = segment.until.min(end);
        if until > start {
            cut.push(Segment { until, ..segment });
            start = until;
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_cut_and_empty_ones_left_out() {
        let segments = [(1, 10), (2, 10), (3, 20), (4, u64::MAX)].map(|(log, until)| Segment { log, until, era: log });
        let check = |end, expected: &[(u64, u64)]| {
            let cut: Vec<_> = segments_until(segments.into_iter(), end).iter().map(|it| (it.log, it.until)).collect();
            assert_eq!(cut, expected, "until {end}");
        };
        check(0, &[]);
        check(10, &[(1, 10)]);
        check(11, &[(1, 10), (3, 11)]);
        check(30, &[(1, 10), (3, 20), (4, 30)]);
    }
}
