//! Calls to a server of streams, with retries for temporary failures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use clap::Args;
use reqwest::{RequestBuilder, Response, Url};
use tokio::time::timeout;

use super::name::{is_url, path_of, root_of};
use crate::app::config::{Purpose, Sources};
use crate::cli::Error;
use crate::cli::duration::duration;
use crate::cli::follow::innermost;
use crate::cli::retry::{Attempts, Notice};
use crate::cli::server::{CONNECT_TIMEOUT, completed, is_refused, listener_url, problem_detail, trust_configured};
use crate::cli::token::Token;
use crate::http::tls;
use crate::streams::{StreamPath, header};

/// Timeout for response headers. Long-polls take most of it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);

/// Maximum bytes read from an error response.
const ERROR_BYTES_MAX: usize = 64 * 1024;

/// Time to keep retrying if the user gives none, once the server has answered.
const RETRY_FOR: Duration = Duration::from_secs(30);

/// Idle time before TCP keep-alive probes.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The options that select the server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(super) struct ServerOptions {
    /// The base URL of the streams, or the port of a server on this host [default: the configured streams.address,
    /// http://127.0.0.1:4437/v1/stream]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    token: Token,
    /// Time to keep retrying while the server is down, busy or failing [default: 30s once it has answered, and one attempt
    /// to reach it]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    retry_for: Option<Duration>,
}

impl ServerOptions {
    /// As [`ServerOptions::open`], for a command that prints the content of a stream: on a terminal, a notice that is
    /// rewritten would overwrite it.
    pub(super) fn open_for_content(&self) -> Result<Server, Error> {
        Ok(Server { notice: Notice::lines, ..self.open()? })
    }

    /// Returns a client for the server, without making a call. Errors: [`Error::StreamUrl`], [`Error::Configuration`].
    pub(super) fn open(&self) -> Result<Server, Error> {
        let root = match &self.url {
            Some(given) if is_port(given) => format!("{}/v1/stream", completed(given)),
            Some(given) => completed(given),
            None => {
                let config = Sources::of_process(None).resolve(Purpose::Other)?.config;
                format!("{}/v1/stream", listener_url(&config.streams.address, config.streams.tls)?)
            }
        };
        check_url(&root)?;
        trust_configured(&root)?;
        let root = root.trim_end_matches('/').to_owned();
        let retry_for = self.retry_for.unwrap_or(RETRY_FOR);
        let reached = Arc::new(AtomicBool::new(self.retry_for.is_some()));
        Ok(Server { client: client(&self.token)?, root, retry_for, reached, notice: Notice::new })
    }
}

fn is_port(given: &str) -> bool {
    given.strip_prefix(':').unwrap_or(given).parse::<u16>().is_ok()
}

fn check_url(url: &str) -> Result<(), Error> {
    let parsed = Url::parse(url).ok().filter(|parsed| is_url(url) && parsed.has_host());
    match parsed.is_some_and(|parsed| parsed.query().is_none() && parsed.fragment().is_none()) {
        true => Ok(()),
        false => Err(Error::StreamUrl { url: url.to_owned() }),
    }
}

fn client(token: &Token) -> Result<reqwest::Client, Error> {
    // No total timeout: following has no end, and large bodies take their time.
    let builder = tls::client_builder().connect_timeout(CONNECT_TIMEOUT).tcp_keepalive(KEEPALIVE);
    let builder = builder.default_headers(token.headers());
    builder.build().map_err(|error| Error::StreamCall { url: String::new(), cause: innermost(&error) })
}

/// A client of one server of streams. Clones know together whether it has answered.
#[derive(Clone)]
pub(super) struct Server {
    client: reqwest::Client,
    root: String,
    retry_for: Duration,
    /// True once the server has answered, or if the user asks to wait for it. Before that a refused connection is not
    /// retried.
    reached: Arc<AtomicBool>,
    /// Creates the notice of a call that is made again.
    notice: fn() -> Notice,
}

/// A failed attempt.
struct Failed {
    error: Error,
    /// Minimum wait before a retry; `None` if a retry is pointless.
    retry_after: Option<Duration>,
}

impl Server {
    /// Returns the base URL of the streams, without a trailing slash.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// Returns a client of the server of a stream: this one, unless `name` is the URL of a stream of another.
    pub(super) fn of(&self, name: &str) -> Self {
        match is_url(name) && root_of(name) != self.root {
            true => Self {
                root: root_of(name).to_owned(),
                reached: Arc::new(AtomicBool::new(self.reached.load(Ordering::Relaxed))),
                ..self.clone()
            },
            false => self.clone(),
        }
    }

    /// Returns the URL of a stream of this server. Clients of HTTP resolve `.` and `..` and so would call another one, which
    /// is why a path that our servers refuse is not sent. Errors: [`Error::StreamUrl`], [`Error::StreamPath`].
    pub(super) fn url_of(&self, name: &str) -> Result<String, Error> {
        if is_url(name) {
            check_url(name)?;
        }
        let path = path_of(name);
        let url = format!("{}/{path}", self.root);
        check_url(&url)?;
        if path.is_empty() {
            return Err(Error::StreamUrl { url });
        }
        StreamPath::parse(&path)?;
        Ok(url)
    }

    /// Makes an idempotent call and returns its successful response, body unread. Retries temporary failures for up to
    /// `--retry-for`. Errors: [`Error::NoStreams`], [`Error::StreamCall`], [`Error::StreamRefused`],
    /// [`Error::StreamDamaged`].
    pub(super) async fn call(&self, make: impl Fn(&reqwest::Client) -> RequestBuilder) -> Result<Response, Error> {
        let mut attempts = Attempts::new(self.retry_for, (self.notice)());
        loop {
            let failed = match self.try_once(&make).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            let Some(asked) = failed.retry_after else { return Err(failed.error) };
            if !attempts.wait(&failed.error.to_string(), asked).await {
                return Err(failed.error);
            }
        }
    }

    async fn try_once(&self, make: &impl Fn(&reqwest::Client) -> RequestBuilder) -> Result<Response, Failed> {
        let broken = |error| Failed { error, retry_after: Some(Duration::ZERO) };
        let sent = timeout(HEAD_TIMEOUT, make(&self.client).send()).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                // A connection that was accepted and then broke also shows that the server is running.
                let reached = self.reached.load(Ordering::Relaxed) || !error.is_connect();
                let retry_after = reached.then_some(Duration::ZERO);
                return Err(Failed { error: self.unreachable(&error), retry_after });
            }
            Err(_) => {
                let cause = format!("no answer within {} s", HEAD_TIMEOUT.as_secs());
                return Err(broken(Error::StreamCall { url: self.root.clone(), cause }));
            }
        };
        self.reached.store(true, Ordering::Relaxed);
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = is_temporary(status).then(|| wait_asked(response.headers()));
        // Damage stays: the server says where reading goes on.
        let next = text_of(response.headers(), &header::NEXT_OFFSET).map(str::to_owned);
        let damaged_until = next.filter(|_| status == StatusCode::INTERNAL_SERVER_ERROR);
        match (refused(response).await, damaged_until) {
            (Error::StreamRefused { detail, .. }, Some(until)) => {
                Err(Failed { error: Error::StreamDamaged { detail, until }, retry_after: None })
            }
            (error, _) => Err(Failed { error, retry_after }),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        let cause = innermost(error);
        match error.is_connect() && is_refused(&cause) {
            true => Error::NoStreams { url: self.root.clone() },
            false => Error::StreamCall { url: self.root.clone(), cause },
        }
    }
}

/// Returns true if a retry may succeed. Not for 507, which needs an operator to free space.
fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

fn wait_asked(headers: &HeaderMap) -> Duration {
    let text = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    text.and_then(|text| crate::http::wait_asked(text, SystemTime::now())).unwrap_or_default()
}

/// Builds the error for a refused call: the server's explanation, else its status.
async fn refused(mut response: Response) -> Error {
    let (status, mut url) = (response.status(), response.url().clone());
    url.set_query(None);
    let mut body = Vec::new();
    while let Ok(Ok(Some(bytes))) = timeout(CONNECT_TIMEOUT, response.chunk()).await {
        body.extend_from_slice(&bytes);
        if body.len() > ERROR_BYTES_MAX {
            break;
        }
    }
    let words =
        problem_detail(&body).or_else(|| plain_text(&body).map(|words| format!("{url} answered {status}: {words}")));
    let (status, detail) = (status.as_u16(), words.unwrap_or_else(|| format!("{url} answered {status}")));
    Error::StreamRefused { status, detail }
}

/// Returns the first line of `body` if it is readable plain text.
fn plain_text(body: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(body).ok()?.lines().next()?.trim();
    let readable = !line.is_empty() && line.len() < 200 && !line.starts_with(['<', '{', '[']);
    (readable && !line.contains(char::is_control)).then(|| line.to_owned())
}

/// Returns the URL with a query. Errors: [`Error::StreamUrl`].
pub(super) fn with_query(url: &str, query: &[(&str, &str)]) -> Result<Url, Error> {
    let mut whole = Url::parse(url).map_err(|_| Error::StreamUrl { url: url.to_owned() })?;
    whole.query_pairs_mut().extend_pairs(query);
    Ok(whole)
}

/// Returns the text of a header.
pub(super) fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Returns true if a header is `true`, in any case.
pub(super) fn is_true(headers: &HeaderMap, name: &HeaderName) -> bool {
    text_of(headers, name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(url: &str) -> Option<String> {
        let options = ServerOptions { url: Some(url.into()), token: Token::default(), retry_for: None };
        options.open().ok().map(|server| server.root().to_owned())
    }

    #[test]
    fn a_base_url_is_an_http_url_with_an_optional_scheme() {
        assert_eq!(root("localhost:4437/v1/stream/").as_deref(), Some("http://localhost:4437/v1/stream"));
        assert_eq!(root("https://streams.example/s").as_deref(), Some("https://streams.example/s"));
        assert_eq!(root("4437").as_deref(), Some("http://127.0.0.1:4437/v1/stream"));
        for url in ["ftp://localhost", "http://", "http://localhost/?a=b", "a b"] {
            assert_eq!(root(url), None, "{url}");
        }
    }

    #[test]
    fn plain_text_is_quoted_and_html_is_not() {
        assert_eq!(plain_text(b"Stream not found\n").as_deref(), Some("Stream not found"));
        assert_eq!(plain_text(b"<html>"), None);
        assert_eq!(plain_text(b"\x1b[31m"), None);
        assert_eq!(plain_text(b""), None);
    }

    #[test]
    fn only_temporary_failures_are_retried() {
        let temporary: Vec<u16> =
            (400..600).filter(|code| is_temporary(StatusCode::from_u16(*code).unwrap())).collect();
        assert_eq!(temporary, [408, 425, 429, 500, 502, 503, 504]);
    }
}
