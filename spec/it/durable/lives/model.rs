//! The model: the expected state of streams after the acknowledged calls.

use std::collections::BTreeMap;

use bytes::Bytes;

/// The content type of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Json,
    Binary,
}

impl Kind {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain",
            Self::Json => "application/json",
            Self::Binary => "application/octet-stream",
        }
    }

    /// Returns the request body of a record.
    pub(super) fn body_of(self, record: &[u8]) -> Vec<u8> {
        match self {
            Self::Text | Self::Binary => record.to_vec(),
            Self::Json => [b"[", record, b"]"].concat(),
        }
    }
}

/// Epoch and sequence number of a producer's request.
pub(super) type Stamp = (u64, u64);

/// One call.
#[derive(Clone)]
pub(super) enum Step {
    Create { name: String, kind: Kind, produced: bool, record: Bytes },
    Append { name: String, record: Bytes, close: bool, stamp: Option<Stamp> },
    Close { name: String },
    Delete { name: String },
    Fork { source: String, name: String, at: Option<(usize, String)> },
}

impl std::fmt::Debug for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Create { name, kind, record, .. } => write!(formatter, "create {name} {kind:?} {}", record.len()),
            Self::Append { name, record, close, stamp } => {
                write!(formatter, "append {} to {name}, close {close}, {stamp:?}", record.len())
            }
            Self::Close { name } => write!(formatter, "close {name}"),
            Self::Delete { name } => write!(formatter, "delete {name}"),
            Self::Fork { source, name, at } => write!(formatter, "fork {source} as {name} at {at:?}"),
        }
    }
}

/// One append, and the offset after it if it was returned.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) bytes: Bytes,
    pub(super) end: Option<String>,
}

/// One stream.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) kind: Kind,
    pub(super) records: Vec<Record>,
    pub(super) closed: bool,
    /// Deleted, but kept for its forks.
    pub(super) deleted: bool,
    pub(super) source: Option<String>,
    pub(super) produced: bool,
    /// The last call of its producer.
    pub(super) last: Option<Step>,
    pub(super) next_stamp: Stamp,
}

/// The state of a name, as a reader sees it.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Deleted,
    There { content: Vec<u8>, closed: bool },
}

impl std::fmt::Debug for Found {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => formatter.write_str("nothing"),
            Self::Deleted => formatter.write_str("deleted"),
            Self::There { content, closed } => write!(formatter, "{} bytes, closed {closed}", content.len()),
        }
    }
}

/// All streams of one writer.
#[derive(Debug, Clone, Default)]
pub(super) struct Model(pub(super) BTreeMap<String, Stream>);

impl Stream {
    /// Returns the content after the first `skipped` records.
    pub(super) fn content(&self, skipped: usize) -> Vec<u8> {
        let mut content = Vec::new();
        for record in &self.records[skipped..] {
            if self.kind == Kind::Json && !content.is_empty() {
                content.push(b',');
            }
            content.extend_from_slice(&record.bytes);
        }
        content
    }

    pub(super) fn length(&self) -> usize {
        self.records.iter().map(|record| record.bytes.len()).sum()
    }
}

impl Model {
    pub(super) fn found(&self, name: &str) -> Found {
        match self.0.get(name) {
            None => Found::Nothing,
            Some(stream) if stream.deleted => Found::Deleted,
            Some(stream) => Found::There { content: stream.content(0), closed: stream.closed },
        }
    }

    /// Returns the model after a step.
    pub(super) fn after(&self, step: &Step) -> Self {
        let mut model = self.clone();
        match step {
            Step::Create { name, kind, produced, record } => {
                let first = Some(Record { bytes: record.clone(), end: None }).filter(|record| !record.bytes.is_empty());
                let stream = Stream {
                    kind: *kind,
                    records: first.into_iter().collect(),
                    closed: false,
                    deleted: false,
                    source: None,
                    produced: *produced,
                    last: None,
                    next_stamp: (0, 0),
                };
                model.0.insert(name.clone(), stream);
            }
            Step::Append { name, record, close, stamp } => {
                let stream = model.0.get_mut(name).unwrap();
                stream.records.push(Record { bytes: record.clone(), end: None });
                stream.closed = *close;
                if let Some((epoch, number)) = stamp {
                    stream.last = Some(step.clone());
                    stream.next_stamp = (*epoch, number + 1);
                }
            }
            Step::Close { name } => model.0.get_mut(name).unwrap().closed = true,
            Step::Delete { name } => model.delete(name),
            Step::Fork { source, name, at } => {
                let mut fork = model.0[source].clone();
                fork.records.truncate(at.as_ref().map_or(fork.records.len(), |(count, _)| *count));
                let fork =
                    Stream { closed: false, source: Some(source.clone()), last: None, next_stamp: (0, 0), ..fork };
                model.0.insert(name.clone(), fork);
            }
        }
        model
    }

    fn delete(&mut self, name: &str) {
        if self.has_forks(name) {
            self.0.get_mut(name).unwrap().deleted = true;
            return;
        }
        let source = self.0.remove(name).and_then(|stream| stream.source);
        if let Some(source) = source.filter(|source| self.0[source].deleted && !self.has_forks(source)) {
            self.delete(&source);
        }
    }

    fn has_forks(&self, name: &str) -> bool {
        self.0.values().any(|stream| stream.source.as_deref() == Some(name))
    }
}
