//! The client. Plain HTTP uses our own pool on hyper's connections, which costs less than half of reqwest's CPU for the two
//! frequent calls (relay to bus, webhook to service). TLS goes through reqwest.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use axum::http::header::{AUTHORIZATION, HOST, RETRY_AFTER};
use axum::http::uri::{Authority, PathAndQuery};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;

use super::credentials::split_credentials;
use super::error::{ClientError, innermost};
use super::guard::SsrfGuard;
use super::pool::Pool;
use super::tls;
use crate::http::coding::{CodingError, Codings};

/// Limits of every outgoing call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// Timeout for opening a connection.
    pub connect_timeout: Duration,
    /// Timeout for the whole call, including the body of the answer.
    pub timeout: Duration,
    /// Largest answer body, in bytes.
    pub answer_bytes_max: usize,
}

/// Response to a call, with its body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body, decoded, at most [`ClientLimits::answer_bytes_max`] long.
    pub body: Bytes,
}

impl Answer {
    /// Returns the wait that `Retry-After` asks for, in seconds or as a date; `None` if it is missing or invalid, and zero
    /// for a past date. RFC 9110, section 10.2.3.
    pub fn retry_after(&self) -> Option<Duration> {
        wait_asked(self.headers.get(RETRY_AFTER)?.to_str().ok()?, SystemTime::now())
    }
}

/// As [`Answer::retry_after`], for the text of the header.
pub(crate) fn wait_asked(retry_after: &str, now: SystemTime) -> Option<Duration> {
    let text = retry_after.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is as good as forever, and a clock can represent this one.
        return Some(Duration::from_secs(text.parse().unwrap_or(u32::MAX).into()));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// HTTP client. Cheap to clone; clones share their connections. Redirects are returned, never followed.
#[derive(Clone)]
pub struct Client {
    plain: Pool,
    secure: Arc<OnceLock<reqwest::Client>>,
    limits: ClientLimits,
}

impl Client {
    /// Creates a client with these limits. Opens no connection yet.
    pub fn new(limits: ClientLimits) -> Self {
        Self { plain: Pool::new(limits.connect_timeout, None), secure: Arc::new(OnceLock::new()), limits }
    }

    /// Creates a client for plain HTTP that connects only to addresses that `guard` lets through.
    pub(crate) fn guarded(limits: ClientLimits, guard: SsrfGuard) -> Self {
        Self { plain: Pool::new(limits.connect_timeout, Some(guard)), ..Self::new(limits) }
    }

    /// Creates a client of the server at `base`, a URL or `unix:PATH`. Returns it with the base of the URLs to call.
    pub(crate) fn of_server(base: &str, limits: ClientLimits) -> (Self, String) {
        let Some(path) = base.strip_prefix("unix:") else { return (Self::new(limits), base.to_owned()) };
        let plain = Pool::to_socket(Path::new(path), limits.connect_timeout);
        (Self { plain, secure: Arc::new(OnceLock::new()), limits }, "http://localhost".to_owned())
    }

    /// Makes the call and reads the whole answer, whatever its status. A user and a password in the URL are sent as Basic
    /// authorization, unless the request has one.
    /// Not cancel-safe: a dropped call may have reached the other side.
    pub async fn call(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let authority = match request.uri().authority() {
            Some(authority) if authority.as_str().contains('@') => authorize(&mut request)?,
            Some(authority) => authority.clone(),
            None => return Err(ClientError::url(&request.uri().to_string())),
        };
        let timeout = self.limits.timeout;
        let call = async {
            match request.uri().scheme_str() {
                Some("http") => self.call_plain(request, &authority).await,
                // The guard is one of plain connections.
                Some("https") if self.plain.is_guarded() => Err(ClientError::url(&request.uri().to_string())),
                // Boxed, so that it does not add to the size of the plain calls.
                Some("https") if !tls::IS_AVAILABLE => {
                    Err(ClientError::TlsMissing { authority: authority.to_string() })
                }
                Some("https") => Box::pin(self.call_secure(request, &authority)).await,
                _ => Err(ClientError::url(&request.uri().to_string())),
            }
        };
        match tokio::time::timeout(timeout, call).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ClientError::Timeout { authority: authority.to_string(), timeout }),
        }
    }

    async fn call_plain(
        &self,
        mut request: Request<Full<Bytes>>,
        authority: &Authority,
    ) -> Result<Answer, ClientError> {
        if !request.headers().contains_key(HOST) {
            let host = HeaderValue::from_str(authority.as_str()).map_err(|_| ClientError::url(authority.as_str()))?;
            request.headers_mut().insert(HOST, host);
        }
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.unwrap_or(PathAndQuery::from_static("/")).into();
        let (connection, response) = self.plain.send(authority, request).await?;
        let answer = read_answer(response, self.limits.answer_bytes_max, authority).await?;
        self.plain.keep(authority, connection);
        Ok(answer)
    }

    async fn call_secure(&self, request: Request<Full<Bytes>>, authority: &Authority) -> Result<Answer, ClientError> {
        let secure = self.secure.get_or_init(|| secure_client(self.limits));
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap_or_default().to_bytes();
        let call = secure.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
        let response = call.send().await.map_err(|error| {
            let (authority, cause) = (authority.to_string(), innermost(&error));
            if error.is_connect() {
                return ClientError::Connect { authority, cause };
            }
            ClientError::Broken { authority, cause }
        })?;
        read_answer(Response::from(response), self.limits.answer_bytes_max, authority).await
    }
}

/// Joins a base such as `http://host:3000/base/` and an encoded path into a URL.
/// Errors: [`ClientError::Url`].
pub(crate) fn join(base: &str, path: &str) -> Result<Uri, ClientError> {
    let url = format!("{}{path}", base.trim_end_matches('/'));
    url.parse().map_err(|_| ClientError::url(&url))
}

/// Moves user and password from the URL to a header. Returns the rest of the authority.
fn authorize(request: &mut Request<Full<Bytes>>) -> Result<Authority, ClientError> {
    let (url, authorization) = split_credentials(&request.uri().to_string());
    let uri: Uri = url.parse().map_err(|_| ClientError::url(&url))?;
    let authority = uri.authority().cloned().ok_or_else(|| ClientError::url(&url))?;
    *request.uri_mut() = uri;
    if let (Some(value), false) = (authorization, request.headers().contains_key(AUTHORIZATION)) {
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(authority)
}

fn secure_client(limits: ClientLimits) -> reqwest::Client {
    tls::client_builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(limits.connect_timeout)
        .build()
        .expect("none of these settings can be refused")
}

async fn read_answer<B>(response: Response<B>, bytes_max: usize, authority: &Authority) -> Result<Answer, ClientError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + 'static,
{
    let (parts, mut body) = response.into_parts();
    let mut whole = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| ClientError::Broken { authority: authority.to_string(), cause: innermost(&error) })?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + joined.len() + data.len() > bytes_max {
            return Err(ClientError::AnswerTooLarge {
                authority: authority.to_string(),
                status: parts.status,
                bytes_max,
            });
        }
        if whole.is_empty() && joined.is_empty() {
            whole = data;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut whole));
            joined.extend_from_slice(&data);
        }
    }
    let body = if joined.is_empty() { whole } else { joined.freeze() };
    let failed = |error| match error {
        CodingError::TooLarge { bytes_max } => {
            ClientError::AnswerTooLarge { authority: authority.to_string(), status: parts.status, bytes_max }
        }
        error => ClientError::Broken { authority: authority.to_string(), cause: error.to_string() },
    };
    let codings = Codings::of(&parts.headers).map_err(failed)?;
    let body = match codings.is_empty() {
        true => body,
        false => Box::pin(codings.decode(body, bytes_max)).await.map_err(failed)?,
    };
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

    /// Action of the target after each answer.
    #[derive(Clone, Copy)]
    enum After {
        Stay,
        Close,
    }

    struct Target {
        url: String,
        connections: Arc<AtomicUsize>,
    }

    /// Reads requests without body, and answers each of them in the same way.
    async fn target(address: &str, answer: impl Into<Bytes>, after: After) -> Target {
        let listener = TcpListener::bind(address).await.unwrap();
        let (url, answer) = (format!("http://{}", listener.local_addr().unwrap()), answer.into());
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {
                        if !head.ends_with(b"\r\n\r\n") {
                            continue;
                        }
                        // A client that has seen enough hangs up.
                        drop(stream.write_all(&answer).await);
                        match after {
                            After::Stay => head.clear(),
                            After::Close => return,
                        }
                    }
                });
            }
        });
        Target { url, connections }
    }

    fn client() -> Client {
        let second = Duration::from_secs(1);
        Client::new(ClientLimits { connect_timeout: second, timeout: second, answer_bytes_max: 1024 })
    }

    async fn call(client: &Client, url: &str) -> Result<Answer, ClientError> {
        client.call(Request::get(url).body(Full::default()).unwrap()).await
    }

    async fn check_failure(url: &str, expected: &str) {
        let error = call(&client(), url).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[tokio::test]
    async fn a_connection_serves_many_calls() {
        let (client, target) = (client(), target("127.0.0.1:0", EMPTY, After::Stay).await);
        for _ in 0..10 {
            assert_eq!(call(&client, &target.url).await.unwrap().status, StatusCode::OK);
        }
        assert_eq!(target.connections.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn calls_at_once_have_a_connection_each() {
        let (client, target) = (client(), target("127.0.0.1:0", EMPTY, After::Stay).await);
        let calls = futures_util::future::join_all((0..8).map(|_| call(&client, &target.url))).await;
        assert!(calls.iter().all(Result::is_ok));
        assert_eq!(target.connections.load(Ordering::SeqCst), 8);
    }

    #[tokio::test]
    async fn a_kept_connection_that_was_closed_is_replaced() {
        let (client, target) = (client(), target("127.0.0.1:0", EMPTY, After::Close).await);
        let server: Authority = target.url.trim_start_matches("http://").parse().unwrap();
        for round in 1..=3 {
            call(&client, &target.url).await.unwrap();
            assert_eq!(target.connections.load(Ordering::SeqCst), round);
            // Until the end of the connection has been noticed.
            while !client.plain.has_only_closed(&server) {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn an_answer_over_the_limit_is_cut_off_with_its_status() {
        let mut answer = b"HTTP/1.1 202 OK\r\ncontent-length: 10000000\r\n\r\n".to_vec();
        answer.resize(10_000_000, b'x');
        let target = target("127.0.0.1:0", answer, After::Stay).await;
        check_failure(&target.url, "(202 Accepted) is over the limit of 1024 bytes").await;
    }

    #[tokio::test]
    async fn an_answer_is_decoded_within_its_limit() {
        let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
        let answer = |coding: &str, body: &[u8]| {
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n", body.len());
            [head.as_bytes(), body].concat()
        };
        let good = target("127.0.0.1:0", answer("zstd", &zstd(b"{}")), After::Stay).await;
        assert_eq!(call(&client(), &good.url).await.unwrap().body, "{}");
        for (coding, body, words) in [
            ("zstd", zstd(&[b' '; 1025]), "(200 OK) is over the limit of 1024 bytes"),
            ("br", b"x".to_vec(), "content-encoding is \"br\", expected one of gzip"),
            ("gzip", b"x".to_vec(), "the body is not valid gzip"),
        ] {
            let target = target("127.0.0.1:0", answer(coding, &body), After::Stay).await;
            check_failure(&target.url, words).await;
        }
    }

    #[tokio::test]
    async fn a_call_without_answer_ends_in_time() {
        let target = target("127.0.0.1:0", "HTTP/1.1 200 OK\r\n", After::Stay).await;
        check_failure(&target.url, "did not answer within 1000 ms").await;
    }

    #[tokio::test]
    async fn a_connection_that_breaks_and_one_that_is_refused_are_told_apart() {
        let target = target("127.0.0.1:0", "", After::Close).await;
        check_failure(&target.url, "broke: ").await;
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        check_failure(&format!("http://{closed}"), "cannot connect to 127.0.0.1:").await;
    }

    #[tokio::test]
    async fn a_server_is_found_by_name_and_by_an_ipv6_address() {
        let port = |target: &Target| target.url.rsplit(':').next().unwrap().to_owned();
        let named = target("127.0.0.1:0", EMPTY, After::Stay).await;
        call(&client(), &format!("http://localhost:{}", port(&named))).await.unwrap();
        if TcpListener::bind("[::1]:0").await.is_ok() {
            let target = target("[::1]:0", EMPTY, After::Stay).await;
            call(&client(), &target.url).await.unwrap();
        }
    }

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_by_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let check = |text: &str, seconds: Option<u64>| {
            assert_eq!(wait_asked(text, now), seconds.map(Duration::from_secs), "{text}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("99999999999999999999999", Some(u64::from(u32::MAX)));
        check("18446744073709551615", Some(u64::from(u32::MAX)));
        check("Sun, 06 Nov 1994 08:49:47 GMT", Some(10));
        check("Sun, 06 Nov 1994 08:49:00 GMT", Some(0));
        check("soon", None);
        check("-5", None);
        check("", None);
    }
}
