//! Reads a server's list of its streams.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::messages::{Form, Messages};
use super::server::{Server, is_true, text_of, with_query};
use crate::cli::Error;
use crate::cli::follow::innermost;
use crate::cli::server::CALL_TIMEOUT;
use crate::streams::header;

/// The stream in which a server lists its streams.
const REGISTRY: &str = "__registry__";

/// The fields of a registry message that are used here. State protocol, "Change messages".
#[derive(Deserialize)]
struct Change {
    r#type: String,
    key: String,
    value: Option<Box<RawValue>>,
    headers: Operation,
}

#[derive(Deserialize)]
struct Operation {
    operation: String,
}

/// The registry rows of the existing streams, by path.
#[derive(Default)]
pub(super) struct Rows(pub(super) BTreeMap<String, Box<RawValue>>);

impl Rows {
    /// Applies a registry message. Control messages and unknown types are skipped.
    pub(super) fn apply(&mut self, line: &[u8]) {
        let Ok(change) = serde_json::from_slice::<Change>(line) else { return };
        match (change.r#type.as_str(), change.headers.operation.as_str(), change.value) {
            ("stream", "delete", _) => drop(self.0.remove(&change.key)),
            ("stream", "insert" | "update" | "upsert", Some(value)) => drop(self.0.insert(change.key, value)),
            _ => {}
        }
    }
}

/// Reads the registry to its end. Errors: [`Error::NoRegistry`], those of [`Server::call`].
pub(super) async fn read(server: &Server) -> Result<Rows, Error> {
    let url = server.url_of(REGISTRY)?;
    let (mut rows, mut offset) = (Rows::default(), "-1".to_owned());
    loop {
        let page = with_query(&url, &[("offset", &offset)])?;
        let called = server.call(|client| client.get(page.clone())).await;
        if offset != "-1" && matches!(called, Err(Error::StreamRefused { status: 410, .. })) {
            // The server has begun a new registry between two pages.
            (rows, offset) = (Rows::default(), "-1".to_owned());
            continue;
        }
        let mut response = called.map_err(|error| match error {
            Error::StreamRefused { status: 404, .. } => Error::NoRegistry { url: server.root().to_owned() },
            error => error,
        })?;
        let (mut messages, mut lines) = (Messages::of(Form::Messages), Vec::new());
        loop {
            let broken = |cause| Error::StreamCall { url: url.clone(), cause };
            let came = timeout(CALL_TIMEOUT, response.chunk()).await.map_err(|error| broken(error.to_string()))?;
            let Some(bytes) = came.map_err(|error| broken(innermost(&error)))? else { break };
            messages.push(&bytes, &mut lines);
            let whole = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            lines.drain(..whole).as_slice().split(|byte| *byte == b'\n').for_each(|line| rows.apply(line));
        }
        let headers = response.headers();
        let next = text_of(headers, &header::NEXT_OFFSET).filter(|next| *next != offset);
        match next.filter(|_| !is_true(headers, &header::UP_TO_DATE)) {
            Some(next) => offset = next.to_owned(),
            None => return Ok(rows),
        }
    }
}
