//! A client for a sidecar's service-facing listener or a broker.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use serde::Deserialize;

use super::Error;
use super::server_kind::ServerKind;
use crate::app::config::{Purpose, Sources};
use crate::http::{Answer, Client, ClientError, ClientLimits, join};

/// Timeout for opening a connection.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout for a call that does not wait for a reply.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum length of a response body.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Returns the base URL for an address given by the user, without a trailing slash; `http` by default.
/// Errors: [`Error::Url`].
pub(super) fn base_url(kind: ServerKind, given: &str) -> Result<String, Error> {
    let url = if given.contains("://") { given.to_owned() } else { format!("http://{given}") };
    let parsed = url.parse::<Uri>().ok();
    match parsed.as_ref().and_then(Uri::scheme_str) {
        Some("http" | "https") => Ok(url.trim_end_matches('/').to_owned()),
        _ => Err(Error::Url { kind, url: given.to_owned() }),
    }
}

/// The flag that selects the sidecar.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Sidecar")]
pub(super) struct Api {
    /// The sidecar's service-facing address [default: the configured api.address, http://127.0.0.1:4001]
    #[arg(long, value_name = "URL")]
    api: Option<String>,
}

impl Api {
    /// Returns the sidecar's base URL: the flag, else the configured `api.address`.
    pub(super) fn url(&self) -> Result<String, Error> {
        if let Some(given) = &self.api {
            return base_url(ServerKind::Sidecar, given);
        }
        let config = Sources::of_process(None).resolve(Purpose::Other)?.config;
        Ok(format!("http://{}", reachable(&config.api.address)))
    }
}

/// Returns the base URL of the configured broker: `bus.url` if it is a URL, else `broker.address`.
pub(super) fn configured_broker() -> Result<String, Error> {
    let config = Sources::of_process(None).resolve(Purpose::Other)?.config;
    let bus = over_http(&config.bus.url).map(|url| url.trim_end_matches('/').to_owned());
    Ok(bus.unwrap_or_else(|| format!("http://{}", reachable(&config.broker.address))))
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

/// Replaces an unspecified host such as `0.0.0.0`, which a client cannot connect to, with loopback.
pub(super) fn reachable(address: &str) -> String {
    match address.parse::<SocketAddr>() {
        Ok(any) if any.ip().is_unspecified() && any.is_ipv4() => format!("127.0.0.1:{}", any.port()),
        Ok(any) if any.ip().is_unspecified() => format!("[::1]:{}", any.port()),
        _ => address.to_owned(),
    }
}

/// A client of one sidecar or broker.
pub(super) struct Server {
    kind: ServerKind,
    url: String,
    client: Client,
}

impl Server {
    /// Returns a client of the sidecar at this base URL; `timeout` applies to each call.
    pub(super) fn sidecar(url: String, timeout: Duration) -> Self {
        Self::new(ServerKind::Sidecar, url, timeout)
    }

    /// Returns a client of the broker at this base URL.
    pub(super) fn broker(url: String) -> Self {
        Self::new(ServerKind::Broker, url, CALL_TIMEOUT)
    }

    fn new(kind: ServerKind, url: String, timeout: Duration) -> Self {
        let limits = ClientLimits { connect_timeout: CONNECT_TIMEOUT, timeout, answer_bytes_max: ANSWER_BYTES_MAX };
        Self { kind, url, client: Client::new(limits) }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the error for a refused connection.
    pub(super) fn not_running(&self) -> Error {
        Error::NotRunning { kind: self.kind, url: self.url.clone() }
    }

    /// Returns the error for an answer that a server of this kind would not give.
    pub(super) fn unexpected(&self, cause: impl ToString) -> Error {
        Error::UnexpectedAnswer { kind: self.kind, url: self.url.clone(), cause: cause.to_string() }
    }

    /// Makes a call and returns the answer, of any status. Errors: [`Error::NotRunning`], [`Error::Call`].
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Error> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = join(&self.url, path)?;
        *request.headers_mut() = headers;
        self.client.call(request).await.map_err(|error| match error {
            ClientError::Connect { cause, .. } if is_refused(&cause) => self.not_running(),
            error => Error::Call(error),
        })
    }

    /// Returns the answer if its status is a success, else [`Error::Refused`] with the server's explanation.
    pub(super) fn accepted(&self, answer: Answer) -> Result<Answer, Error> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(Error::Refused { detail: self.detail(answer.status, &answer.body) })
    }

    /// Returns the explanation in an unsuccessful answer: the `detail` of its problem (RFC 9457), else its status.
    pub(super) fn detail(&self, status: StatusCode, body: &[u8]) -> String {
        problem_detail(body).unwrap_or_else(|| format!("{} answered {status}", self.url))
    }
}

/// Returns the detail, else the title, of a problem document (RFC 9457); `None` if `body` is something else.
pub(super) fn problem_detail(body: &[u8]) -> Option<String> {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    problem.detail.or(problem.title)
}

/// Returns true if the connection was refused. Only the text is left to tell by; the `io::ErrorKind` is lost.
pub(super) fn is_refused(cause: &str) -> bool {
    cause.to_ascii_lowercase().contains("refused")
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
        let url = Api { api: Some(api.to_owned()) }.url();
        assert_eq!(url.ok().as_deref(), expected, "{api}");
    }

    #[test]
    fn an_address_without_a_scheme_means_http() {
        check("localhost:4001", Some("http://localhost:4001"));
        check("https://relay.example/base/", Some("https://relay.example/base"));
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
    fn other_urls_are_refused() {
        for api in ["ftp://localhost", "http://", "a b"] {
            check(api, None);
        }
    }

    #[test]
    fn a_listener_on_every_interface_is_called_on_loopback() {
        assert_eq!(reachable("0.0.0.0:4001"), "127.0.0.1:4001");
        assert_eq!(reachable("[::]:4001"), "[::1]:4001");
        assert_eq!(reachable("relay:4001"), "relay:4001");
    }
}
