//! `PUT`: create a stream, or find it.

use std::sync::Arc;

use super::change::Change;
use super::content::Content;
use super::event::Happened;
use super::forking::AppendAfter;
use super::ledger::{Ledger, check_length};
use super::refusal::Refusal;
use super::stream::Stream;
use crate::streams::wire::{
    Closing, ContentType, CreateRequest, ForkRequest, Lifetime, Offset, Origin, StreamEntry, StreamPath,
};

/// The answer to an accepted `PUT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// True if the request created the stream.
    pub new: bool,
    /// The media type.
    pub content_type: ContentType,
    /// The offset of its end.
    pub next: Offset,
    /// True if the stream is closed.
    pub closed: bool,
}

impl Created {
    fn of(stream: &Stream, new: bool) -> Self {
        let (content_type, next, closed) = (stream.content_type().clone(), stream.next(), stream.is_closed());
        Self { new, content_type, next, closed }
    }
}

/// The properties of a new stream.
struct Plan {
    content_type: ContentType,
    lifetime: Lifetime,
    base: u64,
    origin: Option<Box<Origin>>,
    inherited: Arc<[crate::streams::wire::Segment]>,
}

impl Ledger {
    /// Creates the stream, or finds it with the same configuration and changes nothing. `after_offset` is the append after
    /// a fork's offset. Errors: the first check that fails, in the order of PROTOCOL "Create" and "Forks"; then nothing has
    /// changed.
    pub(crate) fn create(
        &mut self,
        now_ms: u64,
        path: &StreamPath,
        request: &CreateRequest,
        (content, after_offset): (Content, Option<&AppendAfter>),
        changes: &mut Vec<Change>,
    ) -> Result<Created, Refusal> {
        if let Some(found) = self.find_created(now_ms, path, request)? {
            return Ok(found);
        }
        let plan = self.plan(now_ms, request, after_offset)?;
        let record = content.into_record(plan.content_type.kind())?;
        check_length(path, plan.base, record.as_ref())?;
        self.check_capacity(record.as_ref())?;
        self.check_count(path)?;
        let entry = self.entry(now_ms, plan, request.closed);
        self.check_new(path, &entry)?;
        // A stream of this name that is still here has expired, and was not swept yet.
        self.end(now_ms, path, Happened::Expired, changes);
        if let Some(source) = request.fork.as_ref().and_then(|fork| self.streams.get_mut(&fork.source)) {
            source.entry.forks += 1;
        }
        changes.extend(request.fork.as_ref().map(|fork| Change::Entry { path: fork.source.clone() }));
        let (tail, forked_at) = (entry.base, entry.origin.as_ref().map_or(Offset::START, |origin| origin.offset()));
        self.insert(path.clone(), Stream::new(entry, tail));
        changes.push(Change::Created { path: path.clone() });
        if let Some(record) = record {
            self.append_record(path, record, changes);
        }
        self.record_event(now_ms, path, beginning_of(request.fork.as_ref(), forked_at), changes);
        self.plan_sweep(path, now_ms);
        let stream = self.stream(path).expect("it was just inserted");
        Ok(Created::of(stream, true))
    }

    /// Checks what does not depend on the content. Errors: those of [`Ledger::create`].
    pub(crate) fn check_create(&self, now_ms: u64, path: &StreamPath, request: &CreateRequest) -> Result<(), Refusal> {
        if self.find_created(now_ms, path, request)?.is_some() {
            return Ok(());
        }
        if let Some(fork) = &request.fork {
            check_type(self.fork_source(now_ms, &fork.source)?, request)?;
        }
        self.check_count(path)?;
        self.check_any_new()
    }

    /// Returns the stream if it exists with the same configuration. Errors: [`Refusal::ReadOnly`], [`Refusal::NameHeld`],
    /// [`Refusal::Exists`].
    fn find_created(
        &self,
        now_ms: u64,
        path: &StreamPath,
        request: &CreateRequest,
    ) -> Result<Option<Created>, Refusal> {
        self.check_writable(path)?;
        let Some(found) = self.streams.get(path) else { return Ok(None) };
        let expired = !found.entry.deleted && found.has_expired(now_ms);
        if found.entry.deleted || (expired && found.entry.forks > 0) {
            return Err(Refusal::NameHeld { path: path.clone() });
        }
        if expired {
            return Ok(None);
        }
        match difference(found, request) {
            None => Ok(Some(Created::of(found, false))),
            Some(difference) => Err(Refusal::Exists { path: path.clone(), difference }),
        }
    }

    /// Errors: [`Refusal::TooManyStreams`].
    fn check_count(&self, path: &StreamPath) -> Result<(), Refusal> {
        match self.streams_count() >= self.limits.streams_max && !self.streams.contains_key(path) {
            true => Err(Refusal::TooManyStreams { streams_max: self.limits.streams_max }),
            false => Ok(()),
        }
    }

    fn plan(&self, now_ms: u64, request: &CreateRequest, after_offset: Option<&AppendAfter>) -> Result<Plan, Refusal> {
        let Some(fork) = &request.fork else {
            return Ok(Plan {
                content_type: request.content_type.clone().unwrap_or_default(),
                lifetime: request.lifetime.clone().unwrap_or(Lifetime::Unlimited),
                base: 0,
                origin: None,
                inherited: Arc::default(),
            });
        };
        let source = self.fork_source(now_ms, &fork.source)?;
        check_type(source, request)?;
        let point = self.fork_point(source, fork, after_offset)?;
        let origin = Origin {
            source: fork.source.as_str().to_owned(),
            position: point.position,
            era: source.layout().offset_at(point.position).era(),
            sub_offset: fork.sub_offset,
            lifetime_inherited: request.lifetime.is_none(),
        };
        Ok(Plan {
            content_type: request.content_type.clone().unwrap_or_else(|| source.content_type().clone()),
            lifetime: request.lifetime.clone().unwrap_or_else(|| source.entry.lifetime.clone()),
            base: point.base,
            origin: Some(Box::new(origin)),
            inherited: point.inherited,
        })
    }

    fn entry(&mut self, now_ms: u64, plan: Plan, closed: bool) -> StreamEntry {
        StreamEntry {
            log: self.take_log(),
            era: self.take_era(),
            content_type: plan.content_type,
            lifetime: plan.lifetime,
            created_ms: now_ms,
            accessed_ms: now_ms,
            base: plan.base,
            closed: closed.then_some(Closing { by: None }),
            last_seq: None,
            origin: plan.origin,
            inherited: plan.inherited,
            forks: 0,
            deleted: false,
        }
    }
}

/// Checks that a fork has the content type of its source. Errors: [`Refusal::ContentTypeDiffers`].
fn check_type(source: &Stream, request: &CreateRequest) -> Result<(), Refusal> {
    match request.content_type.as_ref().filter(|given| *given != source.content_type()) {
        None => Ok(()),
        Some(differs) => {
            let (stream, request) = (source.content_type().as_str().into(), differs.as_str().into());
            Err(Refusal::ContentTypeDiffers { stream, request })
        }
    }
}

/// The event of a new stream; a fork begins at `offset` of its source.
fn beginning_of(fork: Option<&ForkRequest>, offset: Offset) -> Happened {
    let Some(fork) = fork else { return Happened::Created };
    let source = fork.source.as_str().to_owned();
    Happened::Forked { source, offset, sub_offset: fork.sub_offset }
}

/// Returns the first difference between the stream and the request.
fn difference(stream: &Stream, request: &CreateRequest) -> Option<&'static str> {
    let entry = &stream.entry;
    let differs = match (&request.fork, &entry.origin) {
        (None, None) => None,
        (Some(fork), Some(origin)) => fork_difference(fork, origin),
        (Some(_), None) => Some("content that is not forked"),
        (None, Some(_)) => Some("content that is forked from another stream"),
    };
    let forked = entry.origin.is_some();
    let type_fits = match &request.content_type {
        None => forked || entry.content_type == ContentType::default(),
        Some(content_type) => *content_type == entry.content_type,
    };
    let inherited = entry.origin.as_ref().is_some_and(|origin| origin.lifetime_inherited);
    let lifetime_fits = match &request.lifetime {
        None => inherited || (!forked && entry.lifetime == Lifetime::Unlimited),
        Some(lifetime) => same_lifetime(lifetime, &entry.lifetime),
    };
    let checks = [
        (type_fits, "another content type"),
        (lifetime_fits, "another lifetime"),
        (request.closed == stream.is_closed(), if request.closed { "its end still open" } else { "its end closed" }),
    ];
    differs.or_else(|| checks.into_iter().find(|(fits, _)| !fits).map(|(_, difference)| difference))
}

/// Compares lifetimes; two texts for the same instant are equal.
fn same_lifetime(one: &Lifetime, other: &Lifetime) -> bool {
    match (one, other) {
        (Lifetime::Until { at_ms: one, .. }, Lifetime::Until { at_ms: other, .. }) => one == other,
        (Lifetime::Until { .. } | Lifetime::Idle { .. } | Lifetime::Unlimited, other) => one == other,
    }
}

fn fork_difference(fork: &ForkRequest, origin: &Origin) -> Option<&'static str> {
    if fork.source.as_str() != origin.source {
        return Some("content that is forked from another stream");
    }
    if fork.offset.is_some_and(|offset| offset.position() != origin.position) {
        return Some("another fork offset");
    }
    (fork.sub_offset != origin.sub_offset).then_some("another fork sub-offset")
}
