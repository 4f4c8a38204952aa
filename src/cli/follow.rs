//! Follows server-sent events across restarts of the server.

use std::ops::ControlFlow;
use std::time::Duration;

use axum::http::HeaderMap;

use super::Error;
use super::output::warn;
use super::retry::RETRY_WAIT_MAX;
use super::server::{CONNECT_TIMEOUT, Server, is_refused};
use crate::http::sse::{Decoder, Event};
use crate::http::{Backoff, tls};

/// Idle time before TCP keep-alive probes.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// An endpoint that sends events.
pub(super) struct EventSource<'a> {
    /// The server.
    pub(super) server: &'a Server,
    /// Path and query of the endpoint.
    pub(super) path: String,
    /// Returns lines to print on stderr after each connect, given the headers of the answer.
    pub(super) greeting: &'a (dyn Fn(&HeaderMap) -> Vec<String> + Sync),
}

/// The reason why a connection ended without an error.
enum Ended {
    /// The handler has seen enough.
    Complete,
    /// The connection was lost.
    Dropped,
}

impl EventSource<'_> {
    /// Calls `handle` with each event until it returns `Break`. A lost connection is reopened, without end.
    ///
    /// Errors: those of `handle`; those of the first connection, for which the user may allow several attempts;
    /// [`Error::Refused`], [`Error::OtherServer`] and [`Error::UnexpectedAnswer`] at any time.
    pub(super) async fn follow(
        &self,
        mut handle: impl AsyncFnMut(Event) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        let client = streaming_client(self.server)?;
        let mut backoff = Backoff::new(RETRY_WAIT_MAX);
        // A refused connection is an error at the start; later it is a server that restarts.
        let mut opened = Some(self.open_first(&client).await?);
        loop {
            let ended = match opened.take() {
                Some(response) => self.read(response, &mut backoff, &mut handle).await?,
                None => Ended::Dropped,
            };
            if matches!(ended, Ended::Complete) {
                return Ok(());
            }
            tokio::time::sleep(backoff.next()).await;
            match self.open(&client).await {
                Ok(response) => opened = Some(response),
                Err(Error::NotRunning { .. } | Error::Stream { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn open_first(&self, client: &reqwest::Client) -> Result<reqwest::Response, Error> {
        let mut attempts = self.server.attempts();
        loop {
            let opened = self.open(client).await;
            let Err(error @ (Error::NotRunning { .. } | Error::Stream { .. })) = opened else { return opened };
            if !attempts.wait(&error.to_string(), Duration::ZERO).await {
                return Err(error);
            }
        }
    }

    /// Connects. Errors: [`Error::Stream`] and [`Error::NotRunning`], which are temporary; [`Error::Refused`], which is
    /// not.
    async fn open(&self, client: &reqwest::Client) -> Result<reqwest::Response, Error> {
        let call = client
            .get(self.server.url_of(&self.path))
            .headers(self.server.proof())
            .header("accept", "text/event-stream");
        let response = call.send().await.map_err(|error| stream_error(self.server, &error))?;
        let status = response.status();
        if status.is_success() {
            (self.greeting)(response.headers()).iter().for_each(|line| warn(line));
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| stream_error(self.server, &error))?;
        let detail = self.server.detail(status, &body);
        if status.is_server_error() {
            return Err(Error::Stream { url: self.server.url().to_owned(), cause: detail });
        }
        Err(self.server.explained(Error::Refused { status: status.as_u16(), detail }).await)
    }

    async fn read(
        &self,
        mut response: reqwest::Response,
        backoff: &mut Backoff,
        handle: &mut impl AsyncFnMut(Event) -> Result<ControlFlow<()>, Error>,
    ) -> Result<Ended, Error> {
        let mut decoder = Decoder::default();
        while let Ok(Some(bytes)) = response.chunk().await {
            let events = match decoder.push(&bytes) {
                Ok(events) => events,
                Err(error) => return Err(self.server.unexpected(error).await),
            };
            for event in events {
                backoff.reset();
                if handle(event).await?.is_break() {
                    return Ok(Ended::Complete);
                }
            }
        }
        warn(&format!("lost the connection to {}: reconnecting", self.server.shown()));
        Ok(Ended::Dropped)
    }
}

fn streaming_client(server: &Server) -> Result<reqwest::Client, Error> {
    // No proxy: the server is local or in the same network. No total timeout: following has no end.
    let builder = tls::client_builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).tcp_keepalive(KEEPALIVE);
    let builder = match server.socket() {
        Some(path) => builder.unix_socket(path),
        None => builder,
    };
    builder.build().map_err(|error| Error::Stream { url: server.url().to_owned(), cause: error.to_string() })
}

fn stream_error(server: &Server, error: &reqwest::Error) -> Error {
    let cause = innermost(error);
    match error.is_connect() && is_refused(&cause) {
        true => server.not_running(),
        false => Error::Stream { url: server.url().to_owned(), cause },
    }
}

/// Returns the innermost cause, which names the actual reason.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
