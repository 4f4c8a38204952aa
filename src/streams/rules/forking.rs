//! Forks: where they begin, and which segments hold their inherited content.

use std::sync::Arc;

use bytes::Bytes;

use super::ledger::Ledger;
use super::refusal::Refusal;
use super::stream::Stream;
use crate::streams::wire::{ForkRequest, Kind, Segment, StreamPath, messages_end};

/// The append after an offset that is not the end of its stream. It is read before the decision, and valid as long as the
/// stream has the same life.
#[derive(Debug, Clone)]
pub(crate) struct AppendAfter {
    /// The log of the source, which identifies its life.
    pub(crate) log: u64,
    /// The append that begins at the offset; `None` if none does.
    pub(crate) record: Option<Bytes>,
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
            Some(offset) => offset.position().filter(|at| *at <= source.tail).ok_or_else(|| wrong_offset(offset))?,
        };
        let mut base = position;
        if position < source.tail {
            let offset = request.offset.unwrap_or(source.next());
            let after_offset = after_offset.filter(|append| append.log == source.entry.log);
            let record = after_offset.and_then(|append| append.record.as_ref()).ok_or_else(|| wrong_offset(offset))?;
            let kind = source.content_type().kind();
            base += sub_length(kind, record, request.sub_offset).ok_or(wrong_sub_offset)?;
        } else if request.sub_offset > 0 {
            return Err(wrong_sub_offset);
        }
        let inherited = segments_until(&source.segments(), base);
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

/// The length of the first `sub_offset` messages of a JSON record, or bytes of another one; `None` if it has fewer.
fn sub_length(kind: Kind, record: &[u8], sub_offset: u64) -> Option<u64> {
    match kind {
        Kind::Json => messages_end(record, sub_offset).map(|end| end as u64),
        Kind::Text | Kind::Binary => (sub_offset <= record.len() as u64).then_some(sub_offset),
    }
}

/// The segments that hold the content before `end`, the last one cut there. Empty segments are left out.
fn segments_until(segments: &[Segment], end: u64) -> Vec<Segment> {
    let mut cut = Vec::new();
    let mut start = 0;
    for segment in segments {
        let until = segment.until.min(end);
        if until > start {
            cut.push(Segment { log: segment.log, until });
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
        let segments = [(1, 10), (2, 10), (3, 20), (4, u64::MAX)].map(|(log, until)| Segment { log, until });
        let check = |end, expected: &[(u64, u64)]| {
            let cut: Vec<_> = segments_until(&segments, end).iter().map(|it| (it.log, it.until)).collect();
            assert_eq!(cut, expected, "until {end}");
        };
        check(0, &[]);
        check(10, &[(1, 10)]);
        check(11, &[(1, 10), (3, 11)]);
        check(30, &[(1, 10), (3, 20), (4, 30)]);
    }
}
