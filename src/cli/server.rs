//! Calls to a sidecar's service-facing listener, or to a broker.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use serde::Deserialize;

use super::Error;
use crate::app::config::{Purpose, Sources};
use crate::http::{Answer, Client, ClientError, ClientLimits, join};

/// How long a connection may take to open.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call that waits for nobody may take.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Who is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The sidecar beside a service.
    Sidecar,
    /// The broker between the sidecars.
    Broker,
}

impl Side {
    /// The flag that names it, and an example of a value.
    pub(super) fn flag(self) -> (&'static str, &'static str) {
        match self {
            Self::Sidecar => ("--api", "http://127.0.0.1:4001"),
            Self::Broker => ("--broker", "http://127.0.0.1:3100"),
        }
    }

    /// The command that starts one.
    pub(super) fn command(self) -> &'static str {
        match self {
            Self::Sidecar => "exorelay dev",
            Self::Broker => "exorelay broker",
        }
    }

    /// What was given as its base URL, without a slash at the end. Errors: [`Error::Url`].
    pub(super) fn url(self, given: &str) -> Result<String, Error> {
        let url = if given.contains("://") { given.to_owned() } else { format!("http://{given}") };
        let parsed = url.parse::<Uri>().ok();
        match parsed.as_ref().and_then(Uri::scheme_str) {
            Some("http" | "https") => Ok(url.trim_end_matches('/').to_owned()),
            _ => Err(Error::Url { side: self, url: given.to_owned() }),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sidecar => "sidecar",
            Self::Broker => "broker",
        })
    }
}

/// Which sidecar to talk to.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Sidecar")]
pub(super) struct Api {
    /// Its service-facing address [default: the configured api.address, http://127.0.0.1:4001]
    #[arg(long, value_name = "URL")]
    api: Option<String>,
}

impl Api {
    /// The sidecar's base URL: what was given, else where a sidecar with the configuration at hand listens.
    pub(super) fn url(&self) -> Result<String, Error> {
        if let Some(given) = &self.api {
            return Side::Sidecar.url(given);
        }
        let config = Sources::of_process(None).resolve(Purpose::Other)?.config;
        Ok(format!("http://{}", reachable(&config.api.address)))
    }
}

/// The broker that a sidecar with the configuration at hand uses: the one at `bus.url`, else that of this machine.
pub(super) fn configured_broker() -> Result<String, Error> {
    let config = Sources::of_process(None).resolve(Purpose::Other)?.config;
    let bus = over_http(&config.bus.url).map(|url| url.trim_end_matches('/').to_owned());
    Ok(bus.unwrap_or_else(|| format!("http://{}", reachable(&config.broker.address))))
}

/// Where a broker answers calls, given where it is a bus; `None` for one inside a process.
fn over_http(bus: &str) -> Option<String> {
    let (scheme, rest) = bus.split_once("://")?;
    match scheme {
        // The path is that of its sockets.
        "ws" => Some(format!("http://{}", rest.trim_end_matches('/').trim_end_matches("/services"))),
        "wss" => Some(format!("https://{}", rest.trim_end_matches('/').trim_end_matches("/services"))),
        _ => Some(bus.to_owned()),
    }
}

/// `0.0.0.0` is where a server listens, and nowhere a client can call.
pub(super) fn reachable(address: &str) -> String {
    match address.parse::<SocketAddr>() {
        Ok(any) if any.ip().is_unspecified() && any.is_ipv4() => format!("127.0.0.1:{}", any.port()),
        Ok(any) if any.ip().is_unspecified() => format!("[::1]:{}", any.port()),
        _ => address.to_owned(),
    }
}

/// A sidecar or broker that is called.
pub(super) struct Server {
    side: Side,
    url: String,
    client: Client,
}

impl Server {
    /// The sidecar at this base URL; each call may take `timeout`.
    pub(super) fn sidecar(url: String, timeout: Duration) -> Self {
        Self::new(Side::Sidecar, url, timeout)
    }

    /// The broker at this base URL.
    pub(super) fn broker(url: String) -> Self {
        Self::new(Side::Broker, url, CALL_TIMEOUT)
    }

    fn new(side: Side, url: String, timeout: Duration) -> Self {
        let limits = ClientLimits { connect_timeout: CONNECT_TIMEOUT, timeout, answer_bytes_max: ANSWER_BYTES_MAX };
        Self { side, url, client: Client::new(limits) }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Nobody listens there.
    pub(super) fn absent(&self) -> Error {
        Error::Absent { side: self.side, url: self.url.clone() }
    }

    /// Somebody listens there, and is somebody else.
    pub(super) fn stranger(&self, cause: impl ToString) -> Error {
        Error::Stranger { side: self.side, url: self.url.clone(), cause: cause.to_string() }
    }

    /// Makes the call; the answer may have any status. Errors: [`Error::Absent`], [`Error::Call`].
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
            ClientError::Connect { cause, .. } if is_refusal(&cause) => self.absent(),
            error => Error::Call(error),
        })
    }

    /// The answer if its status is a success, else [`Error::Refused`] with the words of the other side.
    pub(super) fn accepted(&self, answer: Answer) -> Result<Answer, Error> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(Error::Refused { detail: self.detail(answer.status, &answer.body) })
    }

    /// What an answer without success says: the `detail` of its problem (RFC 9457), else its status.
    pub(super) fn detail(&self, status: StatusCode, body: &[u8]) -> String {
        problem_words(body).unwrap_or_else(|| format!("{} answered {status}", self.url))
    }
}

/// What a problem (RFC 9457) says to people; `None` for what is none.
pub(super) fn problem_words(body: &[u8]) -> Option<String> {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    problem.detail.or(problem.title)
}

/// Whether the system said that nobody listens there; `io::ErrorKind` is gone at this point.
pub(super) fn is_refusal(cause: &str) -> bool {
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
    fn an_address_without_a_scheme_is_http() {
        check("localhost:4001", Some("http://localhost:4001"));
        check("https://relay.example/base/", Some("https://relay.example/base"));
    }

    #[test]
    fn a_broker_answers_calls_where_it_is_a_bus() {
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
    fn what_is_no_http_url_is_refused() {
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
