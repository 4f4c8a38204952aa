//! `POST`: append, close, or both. The order of the checks is the protocol's.

use super::change::Change;
use super::content::Content;
use super::event::Happened;
use super::ledger::{Ledger, check_length};
use super::producing::{self, Turn};
use super::refusal::Refusal;
use super::stream::Stream;
use crate::streams::wire::{AppendRequest, Closing, Offset, ProducerStamp, StreamPath};

/// What a `POST` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Its content was appended; perhaps the stream was closed, too.
    Wrote,
    /// It had no content and closed the stream, or found it closed.
    Closed,
    /// It had been done before.
    Repeated,
}

/// The answer to a `POST` that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// What it did.
    pub effect: Effect,
    /// The end of the stream.
    pub next: Offset,
    /// Whether the stream is closed.
    pub closed: bool,
    /// Epoch and highest accepted number of the producer, if the request came from one.
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
            && let Turn::Again { last_seq } = producing::turn(stream.producer(&stamp.id), stamp)?
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
        // A stream can be closed, and deleted, however full everything is.
        if record.is_some() {
            self.check_room(record.as_ref())?;
        }
        self.note(now_ms, path, request, changes)?;
        let effect = if record.is_some() { Effect::Wrote } else { Effect::Closed };
        if let Some(record) = record {
            self.put(path, record, changes);
        }
        if request.closed {
            self.tell(now_ms, path, Happened::Closed, changes);
        }
        let stream = self.live(now_ms, path)?;
        let producer = request.producer.as_ref().map(|stamp| (stamp.epoch, stamp.seq));
        Ok(Appended { effect, next: stream.next(), closed: stream.is_closed(), producer })
    }

    /// Everything that an accepted request changes beside the content. Errors: [`Refusal::TooManyProducers`].
    fn note(
        &mut self,
        now_ms: u64,
        path: &StreamPath,
        request: &AppendRequest,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refusal> {
        let limits = self.limits;
        let stream = self.live_mut(now_ms, path)?;
        if let Some(stamp) = &request.producer {
            producing::make_room(stream, &limits, now_ms, &stamp.id)?;
            producing::accept(stream, stamp, now_ms);
            changes.push(Change::Producer { path: path.clone(), log: stream.entry.log, id: stamp.id.clone() });
        }
        stream.touch(now_ms);
        if let Some(seq) = &request.seq {
            stream.entry.last_seq = Some(seq.clone());
        }
        if request.closed {
            stream.entry.closed = Some(Closing { by: request.producer.clone().map(Box::new) });
        }
        if request.closed || request.seq.is_some() {
            changes.push(Change::Entry { path: path.clone() });
        }
        Ok(())
    }
}

/// A closed stream still knows the request that closed it, and can be closed again.
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
        Some(_) | None => Err(fenced(stream, request.producer.as_ref())
            .unwrap_or_else(|| Refusal::Closed { path: path.clone(), tail: stream.next() })),
    }
}

/// A producer that was taken over is told so, closed stream or not.
fn fenced(stream: &Stream, stamp: Option<&ProducerStamp>) -> Option<Refusal> {
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
