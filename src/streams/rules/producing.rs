//! Producers whose repeated requests count once. PROTOCOL "Idempotent producers".

use super::ledger::Limits;
use super::refusal::Refusal;
use super::stream::Stream;
use crate::streams::wire::{ProducerEntry, ProducerStamp};

/// What a producer's request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The next one.
    Next,
    /// It was accepted before; the highest accepted number.
    Again { last_seq: u64 },
}

/// Whose turn it is. Errors: [`Refusal::ProducerFenced`], [`Refusal::EpochBegins`], [`Refusal::ProducerGap`].
pub(super) fn turn(known: Option<ProducerEntry>, stamp: &ProducerStamp) -> Result<Turn, Refusal> {
    let gap = |expected| Err(Refusal::ProducerGap { expected, received: stamp.seq });
    let Some(known) = known else {
        return if stamp.seq == 0 { Ok(Turn::Next) } else { gap(0) };
    };
    if stamp.epoch < known.epoch {
        return Err(Refusal::ProducerFenced { current: known.epoch });
    }
    if stamp.epoch > known.epoch {
        return if stamp.seq == 0 { Ok(Turn::Next) } else { Err(Refusal::EpochBegins { seq: stamp.seq }) };
    }
    if stamp.seq <= known.last_seq {
        return Ok(Turn::Again { last_seq: known.last_seq });
    }
    if stamp.seq == known.last_seq + 1 { Ok(Turn::Next) } else { gap(known.last_seq + 1) }
}

/// Makes room for a producer that is new to the stream: those that have been idle for long are forgotten if there is
/// no other way. Errors: [`Refusal::TooManyProducers`].
pub(super) fn make_room(stream: &mut Stream, limits: &Limits, now_ms: u64, id: &str) -> Result<(), Refusal> {
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

/// The request was accepted.
pub(super) fn accept(stream: &mut Stream, stamp: &ProducerStamp, now_ms: u64) {
    let entry = ProducerEntry { epoch: stamp.epoch, last_seq: stamp.seq, used_ms: now_ms };
    stream.producers_mut().insert(stamp.id.clone(), entry);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a producer at epoch 3, sequence 7 gets for (epoch, seq).
    fn check(epoch: u64, seq: u64, expected: Result<Turn, Refusal>) {
        let known = ProducerEntry { epoch: 3, last_seq: 7, used_ms: 0 };
        assert_eq!(turn(Some(known), &ProducerStamp { id: "p".into(), epoch, seq }), expected, "({epoch}, {seq})");
    }

    #[test]
    fn the_next_request_and_a_new_epoch_are_accepted() {
        check(3, 8, Ok(Turn::Next));
        check(4, 0, Ok(Turn::Next));
        check(9, 0, Ok(Turn::Next));
    }

    #[test]
    fn a_repeated_request_tells_the_highest_accepted_number() {
        check(3, 7, Ok(Turn::Again { last_seq: 7 }));
        check(3, 0, Ok(Turn::Again { last_seq: 7 }));
    }

    #[test]
    fn a_stale_epoch_is_fenced_a_gap_is_told_and_an_epoch_begins_at_0() {
        check(2, 8, Err(Refusal::ProducerFenced { current: 3 }));
        check(3, 9, Err(Refusal::ProducerGap { expected: 8, received: 9 }));
        check(4, 1, Err(Refusal::EpochBegins { seq: 1 }));
    }

    #[test]
    fn an_unknown_producer_begins_at_0_in_any_epoch() {
        let first = |epoch, seq| turn(None, &ProducerStamp { id: "p".into(), epoch, seq });
        assert_eq!(first(5, 0), Ok(Turn::Next));
        assert_eq!(first(0, 2), Err(Refusal::ProducerGap { expected: 0, received: 2 }));
    }
}
