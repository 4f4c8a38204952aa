//! Requests to the service.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE};
use axum::http::uri::{Authority, Parts, PathAndQuery, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use bytes::Bytes;
use http_body_util::Full;

use super::wire::{Secret, attributes};
use super::{Config, Error, Format};
use crate::http::{ClientError, join, split_credentials};
use crate::message::{Message, TraceParent, path_segment};
use crate::relay::service_envelope;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Number of the attempt to deliver the message.
const ATTEMPT: HeaderName = HeaderName::from_static("exo-attempt");

/// The service's URL, and everything its requests have in common.
pub(super) struct Target {
    scheme: Scheme,
    authority: Authority,
    /// Path up to the message name.
    path: String,
    format: Format,
    secrets: Vec<Secret>,
    /// The user and the password of the URL.
    authorization: Option<HeaderValue>,
}

impl Target {
    /// Errors: [`Error::Forward`], [`Error::Secret`].
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let wrong = || Error::Forward(ClientError::url(&config.forward));
        let (forward, authorization) = split_credentials(&config.forward);
        let uri = join(&forward, "/run/").map_err(|_| wrong())?;
        let Parts { scheme, authority, path_and_query, .. } = uri.into_parts();
        let known = |scheme: &Scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme);
        let plain = |path: &PathAndQuery| path.query().is_none() && path.path().ends_with("/run/");
        Ok(Self {
            scheme: scheme.filter(known).ok_or_else(wrong)?,
            authority: authority.filter(|authority| !authority.host().is_empty()).ok_or_else(wrong)?,
            path: path_and_query.filter(plain).ok_or_else(wrong)?.path().to_owned(),
            format: config.format,
            secrets: config.secret.iter().map(|text| Secret::parse(text)).collect::<Result<_, _>>()?,
            authorization,
        })
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Returns host and port, for messages and logs.
    pub(super) fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// Returns host and port, for connections.
    pub(super) fn place(&self) -> (&str, u16) {
        let default_port = if self.scheme == Scheme::HTTPS { 443 } else { 80 };
        (self.authority.host().trim_matches(['[', ']']), self.authority.port_u16().unwrap_or(default_port))
    }

    /// Builds a cheap call of the service's base URL. An idle connection would occupy a service that serves one at a time.
    pub(super) fn probe(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.method_mut() = Method::HEAD;
        *request.uri_mut() = self.root();
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        self.authorize(request.headers_mut());
        request
    }

    fn authorize(&self, headers: &mut HeaderMap) {
        if let Some(value) = &self.authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
    }

    fn root(&self) -> Uri {
        let base = self.path.strip_suffix("run/").unwrap_or("/");
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = PathAndQuery::try_from(base).ok();
        Uri::from_parts(parts).expect("the parts of a valid URL form one")
    }

    /// Builds the request for one attempt, counted from 1, at `now`. Errors: [`Error::Url`].
    pub(super) fn request(
        &self,
        message: &Message,
        attempt: u32,
        now: SystemTime,
    ) -> Result<Request<Full<Bytes>>, Error> {
        // Enough for the headers of either format.
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(ACCEPT, JSON);
        headers.insert(ATTEMPT, HeaderValue::from(attempt));
        self.authorize(&mut headers);
        if let Some(trace) = &message.trace {
            headers.insert(TraceParent::HEADER, value(trace.as_str()));
        }
        let body = match self.format {
            Format::Exocom => {
                headers.insert(CONTENT_TYPE, JSON);
                service_envelope(message, attempt)
            }
            Format::Cloudevents => event(message, attempt, &mut headers),
        };
        if !self.secrets.is_empty() {
            sign(&self.secrets, message, &body, now, &mut headers);
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri(message)?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn uri(&self, message: &Message) -> Result<Uri, Error> {
        let path = format!("{}{}", self.path, path_segment(message.name.as_str()));
        let wrong = |path: &str| Error::Url(ClientError::url(path));
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::try_from(path.as_str()).map_err(|_| wrong(&path))?);
        Uri::from_parts(parts).map_err(|_| wrong(&path))
    }
}

/// Adds everything but the payload as headers and returns the payload as body. CloudEvents HTTP binding, section 3.1.
fn event(message: &Message, attempt: u32, headers: &mut HeaderMap) -> Bytes {
    for (name, text) in attributes(message) {
        headers.insert(HeaderName::from_static(name), value(&text));
    }
    if attempt > 1 {
        headers.insert(HeaderName::from_static("ce-attempt"), HeaderValue::from(attempt));
    }
    match &message.payload {
        None => Bytes::new(),
        Some(payload) => {
            headers.insert(CONTENT_TYPE, JSON);
            payload.as_bytes().clone()
        }
    }
}

/// Adds a signature of each secret. Standard Webhooks, "Signature scheme": the receiver needs one that it can verify.
fn sign(secrets: &[Secret], message: &Message, body: &[u8], now: SystemTime, headers: &mut HeaderMap) {
    let id = message.id.as_str();
    let timestamp = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
    let signatures: Vec<String> = secrets.iter().map(|secret| secret.sign(id, &timestamp, body)).collect();
    headers.insert("webhook-signature", value(&signatures.join(" ")));
    headers.insert("webhook-timestamp", value(&timestamp));
    headers.insert("webhook-id", value(id));
}

/// Converts an id, or text already encoded for headers.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_bytes(text.as_bytes())
        .expect("ids contain no control characters, and everything else is printable ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{MessageId, MessageName, Payload};

    fn check(forward: &str, name: &str, expected: Result<&str, &str>) {
        let message = Message::new(MessageId::parse("1").unwrap(), MessageName::parse(name).unwrap());
        let target = Target::new(&Config { forward: forward.to_owned(), ..Config::default() });
        let uri = target.and_then(|target| target.uri(&message));
        let actual = uri.map(|uri| uri.to_string()).map_err(|error| error.to_string());
        assert_eq!(actual, expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn messages_are_posted_to_run_below_the_base_url() {
        check("http://localhost:3000", "users.create", Ok("http://localhost:3000/run/users.create"));
        check("http://localhost:3000/", "mongo create", Ok("http://localhost:3000/run/mongo%20create"));
        check("https://[::1]/base//", "a/b?c#d%", Ok("https://[::1]/base/run/a%2Fb%3Fc%23d%25"));
        check("http://service", "größe", Ok("http://service/run/gr%C3%B6%C3%9Fe"));
        check("http://service", &"é".repeat(512), Ok(&format!("http://service/run/{}", "%C3%A9".repeat(512))));
    }

    #[test]
    fn a_url_that_is_not_a_base_url_is_refused() {
        for forward in ["", "localhost:3000", "/run", "ftp://service", "http://", "http://a b", "http://service/?x=1"] {
            let hint = "expected the service's base URL, such as \"http://localhost:3000\"";
            let target = Target::new(&Config { forward: forward.to_owned(), ..Config::default() });
            let error = target.map(drop).unwrap_err().to_string();
            assert!(error.starts_with("webhook.forward: \"") && error.ends_with(hint), "{error}");
        }
    }

    #[test]
    fn user_and_password_are_sent_with_each_call_and_are_in_no_text() {
        let forward = "http://user:p%40ss@service:3000/base".to_owned();
        let target = Target::new(&Config { forward, ..Config::default() }).unwrap();
        let message = Message::new(MessageId::parse("1").unwrap(), MessageName::parse("a").unwrap());
        let call = target.request(&message, 1, UNIX_EPOCH).unwrap();
        assert_eq!(
            (call.uri().to_string().as_str(), target.authority()),
            ("http://service:3000/base/run/a", "service:3000")
        );
        for request in [call, target.probe()] {
            assert_eq!(request.headers()["authorization"], "Basic dXNlcjpwQHNz");
            assert!(!format!("{request:?}").contains("dXNlc"), "{request:?}");
        }
        let wrong = Target::new(&Config { forward: "ftp://user:secret@service".to_owned(), ..Config::default() });
        assert!(wrong.map(drop).unwrap_err().to_string().starts_with("webhook.forward: \"ftp://***@service\""));
    }

    #[test]
    fn an_invalid_secret_is_refused_and_not_printed() {
        let forward = "http://service".to_owned();
        let target = Target::new(&Config { forward, secret: vec!["hunter2".to_owned()], ..Config::default() });
        let expected = "webhook.secret: it does not start with \"whsec_\"; expected \"whsec_\" followed by 24 to 64 bytes in base64";
        assert_eq!(target.map(drop).unwrap_err().to_string(), expected);
    }

    #[test]
    fn any_id_can_be_signed() {
        let secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX".to_owned();
        let config = Config { forward: "http://service".to_owned(), secret: vec![secret], ..Config::default() };
        for format in [Format::Exocom, Format::Cloudevents] {
            let target = Target::new(&Config { format, ..config.clone() }).unwrap();
            let mut message =
                Message::new(MessageId::parse("größe \u{2028}1").unwrap(), MessageName::parse("a").unwrap());
            message.payload = Some(Payload::of("x").unwrap());
            let request = target.request(&message, 1, UNIX_EPOCH).unwrap();
            assert_eq!(request.headers()["webhook-id"], message.id.as_str().as_bytes());
            assert_eq!(request.headers()["webhook-timestamp"], "0");
        }
    }
}
