//! Appends in a row by one idempotent producer: whatever is sent again counts once. PROTOCOL "Idempotent producers".

use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;

use super::batches::{Batch, Batches};
use super::input::Pieces;
use super::progress::Progress;
use super::server::{Server, text_of};
use crate::cli::Error;
use crate::streams::header;

/// How much one append of bytes has.
const APPEND_BYTES: usize = 1024 * 1024;

/// After how much silence of the input the lines so far are sent.
const IDLE: Duration = Duration::from_millis(200);

/// Who appends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) id: String,
    pub(super) epoch: u64,
}

/// What waits for what when lines come slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Lines that have come are sent after a while.
    AsTheyCome,
    /// The same input makes the same batches, so that it can be imported again.
    Repeatable,
}

/// A stream that is appended to.
pub(super) struct Import<'a> {
    server: &'a Server,
    url: &'a str,
    content_type: &'a str,
    producer: Producer,
    seq: u64,
    progress: Progress,
    pub(super) next: Option<String>,
    /// Appends that had been made before.
    pub(super) repeated: u64,
}

impl<'a> Import<'a> {
    pub(super) fn new(server: &'a Server, url: &'a str, content_type: &'a str, producer: Producer) -> Self {
        let progress = Progress::start();
        Self { server, url, content_type, producer, seq: 0, progress, next: None, repeated: 0 }
    }

    /// How many appends were made.
    pub(super) fn appends(&self) -> u64 {
        self.seq
    }

    /// Appends lines, batch by batch. Errors: those of the input, [`Error::Line`], those of [`Server::call`].
    pub(super) async fn lines(&mut self, mut pieces: Pieces, mut batches: Batches, pace: Pace) -> Result<(), Error> {
        loop {
            let piece = match pace {
                Pace::Repeatable => pieces.recv().await,
                Pace::AsTheyCome => match tokio::time::timeout(IDLE, pieces.recv()).await {
                    Ok(piece) => piece,
                    Err(_) => {
                        self.append_all(batches.flush()).await?;
                        continue;
                    }
                },
            };
            match piece {
                Some(piece) => self.append_all(batches.push(&piece?)?).await?,
                None => break,
            }
        }
        self.append_all(batches.end()?).await?;
        self.progress.end();
        Ok(())
    }

    /// Appends bytes, a megabyte at a time. Errors: as of [`Import::lines`].
    pub(super) async fn bytes(&mut self, mut pieces: Pieces) -> Result<(), Error> {
        let mut held = Vec::new();
        while let Some(piece) = pieces.recv().await {
            held.extend_from_slice(&piece?);
            while held.len() >= APPEND_BYTES {
                let rest = held.split_off(APPEND_BYTES);
                self.append(Batch { body: std::mem::replace(&mut held, rest).into(), lines: 0 }).await?;
            }
        }
        if !held.is_empty() {
            self.append(Batch { body: held.into(), lines: 0 }).await?;
        }
        self.progress.end();
        Ok(())
    }

    /// Appends one body. Errors: those of [`Server::call`].
    pub(super) async fn one(&mut self, body: Bytes) -> Result<(), Error> {
        self.append(Batch { body, lines: 0 }).await
    }

    async fn append_all(&mut self, batches: impl IntoIterator<Item = Batch>) -> Result<(), Error> {
        for batch in batches {
            self.append(batch).await?;
        }
        Ok(())
    }

    async fn append(&mut self, batch: Batch) -> Result<(), Error> {
        let Producer { id, epoch } = &self.producer;
        let made = self.server.call(|client| {
            let request = client.post(self.url).header("content-type", self.content_type).body(batch.body.clone());
            let request = request.header(&header::PRODUCER_ID, id).header(&header::PRODUCER_EPOCH, *epoch);
            request.header(&header::PRODUCER_SEQ, self.seq)
        });
        let answer = made.await?;
        self.repeated += u64::from(answer.status() == StatusCode::NO_CONTENT);
        self.next = text_of(answer.headers(), &header::NEXT_OFFSET).map(str::to_owned).or(self.next.take());
        self.seq += 1;
        self.progress.add(batch.body.len() as u64, batch.lines);
        Ok(())
    }
}
