//! A ledger with a map as its store, and the commands that tests run against both ledger and model.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use crate::streams::rules::{
    AppendAfter, Appended, Change, Content, Created, Effect, KeySpace, Ledger, LifecycleEvent, Limits, Refusal,
};
use crate::streams::wire::{
    AppendRequest, ContentType, CreateRequest, ForkRequest, Lifetime, Offset, ProducerStamp, StreamPath,
};

/// A command with everything that its outcome depends on.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Create { path: &'static str, request: CreateRequest, body: &'static str },
    Append { path: &'static str, request: AppendRequest, body: &'static str },
    Delete { path: &'static str },
    Read { path: &'static str },
    Follow { path: &'static str },
    Unfollow { path: &'static str },
    Sweep,
    Pass { ms: u64 },
}

/// The outcome of a command: a status, and the end of the stream if there is one.
pub(super) type Outcome = (u16, Option<u64>);

pub(in crate::streams::rules) const LIMITS: Limits = Limits {
    streams_max: 4,
    content_bytes_max: 4_000,
    metadata_bytes_max: u64::MAX / 2,
    producers_max: 2,
    producers_bytes_max: u64::MAX,
    producers_forgotten_max: 1_000,
    producer_idle_ms: 5_000,
    fork_segments_max: 4,
    registry: true,
    registry_gone_ms: u64::MAX,
    registry_gone_bytes_max: u64::MAX,
};

/// The ledger, the records that it wrote, and the time.
pub(super) struct Stage {
    pub(super) ledger: Ledger,
    pub(super) now_ms: u64,
    /// By log: start and bytes of each record.
    records: BTreeMap<u64, BTreeMap<u64, Bytes>>,
    /// The events that listeners get.
    pub(super) events: Vec<LifecycleEvent>,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self { ledger: Ledger::new(LIMITS, 1, 1), now_ms: 1_000_000, records: BTreeMap::new(), events: Vec::new() }
    }

    pub(super) fn run(&mut self, command: &Command) -> Outcome {
        let mut changes = Vec::new();
        let outcome = self.decide(command, &mut changes);
        assert!(outcome.0 < 400 || changes.is_empty(), "{command:?} was refused, but changed {changes:?}");
        changes.into_iter().for_each(|change| self.write(change));
        outcome
    }

    fn decide(&mut self, command: &Command, changes: &mut Vec<Change>) -> Outcome {
        let now_ms = self.now_ms;
        match command {
            Command::Create { path, request, body } => {
                let request = &self.in_era(request);
                let after_offset = request.fork.as_ref().and_then(|fork| self.append_after(fork));
                let content = (Content::new(Bytes::from_static(body.as_bytes())), after_offset.as_ref());
                created(self.ledger.create(now_ms, &name(path), request, content, changes))
            }
            Command::Append { path, request, body } => {
                let content = Content::new(Bytes::from_static(body.as_bytes()));
                appended(self.ledger.append(now_ms, &name(path), request, content, changes))
            }
            Command::Delete { path } => match self.ledger.delete(now_ms, &name(path), changes) {
                Ok(()) => (204, None),
                Err(refusal) => (status(&refusal), None),
            },
            Command::Read { path } => {
                let outcome = self.follow(path);
                self.unfollow(path, outcome.0);
                outcome
            }
            Command::Follow { path } => self.follow(path),
            Command::Unfollow { path } => {
                self.unfollow(path, 200);
                (200, None)
            }
            Command::Sweep => {
                self.ledger.sweep(now_ms, usize::MAX, changes);
                (200, None)
            }
            Command::Pass { ms } => {
                self.now_ms += ms;
                (200, None)
            }
        }
    }

    /// Does what opening a store with or without a registry does.
    pub(super) fn reconcile_registry(&mut self, registry: bool) {
        let mut changes = Vec::new();
        self.ledger.limits.registry = registry;
        self.ledger.reconcile_registry(self.now_ms, &mut changes);
        changes.into_iter().for_each(|change| self.write(change));
    }

    fn follow(&mut self, path: &str) -> Outcome {
        match self.ledger.follow(self.now_ms, &name(path)) {
            Ok(()) => (200, self.ledger.stream(&name(path)).map(|stream| stream.tail)),
            Err(refusal) => (status(&refusal), None),
        }
    }

    fn unfollow(&mut self, path: &str, followed: u16) {
        let log = self.ledger.stream(&name(path)).map(|stream| stream.entry.log);
        if let Some(log) = log.filter(|_| followed == 200) {
            self.ledger.unfollow(self.now_ms, &name(path), log);
        }
    }

    fn write(&mut self, change: Change) {
        match change {
            Change::Record { log, start, record, .. } => {
                let records = self.records.entry(log).or_default();
                let end = records.last_key_value().map(|(start, record)| start + record.len() as u64);
                assert!(end.is_none_or(|end| end == start), "log {log} ends at {end:?}, not at {start}");
                records.insert(start, record.bytes().clone());
            }
            Change::Removed { log, .. } => drop(self.records.remove(&log)),
            Change::Value { space: KeySpace::Counters, .. } => {}
            Change::Value { space, .. } | Change::Sweep { space, .. } => {
                panic!("no command on streams changes {space:?}")
            }
            Change::Created { path } | Change::Entry { path } | Change::Producer { path, .. } => {
                // Later changes of the same command may have removed it again.
                self.ledger.stream(&path);
            }
            Change::Happened(event) => self.events.push(*event),
        }
    }

    /// All bytes of a stream, read through its segments.
    pub(super) fn content(&self, path: &str) -> Vec<u8> {
        let stream = self.ledger.stream(&name(path)).expect("the caller knows that it exists");
        let (mut at, mut content) = (0, Vec::new());
        for segment in stream.layout().segments() {
            let until = segment.until.min(stream.tail);
            while at < until {
                let record = &self.records[&segment.log][&at];
                let taken = record.len().min((until - at) as usize);
                content.extend_from_slice(&record[..taken]);
                at += taken as u64;
            }
        }
        assert_eq!(at, stream.tail);
        content
    }

    /// Moves the offset of a fork to the era that its source has there: commands know positions only.
    fn in_era(&self, request: &CreateRequest) -> CreateRequest {
        let mut request = request.clone();
        if let Some(fork) = &mut request.fork
            && let Some(source) = self.ledger.stream(&fork.source)
        {
            fork.offset = fork.offset.map(|offset| source.layout().offset_at(offset.position()));
        }
        request
    }

    /// The append that holds the byte after the offset of a fork.
    fn append_after(&self, fork: &ForkRequest) -> Option<AppendAfter> {
        let position = fork.offset?.position();
        let stream = self.ledger.stream(&fork.source).filter(|stream| position < stream.tail)?;
        let segment = stream.layout().segments().find(|segment| segment.until > position)?;
        let (start, record) = self.records.get(&segment.log)?.range(..=position).next_back()?;
        let cut = record.slice(..record.len().min((segment.until - start) as usize));
        Some(AppendAfter { log: stream.entry.log, start: *start, record: cut })
    }
}

pub(super) fn name(path: &str) -> StreamPath {
    StreamPath::parse(path).unwrap()
}

fn created(outcome: Result<Created, Refusal>) -> Outcome {
    match outcome {
        Ok(created) => (if created.new { 201 } else { 200 }, Some(created.next.position())),
        Err(refusal) => (status(&refusal), None),
    }
}

fn appended(outcome: Result<Appended, Refusal>) -> Outcome {
    match outcome {
        Ok(Appended { effect: Effect::Wrote, producer: Some(_), next, .. }) => (200, Some(next.position())),
        Ok(Appended { next, .. }) => (204, Some(next.position())),
        Err(refusal) => (status(&refusal), None),
    }
}

fn status(refusal: &Refusal) -> u16 {
    match refusal {
        Refusal::NotFound { .. } | Refusal::SourceNotFound { .. } => 404,
        Refusal::Deleted { .. } => 410,
        Refusal::ReadOnly { .. } => 405,
        Refusal::ProducerFenced { .. } | Refusal::ProducerForgotten { .. } => 403,
        Refusal::EmptyBody
        | Refusal::NoContentType
        | Refusal::Json(_)
        | Refusal::NoMessages
        | Refusal::EpochBegins { .. }
        | Refusal::ForkOffset { .. }
        | Refusal::ForkSubOffset { .. } => 400,
        Refusal::NameHeld { .. }
        | Refusal::Exists { .. }
        | Refusal::ContentTypeDiffers { .. }
        | Refusal::Closed { .. }
        | Refusal::SeqRegressed { .. }
        | Refusal::ProducerGap { .. }
        | Refusal::SourceDeleted { .. }
        | Refusal::SourceReadOnly { .. }
        | Refusal::ForksTooDeep { .. } => 409,
        Refusal::Full { .. }
        | Refusal::MetadataFull { .. }
        | Refusal::TooManyStreams { .. }
        | Refusal::TooLong { .. } => 507,
        Refusal::TooManyProducers { .. } => 503,
    }
}

const TYPES: [&str; 6] = [
    "text/plain",
    "text/plain",
    "text/plain",
    "application/json",
    "application/json",
    "Application/JSON; charset=utf-8",
];
pub(super) const REGISTRY: &str = "__registry__";
const PATHS: [&str; 5] = ["a", "b", "c", "d", "e"];
const BODIES: [&str; 8] = ["", "x", "yyy", "[1,2]", "[]", "{\"a\":[1,2]}", "[\"p,q\",[3], 4]", "[1"];

/// Mostly an ordinary stream.
fn path() -> impl Strategy<Value = &'static str> {
    prop_oneof![20 => prop::sample::select(&PATHS[..]), 1 => Just(REGISTRY)]
}

fn content_type() -> impl Strategy<Value = Option<ContentType>> {
    prop::option::weighted(0.95, prop::sample::select(&TYPES[..]).prop_map(|text| ContentType::parse(text).unwrap()))
}

fn create() -> impl Strategy<Value = Command> {
    let lifetime = prop::option::weighted(
        0.25,
        prop_oneof![
            (0_u64..4).prop_map(|ttl_s| Lifetime::Idle { ttl_s }),
            (0_u64..8).prop_map(|s| Lifetime::Until { at_ms: 1_000_000 + s * 1_000, text: s.to_string().into() }),
        ],
    );
    let offset = prop::option::of((0_u64..14).prop_map(|position| Offset::at(0, position)));
    let sub_offset = prop_oneof![3 => Just(0_u64), 2 => 1_u64..4];
    let fork = (path(), offset, sub_offset).prop_map(|(source, offset, sub_offset)| ForkRequest {
        source: name(source),
        offset,
        sub_offset,
    });
    let parts = (content_type(), lifetime, prop::bool::weighted(0.1), prop::option::weighted(0.5, fork));
    let request =
        parts.prop_map(|(content_type, lifetime, closed, fork)| CreateRequest { content_type, lifetime, closed, fork });
    (path(), request, prop::sample::select(&BODIES[..])).prop_map(|(path, request, body)| Command::Create {
        path,
        request,
        body,
    })
}

fn append() -> impl Strategy<Value = Command> {
    let producer = (
        prop::sample::select(&["p", "p", "p", "q", "r"][..]),
        prop::sample::select(&[0_u64, 0, 0, 1, 2][..]),
        0_u64..3,
    )
        .prop_map(|(id, epoch, seq)| ProducerStamp { id: id.into(), epoch, seq });
    let seq = prop::sample::select(&["09", "10", "2", "2", "B"][..]);
    let parts = (
        content_type(),
        prop::bool::weighted(0.08),
        prop::option::weighted(0.35, seq),
        prop::option::weighted(0.5, producer),
    );
    let request = parts.prop_map(|(content_type, closed, seq, producer)| AppendRequest {
        content_type,
        closed,
        seq: seq.map(Into::into),
        producer,
    });
    (path(), request, prop::sample::select(&BODIES[..])).prop_map(|(path, request, body)| Command::Append {
        path,
        request,
        body,
    })
}

pub(super) fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => create(),
        12 => append(),
        2 => path().prop_map(|path| Command::Delete { path }),
        1 => path().prop_map(|path| Command::Read { path }),
        1 => path().prop_map(|path| Command::Follow { path }),
        1 => path().prop_map(|path| Command::Unfollow { path }),
        1 => Just(Command::Sweep),
        2 => (0_u64..2_500).prop_map(|ms| Command::Pass { ms }),
    ]
}
