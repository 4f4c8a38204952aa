//! Calls to the receivers of webhooks: signed, bounded, and kept away from private addresses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::keys::sign;
use super::rules::{Attempt, Outcome};
use super::wire::{is_done, signature_header, signed_text};
use crate::http::{Codings, GuardedResolver, SsrfGuard, SsrfGuardConfig, UrlRejected, tls};
use crate::streams::config::Config;
use crate::sync::lock;

/// Header with the signature that proves to a receiver which server calls it.
const SIGNATURE: &str = "webhook-signature";

/// Ports for which a client is kept, with its connections. When there are more, all are made anew.
const CLIENTS_MAX: usize = 64;

/// The rule about addresses, for the clients whose URL is refused.
const RULE: &str = "only public addresses may be called (streams.subscriptions_webhook_allowed and, in development, \
                    streams.subscriptions_webhook_loopback make exceptions)";

/// Delivery of wakes to the receivers of webhooks.
pub(in crate::streams) trait WebhookClient: Send + Sync + 'static {
    /// Checks a URL without resolving its host name. Errors: [`UrlRejected`].
    fn check(&self, url: &str) -> Result<(), UrlRejected>;

    /// Makes the call; `at_s`, in seconds since 1970, is part of the signature. Not cancel-safe: a dropped call may have
    /// arrived.
    fn deliver(&self, attempt: Attempt, at_s: u64) -> BoxFuture<'static, Outcome>;
}

/// The [`WebhookClient`] over HTTP. Redirects count as failures. Proxies from the environment are not used, since the
/// guard could not check the addresses they connect to.
#[derive(Clone)]
pub(in crate::streams) struct HttpWebhookClient {
    guard: SsrfGuard,
    /// A client for each port, since what resolves its host names does not learn the port of a URL.
    clients: Arc<Mutex<HashMap<u16, reqwest::Client>>>,
    /// The URL under which receivers call back.
    callback_url: Option<Arc<str>>,
    timeout: Duration,
    answer_bytes_max: usize,
}

impl HttpWebhookClient {
    pub(in crate::streams) fn new(config: &Config) -> Self {
        Self::with_guard(config, SsrfGuard::new(&guard_config(config)))
    }

    pub(super) fn with_guard(config: &Config, guard: SsrfGuard) -> Self {
        Self {
            guard,
            clients: Arc::default(),
            callback_url: config.callback_url().map(Arc::from),
            timeout: Duration::from_millis(config.subscriptions_webhook_timeout_ms),
            answer_bytes_max: config.subscriptions_answer_bytes_max,
        }
    }

    async fn call(self, attempt: Attempt, at_s: u64) -> Result<Outcome, String> {
        let url = self.guard.check(&attempt.url).map_err(|error| error.to_string())?;
        let callback_url =
            self.callback_url.as_deref().ok_or("streams.public_url is not set, so the receiver could not call back")?;
        let body = attempt.wake.to_body(callback_url);
        let signature = sign(&attempt.key, &signed_text(at_s, &body)).map_err(|error| error.to_string())?;
        let port = url.port_or_known_default().unwrap_or_default();
        let call = self.client(port).post(url).header(CONTENT_TYPE, "application/json");
        let call = call.header(SIGNATURE, signature_header(at_s, &attempt.kid, &signature)).body(body);
        let mut answer = call.send().await.map_err(|error| innermost(&error))?;
        if !answer.status().is_success() {
            return Err(format!("the receiver answered {}", answer.status()));
        }
        let mut answer_body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| innermost(&error))? {
            if answer_body.len() + chunk.len() > self.answer_bytes_max {
                // The receiver has the wake; an answer of this size cannot be `{"done":true}`.
                return Ok(Outcome::Accepted);
            }
            answer_body.extend_from_slice(&chunk);
        }
        // The receiver has the wake, also if its answer cannot be read.
        let decoded = match Codings::of(answer.headers()) {
            Ok(codings) => codings.decode(answer_body.into(), self.answer_bytes_max).await.unwrap_or_default(),
            Err(_) => Bytes::new(),
        };
        Ok(if is_done(&decoded) { Outcome::Done } else { Outcome::Accepted })
    }

    /// Returns the client for URLs of this port.
    fn client(&self, port: u16) -> reqwest::Client {
        let mut clients = lock(&self.clients);
        if clients.len() >= CLIENTS_MAX && !clients.contains_key(&port) {
            clients.clear();
        }
        clients.entry(port).or_insert_with(|| client(self.guard.resolver(port), self.timeout)).clone()
    }
}

impl WebhookClient for HttpWebhookClient {
    fn check(&self, url: &str) -> Result<(), UrlRejected> {
        self.guard.check(url).map(drop)
    }

    fn deliver(&self, attempt: Attempt, at_s: u64) -> BoxFuture<'static, Outcome> {
        let call = self.clone().call(attempt, at_s);
        Box::pin(async move { call.await.unwrap_or_else(|cause| Outcome::Failed { cause }) })
    }
}

/// Returns the configured exceptions to the rule that webhooks go to public https URLs only.
pub(super) fn guard_config(config: &Config) -> SsrfGuardConfig {
    SsrfGuardConfig {
        allowed: config.subscriptions_webhook_allowed.clone(),
        public: true,
        loopback_http: config.subscriptions_webhook_loopback,
        own: config.own_listeners.clone(),
        rule: RULE,
    }
}

fn client(resolver: GuardedResolver, timeout: Duration) -> reqwest::Client {
    tls::anonymous_client_builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Arc::new(resolver))
        .connect_timeout(timeout)
        .timeout(timeout)
        .build()
        .expect("none of these settings can be refused")
}

/// Returns the last cause of the chain, which names the actual reason.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
