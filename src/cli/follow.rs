//! Follows a stream of events, across the restarts of whoever sends it.

use std::time::Duration;

use super::Error;
use super::output::warn;
use super::server::{CONNECT_TIMEOUT, Server, is_refused};
use crate::http::sse::{Decoder, Event};
use crate::http::{Backoff, install_tls_provider};

/// The longest wait before the next try to reach a server that went away.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(2);

/// After how much silence the system checks whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A stream that is followed.
pub(super) struct Stream<'a> {
    /// Who sends it.
    pub(super) server: &'a Server,
    /// Where it is, with the query.
    pub(super) path: String,
    /// What the person at the terminal is told each time it has been opened.
    pub(super) greeting: Option<String>,
}

/// Whether an event was the last one wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// There should be more.
    More,
    /// That is enough.
    Enough,
}

/// How a stream ended, if not with an error.
enum Ended {
    /// Everything asked for has been seen.
    Complete,
    /// The connection is gone.
    Dropped,
}

impl Stream<'_> {
    /// Gives each event to `take` until that has enough. A connection that drops is opened again, for ever.
    ///
    /// Errors: those of `take`; what the first try to open it says; [`Error::Refused`] and [`Error::UnexpectedAnswer`] at any
    /// time.
    pub(super) async fn follow(&self, mut take: impl AsyncFnMut(Event) -> Result<Wanted, Error>) -> Result<(), Error> {
        let client = streaming_client(self.server)?;
        let mut backoff = Backoff::new(WAIT_MAX);
        // Nobody there at the start is an error; nobody there later is a server that restarts.
        let mut opened = Some(self.open(&client).await?);
        loop {
            let ended = match opened.take() {
                Some(response) => self.read(response, &mut backoff, &mut take).await?,
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

    /// Errors: [`Error::Stream`] and [`Error::NotRunning`] may pass with time; [`Error::Refused`] does not.
    async fn open(&self, client: &reqwest::Client) -> Result<reqwest::Response, Error> {
        let call = client.get(format!("{}{}", self.server.url(), self.path)).header("accept", "text/event-stream");
        let response = call.send().await.map_err(|error| stream_error(self.server, &error))?;
        let status = response.status();
        if status.is_success() {
            self.greeting.iter().for_each(|greeting| warn(greeting));
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| stream_error(self.server, &error))?;
        let detail = self.server.detail(status, &body);
        if status.is_server_error() {
            return Err(Error::Stream { url: self.server.url().to_owned(), cause: detail });
        }
        Err(Error::Refused { detail })
    }

    async fn read(
        &self,
        mut response: reqwest::Response,
        backoff: &mut Backoff,
        take: &mut impl AsyncFnMut(Event) -> Result<Wanted, Error>,
    ) -> Result<Ended, Error> {
        let mut decoder = Decoder::default();
        while let Ok(Some(bytes)) = response.chunk().await {
            for event in decoder.push(&bytes).map_err(|error| self.server.unexpected(error))? {
                backoff.reset();
                if take(event).await? == Wanted::Enough {
                    return Ok(Ended::Complete);
                }
            }
        }
        warn(&format!("the connection to {} is gone: trying again", self.server.url()));
        Ok(Ended::Dropped)
    }
}

fn streaming_client(server: &Server) -> Result<reqwest::Client, Error> {
    install_tls_provider();
    // No proxy: the other side is next door. No time-out of the whole: a stream has no end.
    let builder = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).tcp_keepalive(KEEPALIVE);
    builder.build().map_err(|error| Error::Stream { url: server.url().to_owned(), cause: error.to_string() })
}

fn stream_error(server: &Server, error: &reqwest::Error) -> Error {
    let cause = innermost(error);
    match error.is_connect() && is_refused(&cause) {
        true => server.not_running(),
        false => Error::Stream { url: server.url().to_owned(), cause },
    }
}

/// The last cause of the chain, which is the one that names the reason.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
