//! The body of a request, and the record that it becomes.

use std::ops::Deref;

use bytes::Bytes;

use super::refusal::Refusal;
use crate::streams::wire::{JsonError, Kind, record_of};

/// The content of one append. Large records carry a checksum for the store, which is computed once, where they are received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    bytes: Bytes,
    checksum: Option<u64>,
}

/// A body, and the record that it makes if that was worked out already: large bodies are parsed before the ledger is locked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    body: Record,
    json: Option<Result<Option<Record>, JsonError>>,
}

impl Record {
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn checksum(&self) -> Option<u64> {
        self.checksum
    }
}

impl From<Bytes> for Record {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, checksum: None }
    }
}

impl Deref for Record {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Content {
    pub(crate) fn new(body: Bytes) -> Self {
        Self { body: body.into(), json: None }
    }

    /// Works out the record that it becomes in a stream of this kind.
    pub(crate) fn prepared_for(mut self, kind: Kind) -> Self {
        if kind == Kind::Json && self.json.is_none() && !self.body.is_empty() {
            self.json = Some(record_of(&self.body).map(|record| record.map(Record::from)));
        }
        self
    }

    /// Computes the checksum of the record.
    pub(crate) fn with_checksum(mut self, checksum_of: impl FnOnce(&[u8]) -> Option<u64>) -> Self {
        let record = match &mut self.json {
            Some(Ok(Some(record))) => record,
            Some(_) => return self,
            None => &mut self.body,
        };
        record.checksum = checksum_of(&record.bytes);
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
