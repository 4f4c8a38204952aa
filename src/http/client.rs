//! The pooled client. Plain HTTP goes through hyper-util's client, which costs about half of reqwest's CPU on the two
//! hot calls (relay to bus, webhook to service); everything with TLS goes through reqwest.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::{HeaderMap, Request, Response, StatusCode, Uri};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// Bounds of every outgoing call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long the whole call may take, the answer's body included.
    pub timeout: Duration,
    /// Longest answer that is read.
    pub answer_bytes_max: usize,
}

/// Why a call has no usable answer. Whether the other side saw the request is unknown, except after
/// [`ClientError::Connect`] and [`ClientError::Url`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The URL has no host, or another scheme than http and https.
    #[error("{url:?} is not an http or https URL")]
    Url {
        /// The URL.
        url: String,
    },
    /// Nobody listens there.
    #[error("cannot connect to {authority}: {cause}")]
    Connect {
        /// Host and port.
        authority: String,
        /// The system's reason.
        cause: String,
    },
    /// The connection broke before the answer was complete.
    #[error("the connection to {authority} broke: {cause}")]
    Broken {
        /// Host and port.
        authority: String,
        /// What broke.
        cause: String,
    },
    /// There was no complete answer in time.
    #[error("{authority} did not answer within {} ms", timeout.as_millis())]
    Timeout {
        /// Host and port.
        authority: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// The answer is over the limit; its status had been read.
    #[error("the answer of {authority} is over the limit of {bytes_max} bytes")]
    AnswerTooLarge {
        /// Host and port.
        authority: String,
        /// The limit.
        bytes_max: usize,
    },
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body, at most [`ClientLimits::answer_bytes_max`] long.
    pub body: Bytes,
}

impl Answer {
    /// The wait that a `Retry-After` in seconds asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(axum::http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds))
    }
}

/// Cheap to clone; clones share their connections. Redirects are answers like any other, never followed.
#[derive(Clone)]
pub struct Client {
    plain: legacy::Client<HttpConnector, Full<Bytes>>,
    secure: Arc<OnceLock<reqwest::Client>>,
    limits: ClientLimits,
}

impl Client {
    /// A client with these bounds. Opens no connection yet.
    pub fn new(limits: ClientLimits) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(limits.connect_timeout));
        let plain = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // Well below the header deadline of our own listeners, so that a pooled connection is rarely a closed one.
            .pool_idle_timeout(Duration::from_secs(15))
            .build(connector);
        Self { plain, secure: Arc::new(OnceLock::new()), limits }
    }

    /// Makes the call and reads the whole answer, whatever its status.
    /// Not cancel-safe: a dropped call may have reached the other side.
    pub async fn call(&self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let Some(authority) = request.uri().authority().map(|authority| authority.to_string()) else {
            return Err(ClientError::Url { url: request.uri().to_string() });
        };
        let timeout = self.limits.timeout;
        let call = async {
            match request.uri().scheme_str() {
                Some("http") => self.call_plain(request, &authority).await,
                Some("https") => self.call_secure(request, &authority).await,
                _ => Err(ClientError::Url { url: request.uri().to_string() }),
            }
        };
        match tokio::time::timeout(timeout, call).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ClientError::Timeout { authority, timeout }),
        }
    }

    async fn call_plain(&self, request: Request<Full<Bytes>>, authority: &str) -> Result<Answer, ClientError> {
        let response = self.plain.request(request).await.map_err(|error| {
            let (authority, cause) = (authority.to_owned(), innermost(&error));
            if error.is_connect() {
                return ClientError::Connect { authority, cause };
            }
            ClientError::Broken { authority, cause }
        })?;
        read_answer(response, self.limits.answer_bytes_max, authority).await
    }

    async fn call_secure(&self, request: Request<Full<Bytes>>, authority: &str) -> Result<Answer, ClientError> {
        let secure = self.secure.get_or_init(|| secure_client(self.limits));
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap_or_default().to_bytes();
        let call = secure.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
        let response = call.send().await.map_err(|error| {
            let (authority, cause) = (authority.to_owned(), innermost(&error));
            if error.is_connect() {
                return ClientError::Connect { authority, cause };
            }
            ClientError::Broken { authority, cause }
        })?;
        read_answer(Response::from(response), self.limits.answer_bytes_max, authority).await
    }
}

/// Makes a URL out of a base such as `http://host:3000/base/` and an encoded path.
/// Errors: [`ClientError::Url`].
pub(crate) fn join(base: &str, path: &str) -> Result<Uri, ClientError> {
    let url = format!("{}{path}", base.trim_end_matches('/'));
    url.parse().map_err(|_| ClientError::Url { url })
}

fn secure_client(limits: ClientLimits) -> reqwest::Client {
    // A second installation is refused, and means that the first one stands.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(limits.connect_timeout)
        .build()
        .expect("only a missing TLS provider makes this fail, and it has just been installed")
}

async fn read_answer<B>(response: Response<B>, bytes_max: usize, authority: &str) -> Result<Answer, ClientError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + 'static,
{
    let (parts, mut body) = response.into_parts();
    let mut whole = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| ClientError::Broken { authority: authority.to_owned(), cause: innermost(&error) })?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + joined.len() + data.len() > bytes_max {
            return Err(ClientError::AnswerTooLarge { authority: authority.to_owned(), bytes_max });
        }
        if whole.is_empty() && joined.is_empty() {
            whole = data;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut whole));
            joined.extend_from_slice(&data);
        }
    }
    let body = if joined.is_empty() { whole } else { joined.freeze() };
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

/// The last cause of the chain, which is the one that names the reason.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
