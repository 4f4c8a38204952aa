//! The body of a request, on its way to a record.

use bytes::Bytes;

use super::refusal::Refusal;
use crate::store::Record;
use crate::streams::wire::{JsonError, Kind, record_of};

/// A body, and the record that it makes if that was worked out already: large bodies are better looked at before the ledger
/// is held.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    body: Record,
    json: Option<Result<Option<Record>, JsonError>>,
}

impl Content {
    pub(crate) fn new(body: Bytes) -> Self {
        Self { body: body.into(), json: None }
    }

    /// Works out what it is in a stream of this kind.
    pub(crate) fn prepared_for(mut self, kind: Kind) -> Self {
        if kind == Kind::Json && self.json.is_none() && !self.body.is_empty() {
            self.json = Some(record_of(&self.body).map(|record| record.map(Record::from)));
        }
        self
    }

    /// Sums the record, for a store that needs that.
    pub(crate) fn summed(mut self) -> Self {
        match &mut self.json {
            Some(Ok(Some(record))) => *record = std::mem::take(record).summed(),
            Some(_) => {}
            None => self.body = self.body.summed(),
        }
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// The record; `None` for a body without content. Errors: [`Refusal::Json`].
    pub(crate) fn into_record(self, kind: Kind) -> Result<Option<Record>, Refusal> {
        let prepared = self.prepared_for(kind);
        match (kind, prepared.json) {
            (Kind::Json, Some(record)) => Ok(record?),
            (Kind::Json | Kind::Text | Kind::Binary, _) => Ok(Some(prepared.body).filter(|body| !body.is_empty())),
        }
    }
}
