//! The layout of a stream: which log and which era each part of its content belongs to.

use super::offset::Offset;

/// A part of a stream's content: the part of a log from the end of the previous segment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Segment {
    pub(crate) log: u64,
    pub(crate) until: u64,
    /// The era of its offsets.
    #[serde(default, skip_serializing_if = "is_first")]
    pub(crate) era: u64,
}

fn is_first(era: &u64) -> bool {
    *era == 0
}

/// The segments of a stream, in order: those that a fork inherits, then its own, which grows. Eras never decrease from one
/// segment to the next, so offsets sort as positions do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout<'a> {
    pub(crate) inherited: &'a [Segment],
    pub(crate) log: u64,
    pub(crate) era: u64,
}

impl<'a> Layout<'a> {
    /// Returns the segments; the stream's own is the last one, and has no end.
    pub(crate) fn segments(self) -> impl Iterator<Item = Segment> + use<'a> {
        let own = Segment { log: self.log, until: u64::MAX, era: self.era };
        self.inherited.iter().copied().chain([own])
    }

    /// Returns the offset of a position: in the era of the byte before it, so that a new fork ends at the offset of its
    /// source.
    pub(crate) fn offset_at(self, position: u64) -> Offset {
        if position == 0 {
            return Offset::START;
        }
        let inherited = self.inherited.iter().find(|segment| segment.until >= position);
        Offset::at(inherited.map_or(self.era, |segment| segment.era), position)
    }

    /// Returns the position of an offset, which may be beyond the end of the stream; `None` if the offset is from another
    /// life of it.
    pub(crate) fn position_of(self, offset: Offset) -> Option<u64> {
        if offset == Offset::START {
            return Some(0);
        }
        let mut start = 0;
        for segment in self.segments() {
            if segment.era == offset.era() && offset.position() <= segment.until {
                return Some(offset.position().max(start));
            }
            start = segment.until;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fork of a fork: 10 bytes of era 3, 10 of era 5, and its own in era 8.
    const INHERITED: [Segment; 2] = [Segment { log: 1, until: 10, era: 3 }, Segment { log: 2, until: 20, era: 5 }];
    const FORK: Layout<'_> = Layout { inherited: &INHERITED, log: 4, era: 8 };

    #[test]
    fn an_offset_has_the_era_of_the_byte_before_it() {
        let eras = [(0, 0), (1, 3), (10, 3), (11, 5), (20, 5), (21, 8)];
        for (position, era) in eras {
            let offset = FORK.offset_at(position);
            assert_eq!((offset.era(), offset.position()), (era, position));
            assert_eq!(FORK.position_of(offset), Some(position));
        }
    }

    #[test]
    fn an_offset_of_another_life_has_no_position() {
        let gone = [(3, 11), (5, 21), (0, 1), (4, 5), (9, 25), (9, 0)];
        for (era, position) in gone {
            assert_eq!(FORK.position_of(Offset::at(era, position)), None, "{era} {position}");
        }
    }

    #[test]
    fn an_offset_before_its_era_begins_is_at_that_beginning() {
        assert_eq!(FORK.position_of(Offset::at(8, 3)), Some(20));
        assert_eq!(FORK.position_of(Offset::at(5, 3)), Some(10));
        assert_eq!(FORK.position_of(Offset::at(8, 99)), Some(99));
    }

    #[test]
    fn a_fork_from_before_there_were_eras_has_one_for_all() {
        let inherited = [Segment { log: 1, until: 10, era: 0 }];
        let fork = Layout { inherited: &inherited, log: 4, era: 0 };
        for position in [0, 5, 10, 15] {
            assert_eq!(fork.offset_at(position), Offset::at(0, position));
            assert_eq!(fork.position_of(Offset::at(0, position)), Some(position));
        }
    }
}
