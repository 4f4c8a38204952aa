//! A client for a sidecar's service-facing listener or a broker.

use std::path::Path;
use std::time::Duration;

use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use serde::Deserialize;

use super::Error;
use super::retry::{Attempts, CallOptions};
use super::server_kind::{ServerKind, found_at};
use crate::app::config::{Purpose, Sources};
use crate::app::reachable;
use crate::http::{
    Answer, Client, ClientError, ClientLimits, TlsConfig, has_credentials, hide_credentials, join, socket_path, tls,
};

/// Timeout for opening a connection.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout for a call that does not wait for a reply.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum length of a response body.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Returns the base URL for an address given by the user, without a trailing slash: a URL, HOST:PORT, or a port of this host;
/// `http` by default. Errors: [`Error::Url`].
pub(super) fn base_url(kind: ServerKind, given: &str) -> Result<String, Error> {
    if let Some(path) = socket_path(given) {
        return match kind == ServerKind::Sidecar && !path.as_os_str().is_empty() {
            true => Ok(given.to_owned()),
            false => Err(Error::Url { kind, url: given.to_owned() }),
        };
    }
    let url = completed(given);
    let url = if kind == ServerKind::Broker { over_http(&url).unwrap_or(url) } else { url };
    let parsed = url.parse::<Uri>().ok();
    match parsed.as_ref().and_then(Uri::scheme_str) {
        Some("http" | "https") => {
            trust_configured(&url)?;
            Ok(url.trim_end_matches('/').to_owned())
        }
        _ => Err(Error::Url { kind, url: given.to_owned() }),
    }
}

/// Returns the base URL of one of our listeners, by its settings. Errors: those of [`trust_configured`].
pub(super) fn listener_url(address: &str, tls: bool) -> Result<String, Error> {
    if socket_path(address).is_some() {
        return Ok(address.to_owned());
    }
    let url = format!("{}://{}", if tls { "https" } else { "http" }, reachable(address));
    trust_configured(&url)?;
    Ok(url)
}

/// Lets calls to an https URL trust the configured authorities, and show the configured certificate. Errors: the configuration
/// is wrong, or its authorities cannot be used. A certificate that this user may not read is not shown.
pub(super) fn trust_configured(url: &str) -> Result<(), Error> {
    if !url.starts_with("https://") {
        return Ok(());
    }
    let config = Sources::of_process(None).resolve(Purpose::Other)?.config.tls;
    let authorities = TlsConfig { ca_file: config.ca_file.clone(), ..TlsConfig::default() };
    let configured = tls::configure(&config).or_else(|_| tls::configure(&authorities));
    configured.map_err(|error| Error::App(error.into()))
}

/// Adds to an address given by the user what it leaves out: the scheme, and the host of a port.
pub(super) fn completed(given: &str) -> String {
    let port = given.strip_prefix(':').unwrap_or(given);
    match port.parse::<u16>() {
        Ok(port) if !given.starts_with('+') => format!("http://127.0.0.1:{port}"),
        _ if given.contains("://") => given.to_owned(),
        _ => format!("http://{given}"),
    }
}

/// The flags that select the sidecar.
#[derive(Debug, Default, Clone, Args)]
#[command(next_help_heading = "Sidecar")]
pub(super) struct Api {
    /// The sidecar's service-facing address: a URL, HOST:PORT, a port, or unix:PATH [default: the configured api.address,
    /// http://127.0.0.1:4001]
    #[arg(long, value_name = "URL")]
    api: Option<String>,
    #[command(flatten)]
    retry: CallOptions,
}

impl Api {
    /// Returns true if the flag was given.
    pub(super) fn is_given(&self) -> bool {
        self.api.is_some()
    }

    /// Returns the sidecar's base URL: the flag, else the configured `api.address`.
    pub(super) fn url(&self) -> Result<String, Error> {
        if let Some(given) = &self.api {
            return base_url(ServerKind::Sidecar, given);
        }
        let config = Sources::of_process(None).resolve(Purpose::Other)?.config;
        listener_url(&config.api.address, config.api.tls)
    }

    /// Returns a client of the sidecar; `timeout` applies to each call.
    pub(super) fn open(&self, timeout: Duration) -> Result<Server, Error> {
        Ok(Server::new(ServerKind::Sidecar, self.url()?, timeout).retrying(self.retry.clone()))
    }

    pub(super) fn retry(&self) -> &CallOptions {
        &self.retry
    }
}

/// The flags that select the broker.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Broker")]
pub(super) struct BrokerAddress {
    /// The broker: a URL, HOST:PORT or a port [default: the configured bus.url, http://127.0.0.1:3100]
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    #[command(flatten)]
    retry: CallOptions,
}

impl BrokerAddress {
    /// Returns a client of the broker.
    pub(super) fn open(&self) -> Result<Server, Error> {
        let given = self.broker.as_deref();
        let url = given.map_or_else(configured_broker, |given| base_url(ServerKind::Broker, given))?;
        Ok(Server::broker(url, self.retry.clone()))
    }
}

/// Returns the base URL of the configured broker: `bus.url` if it is a URL, else `broker.address`.
pub(super) fn configured_broker() -> Result<String, Error> {
    let config = Sources::of_process(None).resolve(Purpose::Other)?.config;
    match over_http(&config.bus.url) {
        Some(url) => {
            trust_configured(&url)?;
            Ok(url.trim_end_matches('/').to_owned())
        }
        None => listener_url(&config.broker.address, config.broker.tls),
    }
}

/// Returns the broker's HTTP URL for a bus URL; `None` for an embedded bus.
fn over_http(bus: &str) -> Option<String> {
    let (scheme, rest) = bus.split_once("://")?;
    match scheme {
        // The path belongs to the broker's WebSocket endpoint.
        "ws" => Some(format!("http://{}", rest.trim_end_matches('/').trim_end_matches("/services"))),
        "wss" => Some(format!("https://{}", rest.trim_end_matches('/').trim_end_matches("/services"))),
        _ => Some(bus.to_owned()),
    }
}

/// A client of one sidecar or broker.
pub(super) struct Server {
    kind: ServerKind,
    /// As it was given; also `unix:PATH`.
    url: String,
    /// The base of the URLs that are called.
    base: String,
    client: Client,
    retry: CallOptions,
}

impl Server {
    /// Returns a client of the broker at this base URL, which presents the configured token of an operator if none is given.
    pub(super) fn broker(url: String, mut retry: CallOptions) -> Self {
        if !has_credentials(&url) {
            retry.token = retry.token.or_of_broker();
        }
        Self::new(ServerKind::Broker, url, CALL_TIMEOUT).retrying(retry)
    }

    /// Returns a client that makes one attempt of each call; `timeout` applies to it.
    pub(super) fn new(kind: ServerKind, url: String, timeout: Duration) -> Self {
        let limits = ClientLimits { connect_timeout: CONNECT_TIMEOUT, timeout, answer_bytes_max: ANSWER_BYTES_MAX };
        let (client, base) = Client::of_server(&url, limits);
        Self { kind, url, base, client, retry: CallOptions::default() }
    }

    pub(super) fn retrying(self, retry: CallOptions) -> Self {
        Self { retry, ..self }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the URL of a path.
    pub(super) fn url_of(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Returns the path of the Unix socket that leads to it, if one does.
    pub(super) fn socket(&self) -> Option<&Path> {
        socket_path(&self.url)
    }

    /// Returns the base URL as it may be printed: without credentials.
    pub(super) fn shown(&self) -> String {
        hide_credentials(&self.url)
    }

    /// Returns the headers by which the user proves who is calling.
    pub(super) fn proof(&self) -> HeaderMap {
        self.retry.token.headers()
    }

    /// Returns the attempts that the user allows for one call.
    pub(super) fn attempts(&self) -> Attempts {
        self.retry.attempts()
    }

    /// Returns the error for a refused connection.
    pub(super) fn not_running(&self) -> Error {
        Error::NotRunning { kind: self.kind, url: self.url.clone() }
    }

    /// Returns the error for an answer that a server of this kind would not give. If the server says that it is of another
    /// kind, the error says so.
    pub(super) async fn unexpected(&self, cause: impl ToString) -> Error {
        let error = Error::UnexpectedAnswer { kind: self.kind, url: self.url.clone(), cause: cause.to_string() };
        self.explained(error).await
    }

    /// Makes a call and returns the answer, of any status. While there is no server, or it is busy, the call is made again for
    /// as long as the user allows: nothing has been done then. Errors: [`Error::NotRunning`], [`Error::Call`].
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Error> {
        let mut attempts = self.attempts();
        loop {
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = method.clone();
            *request.uri_mut() = join(&self.base, path)?;
            *request.headers_mut() = headers.clone();
            self.retry.token.add_to(request.headers_mut());
            let called = self.client.call(request).await.map_err(|error| match error {
                ClientError::Connect { cause, .. } if is_refused(&cause) => self.not_running(),
                error => Error::Call(error),
            });
            let (reason, asked) = match &called {
                Err(error @ (Error::NotRunning { .. } | Error::Call(ClientError::Connect { .. }))) => {
                    (error.to_string(), Duration::ZERO)
                }
                Ok(answer) if answer.status == StatusCode::SERVICE_UNAVAILABLE => {
                    (self.detail(answer.status, &answer.body), answer.retry_after().unwrap_or_default())
                }
                Ok(_) | Err(_) => return called,
            };
            if !attempts.wait(&reason, asked).await {
                return called;
            }
        }
    }

    /// Returns the answer if its status is a success, else [`Error::Refused`] with the server's explanation, or the error that
    /// it is a server of another kind.
    pub(super) async fn accepted(&self, answer: Answer) -> Result<Answer, Error> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        let refused =
            Error::Refused { status: answer.status.as_u16(), detail: self.detail(answer.status, &answer.body) };
        match answer.status.is_client_error() {
            true => Err(self.explained(refused).await),
            false => Err(refused),
        }
    }

    /// Returns [`Error::OtherServer`] if the server says that it is of another kind, else `error`.
    pub(super) async fn explained(&self, error: Error) -> Error {
        match found_at(&self.url).await {
            Some(found) if found != self.kind => {
                Error::OtherServer { url: self.url.clone(), found, expected: self.kind }
            }
            Some(_) | None => error,
        }
    }

    /// Returns the explanation in an unsuccessful answer: the `detail` of its problem (RFC 9457), else its status.
    pub(super) fn detail(&self, status: StatusCode, body: &[u8]) -> String {
        problem_detail(body).unwrap_or_else(|| format!("{} answered {status}", self.shown()))
    }
}

/// Returns the detail, else the title, of a problem document (RFC 9457); `None` if `body` is something else.
pub(super) fn problem_detail(body: &[u8]) -> Option<String> {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    problem.detail.or(problem.title)
}

/// Returns true if the connection was refused. Only the text is left to tell by; the `io::ErrorKind` is lost.
pub(super) fn is_refused(cause: &str) -> bool {
    let cause = cause.to_ascii_lowercase();
    // A Unix socket that is not there.
    cause.contains("refused") || cause.contains("no such file")
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(api: &str, expected: Option<&str>) {
        let url = Api { api: Some(api.to_owned()), ..Api::default() }.url();
        assert_eq!(url.ok().as_deref(), expected, "{api}");
    }

    #[test]
    fn an_address_without_a_scheme_means_http() {
        check("localhost:4001", Some("http://localhost:4001"));
        check("https://relay.example/base/", Some("https://relay.example/base"));
    }

    #[test]
    fn a_unix_socket_leads_to_a_sidecar() {
        check("unix:/run/exorelay.sock", Some("unix:/run/exorelay.sock"));
        check("unix:", None);
        assert!(base_url(ServerKind::Broker, "unix:/run/exorelay.sock").is_err());
        let server = Server::new(ServerKind::Sidecar, "unix:/run/exorelay.sock".to_owned(), CALL_TIMEOUT);
        assert_eq!(server.url_of("/send/hello"), "http://localhost/send/hello");
        assert_eq!(server.shown(), "unix:/run/exorelay.sock");
    }

    #[test]
    fn a_port_means_one_of_this_host() {
        check("4001", Some("http://127.0.0.1:4001"));
        check(":4001", Some("http://127.0.0.1:4001"));
    }

    #[test]
    fn the_bus_url_of_a_broker_is_accepted() {
        for given in ["3100", "127.0.0.1:3100", "ws://127.0.0.1:3100", "ws://127.0.0.1:3100/services/"] {
            assert_eq!(base_url(ServerKind::Broker, given).unwrap(), "http://127.0.0.1:3100", "{given}");
        }
    }

    #[test]
    fn a_broker_url_follows_from_the_bus_url() {
        for (bus, expected) in [
            ("http://exocom:80", Some("http://exocom:80")),
            ("ws://exocom:80", Some("http://exocom:80")),
            ("ws://exocom:80/services", Some("http://exocom:80")),
            ("wss://exocom/base", Some("https://exocom/base")),
            ("embedded", None),
        ] {
            assert_eq!(over_http(bus).as_deref(), expected);
        }
    }

    #[test]
    fn credentials_in_a_url_are_not_printed() {
        let url = "http://user:sesame@host:4001".to_owned();
        let server = Server::new(ServerKind::Sidecar, url, CALL_TIMEOUT);
        let detail = server.detail(StatusCode::BAD_GATEWAY, b"");
        for text in [server.shown(), detail, server.not_running().to_string()] {
            assert!(text.contains("http://***@host:4001") && !text.contains("sesame"), "{text}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for api in ["ftp://localhost", "http://", "a b"] {
            check(api, None);
        }
    }
}
