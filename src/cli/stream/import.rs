//! A sequence of appends by one idempotent producer, so that retries never append twice. PROTOCOL "Idempotent producers".

use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;

use super::batches::{Batch, Batches};
use super::input::Chunks;
use super::progress::Progress;
use super::server::{Server, text_of};
use crate::cli::Error;
use crate::streams::header;

/// Size of one append of binary content.
const APPEND_BYTES: usize = 1024 * 1024;

/// Pause in the input after which an unfinished batch is sent.
const FLUSH_AFTER: Duration = Duration::from_millis(200);

/// The identity of the writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) id: String,
    pub(super) epoch: u64,
}

/// The treatment of unfinished batches when input arrives slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Send them after a pause.
    Prompt,
    /// Wait for more, so that the same input always makes the same batches and can be imported again.
    Repeatable,
}

/// The appends to one stream.
pub(super) struct Import<'a> {
    server: &'a Server,
    url: &'a str,
    content_type: &'a str,
    producer: Producer,
    seq: u64,
    progress: Progress,
    /// The end offset after the last append.
    pub(super) next: Option<String>,
    /// Number of appends that the server had already seen.
    pub(super) repeated: u64,
}

impl<'a> Import<'a> {
    /// Returns the appends to the stream at `url` by `producer`; `bytes` is the size of the whole input, if it is known.
    pub(super) fn new(
        server: &'a Server,
        url: &'a str,
        content_type: &'a str,
        producer: Producer,
        bytes: Option<u64>,
    ) -> Self {
        let progress = Progress::start(bytes);
        Self { server, url, content_type, producer, seq: 0, progress, next: None, repeated: 0 }
    }

    /// Returns the number of appends so far, including repeated ones.
    pub(super) fn appends(&self) -> u64 {
        self.seq
    }

    /// Appends lines in batches. Errors: those of the input, [`Error::Line`], those of [`Server::call`].
    pub(super) async fn lines(&mut self, mut chunks: Chunks, mut batches: Batches, pace: Pace) -> Result<(), Error> {
        loop {
            let chunk = match pace {
                Pace::Repeatable => chunks.recv().await,
                Pace::Prompt => match tokio::time::timeout(FLUSH_AFTER, chunks.recv()).await {
                    Ok(chunk) => chunk,
                    Err(_) => {
                        self.append_all(batches.flush()).await?;
                        continue;
                    }
                },
            };
            match chunk {
                Some(chunk) => self.append_all(batches.push(&chunk?)?).await?,
                None => break,
            }
        }
        self.append_all(batches.end()?).await
    }

    /// Appends bytes, 1 MiB at a time. Errors: as [`Import::lines`].
    pub(super) async fn bytes(&mut self, mut chunks: Chunks) -> Result<(), Error> {
        let mut held = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            held.extend_from_slice(&chunk?);
            while held.len() >= APPEND_BYTES {
                let rest = held.split_off(APPEND_BYTES);
                self.append(Batch { body: std::mem::replace(&mut held, rest).into(), lines: 0 }).await?;
            }
        }
        if !held.is_empty() {
            self.append(Batch { body: held.into(), lines: 0 }).await?;
        }
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
