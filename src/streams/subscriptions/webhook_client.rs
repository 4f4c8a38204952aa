//! Calls to the receivers of webhooks: signed, bounded, and kept away from private addresses.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::keys::sign;
use super::rules::{Attempt, Outcome};
use super::wire::{is_done, signature_header, signed_text};
use crate::http::{Codings, SsrfGuard, SsrfGuardConfig, UrlRejected, tls};
use crate::streams::config::Config;

/// Header with the signature that proves to a receiver which server calls it.
const SIGNATURE: &str = "webhook-signature";

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
    /// Created by the first call, since most servers have no webhooks.
    client: Arc<OnceLock<reqwest::Client>>,
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
            client: Arc::new(OnceLock::new()),
            timeout: Duration::from_millis(config.subscriptions_webhook_timeout_ms),
            answer_bytes_max: config.subscriptions_answer_bytes_max,
        }
    }

    async fn call(self, attempt: Attempt, at_s: u64) -> Result<Outcome, String> {
        let url = self.guard.check(&attempt.url).map_err(|error| error.to_string())?;
        let body = attempt.wake.to_body();
        let signature = sign(&attempt.key, &signed_text(at_s, &body)).map_err(|error| error.to_string())?;
        let client = self.client.get_or_init(|| client(self.guard.clone(), self.timeout));
        let call = client.post(url).header(CONTENT_TYPE, "application/json");
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
    let allowed = config.subscriptions_webhook_allowed.clone();
    SsrfGuardConfig { allowed, loopback_http: config.subscriptions_webhook_loopback }
}

fn client(guard: SsrfGuard, timeout: Duration) -> reqwest::Client {
    tls::anonymous_client_builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Arc::new(guard))
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
