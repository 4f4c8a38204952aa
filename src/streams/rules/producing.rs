//! Idempotent producers: their repeated requests take effect once. PROTOCOL "Idempotent producers".

use super::ledger::Limits;
use super::refusal::Refusal;
use super::stream::Stream;
use crate::streams::wire::{ProducerEntry, ProducerStamp};

/// The place of a request in the sequence of its producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sequence {
    /// The next request.
    Next,
    /// A request that was accepted before; `last_seq` is the highest accepted number.
    Repeated { last_seq: u64 },
}

/// Finds the place of a request in the sequence. Errors: [`Refusal::ProducerFenced`], [`Refusal::EpochBegins`],
/// [`Refusal::ProducerGap`].
pub(super) fn check(known: Option<ProducerEntry>, stamp: &ProducerStamp) -> Result<Sequence, Refusal> {
    let gap = |expected| Err(Refusal::ProducerGap { expected, received: stamp.seq });
    let Some(known) = known else {
        return if stamp.seq == 0 { Ok(Sequence::Next) } else { gap(0) };
    };
    if stamp.epoch < known.epoch {
        return Err(Refusal::ProducerFenced { current: known.epoch });
    }
    if stamp.epoch > known.epoch {
        return if stamp.seq == 0 { Ok(Sequence::Next) } else { Err(Refusal::EpochBegins { seq: stamp.seq }) };
    }
    if stamp.seq <= known.last_seq {
        return Ok(Sequence::Repeated { last_seq: known.last_seq });
    }
    if stamp.seq == known.last_seq + 1 { Ok(Sequence::Next) } else { gap(known.last_seq + 1) }
}

/// Makes space for a producer that is new to the stream, by forgetting those that have been idle for long if the limit is
/// reached. Errors: [`Refusal::TooManyProducers`].
pub(super) fn make_space(stream: &mut Stream, limits: &Limits, now_ms: u64, id: &str) -> Result<(), Refusal> {
    let producers = stream.producers_mut();
    if producers.len() < limits.producers_max || producers.contains_key(id) {
        return Ok(());
    }
    producers.retain(|_, producer| producer.used_ms.saturating_add(limits.producer_idle_ms) > now_ms);
    match producers.len() < limits.producers_max {
        true => Ok(()),
        false => Err(Refusal::TooManyProducers { producers_max: limits.producers_max }),
    }
}

/// Remembers an accepted request.
pub(super) fn accept(stream: &mut Stream, stamp: &ProducerStamp, now_ms: u64) {
    let entry = ProducerEntry { epoch: stamp.epoch, last_seq: stamp.seq, used_ms: now_ms };
    stream.producers_mut().insert(stamp.id.clone(), entry);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the outcome for (epoch, seq) of a producer at epoch 3, sequence 7.
    fn expect(epoch: u64, seq: u64, expected: Result<Sequence, Refusal>) {
        let known = ProducerEntry { epoch: 3, last_seq: 7, used_ms: 0 };
        assert_eq!(check(Some(known), &ProducerStamp { id: "p".into(), epoch, seq }), expected, "({epoch}, {seq})");
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
        let first = |epoch, seq| check(None, &ProducerStamp { id: "p".into(), epoch, seq });
        assert_eq!(first(5, 0), Ok(Sequence::Next));
        assert_eq!(first(0, 2), Err(Refusal::ProducerGap { expected: 0, received: 2 }));
    }
}
