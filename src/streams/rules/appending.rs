//! `POST`: append, close, or both. The protocol defines the order of the checks.

use super::change::Change;
use super::content::Content;
use super::event::Happened;
use super::ledger::{Ledger, check_length};
use super::metadata::TEXT_COPIES;
use super::producing::{self, Sequence};
use super::refusal::Refusal;
use super::stream::Stream;
use crate::streams::wire::{AppendRequest, Closing, Offset, ProducerStamp, StreamPath};

/// The effect of a `POST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Its content was appended, and the stream closed if it asked for that.
    Wrote,
    /// It had no content, and closed the stream or found it closed.
    Closed,
    /// It repeats an earlier request; nothing changed.
    Repeated,
}

/// The answer to an accepted `POST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The effect.
    pub effect: Effect,
    /// The offset of the end of the stream.
    pub next: Offset,
    /// True if the stream is closed.
    pub closed: bool,
    /// Epoch and highest accepted sequence number of the producer, if the request came from one.
    pub producer: Option<(u64, u64)>,
}

impl Ledger {
    /// Appends, closes, or both. Errors: the first check that fails, in the order of PROTOCOL "Append"; then nothing
    /// has changed.
    pub(crate) fn append(
        &mut self,
        now_ms: u64,
        path: &StreamPath,
        request: &AppendRequest,
        content: Content,
        changes: &mut Vec<Change>,
    ) -> Result<Appended, Refusal> {
        self.check_writable(path)?;
        let stream = self.live(now_ms, path)?;
        let kind = stream.content_type().kind();
        if content.is_empty() && !request.closed {
            return Err(Refusal::EmptyBody);
        }
        if !content.is_empty() && request.content_type.is_none() {
            return Err(Refusal::NoContentType);
        }
        if stream.is_closed() {
            let again = append_to_closed(stream, path, request, &content)?;
            self.live_mut(now_ms, path)?.touch(now_ms);
            return Ok(again);
        }
        let differs = request.content_type.as_ref().filter(|given| *given != stream.content_type());
        if let Some(differs) = differs.filter(|_| !content.is_empty()) {
            let (stream, request) = (stream.content_type().as_str().into(), differs.as_str().into());
            return Err(Refusal::ContentTypeDiffers { stream, request });
        }
        if let Some(stamp) = &request.producer
            && let Sequence::Repeated { last_seq } = check_producer(stream, stamp)?
        {
            let again = repeated(stream, (stamp.epoch, last_seq));
            self.live_mut(now_ms, path)?.touch(now_ms);
            return Ok(again);
        }
        check_seq(stream, request)?;
        let is_empty = content.is_empty();
        let record = content.into_record(kind)?;
        if record.is_none() && !is_empty {
            return Err(Refusal::NoMessages);
        }
        check_length(path, stream.tail, record.as_ref())?;
        // Closing must be possible even if there is no capacity left.
        if record.is_some() {
            self.check_capacity(record.as_ref())?;
        }
        self.apply(now_ms, path, request, changes)?;
        let effect = if record.is_some() { Effect::Wrote } else { Effect::Closed };
        if let Some(record) = record {
            self.append_record(path, record, changes);
        }
        if request.closed {
            self.record_event(now_ms, path, Happened::Closed, changes);
        }
        let stream = self.live(now_ms, path)?;
        let producer = request.producer.as_ref().map(|stamp| (stamp.epoch, stamp.seq));
        Ok(Appended { effect, next: stream.next(), closed: stream.is_closed(), producer })
    }

    /// Applies what an accepted request changes besides the content. Errors: [`Refusal::TooManyProducers`],
    /// [`Refusal::MetadataFull`].
    fn apply(
        &mut self,
        now_ms: u64,
        path: &StreamPath,
        request: &AppendRequest,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refusal> {
        let stream = self.live(now_ms, path)?;
        if let Some(seq) = &request.seq {
            let before = stream.entry.last_seq.as_ref().map_or(0, |before| before.len());
            self.check_more(TEXT_COPIES * seq.len().saturating_sub(before) as u64)?;
        }
        if let Some(stamp) = &request.producer {
            self.accept_producer(now_ms, path, stamp, changes)?;
        }
        let stream = self.live_mut(now_ms, path)?;
        stream.touch(now_ms);
        if let Some(seq) = &request.seq {
            stream.entry.last_seq = Some(seq.clone());
        }
        if request.closed {
            stream.entry.closed = Some(Closing { by: request.producer.clone().map(Box::new) });
        }
        if request.closed || request.seq.is_some() {
            changes.push(Change::Entry { path: path.clone() });
            self.count_metadata(path);
        }
        Ok(())
    }

    /// Remembers the request of a producer, for which others may have to be forgotten. Errors: [`Refusal::TooManyProducers`].
    fn accept_producer(
        &mut self,
        now_ms: u64,
        path: &StreamPath,
        stamp: &ProducerStamp,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refusal> {
        let (limits, stream) = (self.limits, self.live(now_ms, path)?);
        let is_new = stream.producer(&stamp.id).is_none();
        let bytes_max = self.producers_bytes_left(stream);
        let stream = self.live_mut(now_ms, path)?;
        let (log, producers) = (stream.entry.log, stream.producers_mut());
        let mut rows = producers.make_space(&stamp.id, (now_ms, bytes_max), &limits)?;
        rows.append(&mut producers.accept(stamp, now_ms));
        changes.extend(rows.into_iter().map(|id| Change::Producer { path: path.clone(), log, id }));
        if is_new {
            self.count_metadata(path);
        }
        Ok(())
    }
}

/// Finds the place of a request in the sequence of its producer. Errors: those of [`producing::check`].
fn check_producer(stream: &Stream, stamp: &ProducerStamp) -> Result<Sequence, Refusal> {
    let known = stream.producer(&stamp.id);
    let forgotten = if known.is_none() { stream.forgotten_epoch(&stamp.id) } else { None };
    producing::check(known, forgotten, stamp)
}

/// Answers a request to a closed stream: a repetition of the one that closed it, and closing it again, are accepted.
fn append_to_closed(
    stream: &Stream,
    path: &StreamPath,
    request: &AppendRequest,
    content: &Content,
) -> Result<Appended, Refusal> {
    let closed_by = stream.entry.closed.as_ref().and_then(|closing| closing.by.as_deref());
    match &request.producer {
        Some(stamp) if closed_by == Some(stamp) => Ok(repeated(stream, (stamp.epoch, stamp.seq))),
        None if content.is_empty() => {
            Ok(Appended { effect: Effect::Closed, next: stream.next(), closed: true, producer: None })
        }
        Some(_) | None => Err(stale_epoch(stream, request.producer.as_ref())
            .unwrap_or_else(|| Refusal::Closed { path: path.clone(), tail: stream.next() })),
    }
}

/// The refusal of a stale epoch, which takes precedence over that of a closed stream.
fn stale_epoch(stream: &Stream, stamp: Option<&ProducerStamp>) -> Option<Refusal> {
    let stamp = stamp?;
    let known = stream.producer(&stamp.id)?;
    (stamp.epoch < known.epoch).then_some(Refusal::ProducerFenced { current: known.epoch })
}

fn repeated(stream: &Stream, producer: (u64, u64)) -> Appended {
    let (next, closed) = (stream.next(), stream.is_closed());
    Appended { effect: Effect::Repeated, next, closed, producer: Some(producer) }
}

fn check_seq(stream: &Stream, request: &AppendRequest) -> Result<(), Refusal> {
    match (&request.seq, &stream.entry.last_seq) {
        (Some(got), Some(last)) if got.as_bytes() <= last.as_bytes() => {
            Err(Refusal::SeqRegressed { last: last.to_string(), got: got.to_string() })
        }
        (Some(_) | None, _) => Ok(()),
    }
}
