//! Idempotent producers: their repeated requests take effect once. PROTOCOL "Idempotent producers".

use super::refusal::Refusal;
use crate::streams::wire::{ProducerEntry, ProducerStamp};

/// The place of a request in the sequence of its producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sequence {
    /// The next request.
    Next,
    /// A request that was accepted before; `last_seq` is the highest accepted number.
    Repeated { last_seq: u64 },
}

/// Finds the place of a request in the sequence of a producer with this entry, or with this epoch if it was forgotten. Errors:
/// [`Refusal::ProducerFenced`], [`Refusal::ProducerForgotten`], [`Refusal::EpochBegins`], [`Refusal::ProducerGap`].
pub(super) fn check(
    known: Option<ProducerEntry>,
    forgotten_epoch: Option<u64>,
    stamp: &ProducerStamp,
) -> Result<Sequence, Refusal> {
    let gap = |expected| Err(Refusal::ProducerGap { expected, received: stamp.seq });
    let begins = || if stamp.seq == 0 { Ok(Sequence::Next) } else { Err(Refusal::EpochBegins { seq: stamp.seq }) };
    let Some(known) = known else {
        return match forgotten_epoch {
            None if stamp.seq == 0 => Ok(Sequence::Next),
            None => gap(0),
            Some(current) if stamp.epoch < current => Err(Refusal::ProducerFenced { current }),
            Some(epoch) if stamp.epoch == epoch => Err(Refusal::ProducerForgotten { epoch }),
            Some(_) => begins(),
        };
    };
    if stamp.epoch < known.epoch {
        return Err(Refusal::ProducerFenced { current: known.epoch });
    }
    if stamp.epoch > known.epoch {
        return begins();
    }
    if stamp.seq <= known.last_seq {
        return Ok(Sequence::Repeated { last_seq: known.last_seq });
    }
    if stamp.seq == known.last_seq + 1 { Ok(Sequence::Next) } else { gap(known.last_seq + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the outcome for (epoch, seq) of a producer at epoch 3, sequence 7.
    fn expect(epoch: u64, seq: u64, expected: Result<Sequence, Refusal>) {
        let known = ProducerEntry { epoch: 3, last_seq: 7, used_ms: 0 };
        assert_eq!(
            check(Some(known), None, &ProducerStamp { id: "p".into(), epoch, seq }),
            expected,
            "({epoch}, {seq})"
        );
    }

    #[test]
    fn the_next_request_and_a_new_epoch_are_accepted() {
        expect(3, 8, Ok(Sequence::Next));
        expect(4, 0, Ok(Sequence::Next));
        expect(9, 0, Ok(Sequence::Next));
    }

    #[test]
    fn a_repeated_request_returns_the_highest_accepted_number() {
        expect(3, 7, Ok(Sequence::Repeated { last_seq: 7 }));
        expect(3, 0, Ok(Sequence::Repeated { last_seq: 7 }));
    }

    #[test]
    fn a_stale_epoch_and_a_gap_are_refused_and_an_epoch_begins_at_0() {
        expect(2, 8, Err(Refusal::ProducerFenced { current: 3 }));
        expect(3, 9, Err(Refusal::ProducerGap { expected: 8, received: 9 }));
        expect(4, 1, Err(Refusal::EpochBegins { seq: 1 }));
    }

    #[test]
    fn an_unknown_producer_begins_at_0_in_any_epoch() {
        let first = |epoch, seq| check(None, None, &ProducerStamp { id: "p".into(), epoch, seq });
        assert_eq!(first(5, 0), Ok(Sequence::Next));
        assert_eq!(first(0, 2), Err(Refusal::ProducerGap { expected: 0, received: 2 }));
    }

    #[test]
    fn a_forgotten_producer_begins_a_new_epoch() {
        let sent = |epoch, seq| check(None, Some(3), &ProducerStamp { id: "p".into(), epoch, seq });
        for seq in [0, 8] {
            assert_eq!(sent(3, seq), Err(Refusal::ProducerForgotten { epoch: 3 }), "it may be a repetition");
        }
        assert_eq!(sent(2, 0), Err(Refusal::ProducerFenced { current: 3 }));
        assert_eq!(sent(4, 0), Ok(Sequence::Next));
        assert_eq!(sent(4, 1), Err(Refusal::EpochBegins { seq: 1 }));
    }
}
