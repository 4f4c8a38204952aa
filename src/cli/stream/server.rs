//! Calls to a server of streams. What may pass is tried again; what the server refuses is told in its words.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use clap::Args;
use reqwest::{RequestBuilder, Response, Url};
use tokio::time::{Instant, sleep, timeout};

use super::name::{is_url, url_of};
use crate::app::config::{Purpose, Sources};
use crate::cli::Error;
use crate::cli::follow::{WAIT_MAX, innermost};
use crate::cli::output::warn;
use crate::cli::server::{CONNECT_TIMEOUT, is_refusal, problem_words, reachable};
use crate::http::Backoff;

/// How long the head of an answer may take; a long-poll takes most of it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);

/// How much of an error's text is read.
const WORDS_BYTES_MAX: usize = 64 * 1024;

/// After how much silence the system checks whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Where the streams are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(super) struct At {
    /// The URL before the names of streams [default: the configured streams.address, http://127.0.0.1:4437/v1/stream]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// How long a server that is away, busy or failing is tried again
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "30s")]
    retry_for: Duration,
}

impl At {
    /// The server, without a call. Errors: [`Error::StreamUrl`], [`Error::Configuration`].
    pub(super) fn server(&self) -> Result<Server, Error> {
        let root = match &self.url {
            Some(given) if given.contains("://") => given.clone(),
            Some(given) => format!("http://{given}"),
            None => {
                let config = Sources::of_process(None).resolve(Purpose::Other)?.config;
                format!("http://{}/v1/stream", reachable(&config.streams.address))
            }
        };
        check_url(&root)?;
        let root = root.trim_end_matches('/').to_owned();
        Ok(Server { client: client()?, root, retry_for: self.retry_for, reached: AtomicBool::new(false) })
    }
}

fn check_url(url: &str) -> Result<(), Error> {
    let parsed = Url::parse(url).ok().filter(|parsed| is_url(url) && parsed.has_host());
    match parsed.is_some_and(|parsed| parsed.query().is_none() && parsed.fragment().is_none()) {
        true => Ok(()),
        false => Err(Error::StreamUrl { url: url.to_owned() }),
    }
}

fn client() -> Result<reqwest::Client, Error> {
    // A second installation is refused, and means that the first one stands.
    drop(rustls::crypto::ring::default_provider().install_default());
    // No time-out of the whole: what is followed has no end, and what is long takes its time.
    let builder = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).tcp_keepalive(KEEPALIVE);
    builder.build().map_err(|error| Error::StreamCall { url: String::new(), cause: innermost(&error) })
}

/// A server of streams.
pub(super) struct Server {
    client: reqwest::Client,
    root: String,
    retry_for: Duration,
    /// Whether it has ever answered: one that has not is not waited for.
    reached: AtomicBool,
}

/// An answer that is no success.
struct Failed {
    error: Error,
    /// How long to wait before another try; `None` if there is no point in one.
    again: Option<Duration>,
}

impl Server {
    /// What stands before the names of streams.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// The URL of a stream. Errors: [`Error::StreamUrl`].
    pub(super) fn url_of(&self, name: &str) -> Result<String, Error> {
        let url = url_of(&self.root, name);
        check_url(&url)?;
        match name.is_empty() {
            true => Err(Error::StreamUrl { url }),
            false => Ok(url),
        }
    }

    /// Makes a call that may be made twice, and gives its answer of success, body unread. Tries again what may pass, for
    /// as long as was asked for. Errors: [`Error::NoStreams`], [`Error::StreamCall`], [`Error::Refused`].
    pub(super) async fn call(&self, make: impl Fn(&reqwest::Client) -> RequestBuilder) -> Result<Response, Error> {
        let deadline = Instant::now() + self.retry_for;
        let mut backoff = Backoff::new(WAIT_MAX);
        loop {
            let failed = match self.try_once(&make).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            let Some(asked) = failed.again else { return Err(failed.error) };
            let wait = asked.max(backoff.next());
            if Instant::now() + wait >= deadline {
                return Err(failed.error);
            }
            warn(&format!("{}: trying again", failed.error));
            sleep(wait).await;
        }
    }

    async fn try_once(&self, make: &impl Fn(&reqwest::Client) -> RequestBuilder) -> Result<Response, Failed> {
        let broken = |error| Failed { error, again: Some(Duration::ZERO) };
        let sent = timeout(HEAD_TIMEOUT, make(&self.client).send()).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                // Whoever takes a connection and breaks it is there.
                let reached = self.reached.load(Ordering::Relaxed) || !error.is_connect();
                let again = reached.then_some(Duration::ZERO);
                return Err(Failed { error: self.unreachable(&error), again });
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
        let again = may_pass(status).then(|| wait_asked(response.headers()));
        Err(Failed { error: refused(response).await, again })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        let cause = innermost(error);
        match error.is_connect() && is_refusal(&cause) {
            true => Error::NoStreams { url: self.root.clone() },
            false => Error::StreamCall { url: self.root.clone(), cause },
        }
    }
}

/// Whether another try may have another outcome. 507 stays until somebody makes room.
fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

fn wait_asked(headers: &HeaderMap) -> Duration {
    let text = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    text.and_then(|text| crate::http::wait_asked(text, SystemTime::now())).unwrap_or_default()
}

/// A server's refusal in its own words, else by its status.
async fn refused(mut response: Response) -> Error {
    let (status, mut url) = (response.status(), response.url().clone());
    url.set_query(None);
    let mut body = Vec::new();
    while let Ok(Ok(Some(bytes))) = timeout(CONNECT_TIMEOUT, response.chunk()).await {
        body.extend_from_slice(&bytes);
        if body.len() > WORDS_BYTES_MAX {
            break;
        }
    }
    let words =
        problem_words(&body).or_else(|| plain_words(&body).map(|words| format!("{url} answered {status}: {words}")));
    let (status, detail) = (status.as_u16(), words.unwrap_or_else(|| format!("{url} answered {status}")));
    Error::StreamRefused { status, detail }
}

/// The first line of a text that somebody wrote to be read.
fn plain_words(body: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(body).ok()?.lines().next()?.trim();
    let readable = !line.is_empty() && line.len() < 200 && !line.starts_with(['<', '{', '[']);
    (readable && !line.contains(char::is_control)).then(|| line.to_owned())
}

/// The URL with a query. Errors: [`Error::StreamUrl`].
pub(super) fn with_query(url: &str, query: &[(&str, &str)]) -> Result<Url, Error> {
    let mut whole = Url::parse(url).map_err(|_| Error::StreamUrl { url: url.to_owned() })?;
    whole.query_pairs_mut().extend_pairs(query);
    Ok(whole)
}

/// The text of a header.
pub(super) fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether a header says `true`, in any case.
pub(super) fn says_true(headers: &HeaderMap, name: &HeaderName) -> bool {
    text_of(headers, name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(url: &str) -> Option<String> {
        let at = At { url: Some(url.into()), retry_for: Duration::ZERO };
        at.server().ok().map(|server| server.root().to_owned())
    }

    #[test]
    fn a_root_is_an_http_url_and_may_leave_its_scheme_out() {
        assert_eq!(root("localhost:4437/v1/stream/").as_deref(), Some("http://localhost:4437/v1/stream"));
        assert_eq!(root("https://streams.example/s").as_deref(), Some("https://streams.example/s"));
        for url in ["ftp://localhost", "http://", "http://localhost/?a=b", "a b"] {
            assert_eq!(root(url), None, "{url}");
        }
    }

    #[test]
    fn a_phrase_is_quoted_and_a_page_is_not() {
        assert_eq!(plain_words(b"Stream not found\n").as_deref(), Some("Stream not found"));
        assert_eq!(plain_words(b"<html>"), None);
        assert_eq!(plain_words(b"\x1b[31m"), None);
        assert_eq!(plain_words(b""), None);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let passing: Vec<u16> = (400..600).filter(|code| may_pass(StatusCode::from_u16(*code).unwrap())).collect();
        assert_eq!(passing, [408, 425, 429, 500, 502, 503, 504]);
    }
}
