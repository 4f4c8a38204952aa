//! Bus to an ExoCom broker over HTTP: ours, which accepts registrations and batches, or an original of the HTTP era, which
//! accepts one message at a time and is configured separately.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::Full;

use super::error::problem_detail;
use super::{Bus, Config, Endpoint, Error, Membership, Register, batch_len};
use crate::broker::{Announcement, INSTANCE_HEADER, Lease};
use crate::http::{Answer, Client, ClientLimits, join, split_credentials};
use crate::message::{InstanceId, Message, Verdict, path_segment};

/// Maximum size of a broker's answer. Verdicts are short, but there is one per message.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Interval between liveness probes of an original broker.
const PROBE: Duration = Duration::from_secs(3);

/// Retry delay for a busy broker that sends no `Retry-After`.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Bus to a broker over HTTP.
pub struct HttpBus {
    client: Client,
    url: String,
    instance: HeaderValue,
    /// Bearer token that authorizes this relay for its role (RFC 6750 2.1), else the user and the password of the URL.
    authorization: Option<HeaderValue>,
    register: Register,
    /// Maximum number of messages per call; 1 until the broker allows more.
    batch_max: AtomicUsize,
}

impl HttpBus {
    /// Creates the bus of the relay `instance`. Opens no connection yet.
    pub fn new(config: &Config, instance: &InstanceId) -> Self {
        let client = Client::new(ClientLimits {
            connect_timeout: Duration::from_millis(config.connect_timeout_ms),
            timeout: Duration::from_millis(config.timeout_ms),
            answer_bytes_max: ANSWER_BYTES_MAX,
        });
        let instance = HeaderValue::from_str(instance.as_str())
            .unwrap_or_else(|_| HeaderValue::from_static("an-id-that-no-header-can-carry"));
        let (url, basic) = split_credentials(config.url.trim_end_matches('/'));
        let bearer = (!config.token.is_empty()).then(|| format!("Bearer {}", config.token));
        let bearer = bearer.and_then(|value| HeaderValue::try_from(value).ok()).map(|mut value| {
            value.set_sensitive(true);
            value
        });
        Self {
            client,
            url,
            instance,
            authorization: bearer.or(basic),
            register: config.register,
            batch_max: AtomicUsize::new(1),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, Error> {
        let uri: Uri = join(&self.url, path)?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if self.register == Register::Auto {
            headers.insert(INSTANCE_HEADER, self.instance.clone());
        }
        Ok(self.client.call(request).await?)
    }

    async fn publish_batch(&self, batch: &[Message]) -> Result<Vec<Verdict>, Error> {
        let answer = self.call(Method::POST, "/send", Message::list_to_json(batch)).await?;
        if answer.status == StatusCode::PAYLOAD_TOO_LARGE && batch.len() > 1 {
            return Box::pin(self.publish_batch(&batch[..batch.len() / 2])).await;
        }
        if answer.status != StatusCode::OK {
            let verdict = self.verdict(&answer)?;
            // Who has no time for the call has none for any of its messages: the rest is not to be sent at once.
            let judged = if matches!(verdict, Verdict::Busy { .. }) { batch.len() } else { 1 };
            return Ok(vec![verdict; judged]);
        }
        let verdicts = Verdict::list_from_json(&answer.body)
            .map_err(|error| self.unexpected("POST /send", &answer, error.to_string()))?;
        if verdicts.is_empty() || verdicts.len() > batch.len() {
            let hint = format!("it returned {} verdicts for {} messages", verdicts.len(), batch.len());
            return Err(self.unexpected("POST /send", &answer, hint));
        }
        Ok(verdicts)
    }

    async fn publish_one(&self, message: &Message) -> Result<Vec<Verdict>, Error> {
        let path = format!("/send/{}", path_segment(message.name.as_str()));
        let answer = self.call(Method::POST, &path, message.to_json()).await?;
        Ok(vec![self.verdict(&answer)?])
    }

    /// Interprets the answer to one message. An original broker reports missing receivers as a 500 with that text.
    fn verdict(&self, answer: &Answer) -> Result<Verdict, Error> {
        let status = answer.status;
        if status.is_success() {
            return Ok(Verdict::Accepted);
        }
        if status == StatusCode::CONFLICT {
            return Err(Error::Unregistered { url: self.url.clone() });
        }
        let text = String::from_utf8_lossy(&answer.body);
        if status == StatusCode::NOT_FOUND || text.contains("No receivers for message") {
            return Ok(Verdict::NoReceivers);
        }
        let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
        let gateway = [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
        if later.contains(&status) || gateway.contains(&status) {
            return Ok(Verdict::Busy { retry_after: answer.retry_after().unwrap_or(RETRY_AFTER) });
        }
        let detail =
            problem_of(answer).unwrap_or_else(|| format!("{status}: {:.200}", text.lines().next().unwrap_or_default()));
        Ok(Verdict::Refused { detail })
    }

    async fn register(&self, membership: &Membership) -> Result<Duration, Error> {
        let Some(Endpoint { host, port, token }) = membership.endpoint.clone() else {
            let hint = "this relay has no listener for deliveries from the broker".to_owned();
            return Err(Error::Registration(hint));
        };
        let announcement =
            Announcement { registration: membership.registration.clone(), host, port, delivery_token: token };
        let path = format!("/services/{}", path_segment(membership.registration.role.as_str()));
        let answer = self.call(Method::PUT, &path, announcement.to_json()).await?;
        match answer.status {
            StatusCode::OK => {
                let lease = Lease::from_json(&answer.body)
                    .map_err(|error| self.unexpected("PUT /services", &answer, error.to_string()))?;
                self.batch_max.store(lease.batch_messages_max.max(1), Ordering::Relaxed);
                Ok(lease.duration / 3)
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                let hint =
                    "it does not support registration; for an original ExoCom broker use --register off".to_owned();
                Err(self.unexpected("PUT /services", &answer, hint))
            }
            _ => Err(Error::Registration(detail_of(&answer))),
        }
    }

    async fn probe(&self) -> Result<Duration, Error> {
        let answer = self.call(Method::GET, "/config.json", Bytes::new()).await?;
        if answer.status.is_success() {
            return Ok(PROBE);
        }
        let hint = "expected an ExoCom broker at this URL".to_owned();
        Err(self.unexpected("GET /config.json", &answer, hint))
    }

    fn unexpected(&self, call: &'static str, answer: &Answer, hint: String) -> Error {
        Error::Unexpected { url: self.url.clone(), call, status: answer.status.as_u16(), hint }
    }
}

impl Bus for HttpBus {
    fn registers_names(&self) -> bool {
        self.register == Register::Auto
    }

    fn publish_now(&self, _message: &Message) -> Option<Verdict> {
        None
    }

    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Result<Vec<Verdict>, Error>> {
        async move {
            assert!(!batch.is_empty(), "an empty batch has no verdict");
            match self.batch_max.load(Ordering::Relaxed) {
                0 | 1 => self.publish_one(&batch[0]).await,
                most => self.publish_batch(&batch[..batch_len(batch, most)]).await,
            }
        }
        .boxed()
    }

    fn join_now(&self, _membership: &Membership) -> Option<Result<Duration, Error>> {
        None
    }

    fn join<'a>(&'a self, membership: &'a Membership) -> BoxFuture<'a, Result<Duration, Error>> {
        async move {
            match self.register {
                Register::Auto => self.register(membership).await,
                Register::Off => self.probe().await,
            }
        }
        .boxed()
    }

    fn leave<'a>(&'a self, membership: &'a Membership) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            if self.register == Register::Off {
                return Ok(());
            }
            let role = path_segment(membership.registration.role.as_str());
            let instance = path_segment(membership.registration.instance.as_str());
            let path = format!("/services/{role}?instance={instance}");
            let answer = self.call(Method::DELETE, &path, Bytes::new()).await?;
            match answer.status {
                StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Ok(()),
                _ => Err(Error::Registration(detail_of(&answer))),
            }
        }
        .boxed()
    }
}

/// Returns the `detail` of a problem answer, or else its status.
fn detail_of(answer: &Answer) -> String {
    problem_of(answer).unwrap_or_else(|| answer.status.to_string())
}

/// Returns the `detail` of a problem answer.
fn problem_of(answer: &Answer) -> Option<String> {
    problem_detail(&answer.body)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::post;

    use super::*;
    use crate::message::{MessageId, MessageName};

    #[tokio::test]
    async fn an_answer_that_there_is_no_time_holds_for_every_message_of_the_call() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router =
            Router::new().route("/send", post(async || (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "3")])));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let bus = HttpBus::new(&Config { url, ..Config::default() }, &InstanceId::parse("web-1").unwrap());
        bus.batch_max.store(9, Ordering::Relaxed);
        let message = |name| Message::new(MessageId::parse("1").unwrap(), MessageName::parse(name).unwrap());
        let verdicts = bus.publish(&[message("a"), message("b"), message("a")]).await.unwrap();
        assert_eq!(verdicts, vec![Verdict::Busy { retry_after: Duration::from_secs(3) }; 3]);
    }
}
