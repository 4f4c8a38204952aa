//! Fetches keys from the URL of their issuer: when the first token comes, every ten minutes, and when a token names a key that
//! is not known, which may be a new one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::Request;
use axum::http::header::ACCEPT;
use bytes::Bytes;
use http_body_util::Full;
use tokio::time::Instant;

use super::keys::{KeySet, Origin};
use crate::http::{Client, ClientLimits, hide_credentials};
use crate::sync::lock;

/// Time for which fetched keys count as new.
const REFRESH_INTERVAL: Duration = Duration::from_secs(600);

/// Minimum time between two attempts: tokens that name keys which do not exist cause no more calls than this.
const ATTEMPT_INTERVAL: Duration = Duration::from_secs(10);

/// Timeout for one attempt, for which requests wait.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum length of a set of keys.
const BYTES_MAX: usize = 256 * 1024;

/// The URL of a set of keys, and the attempts to fetch it.
pub(super) struct Fetching {
    url: String,
    client: Client,
    times: Mutex<Times>,
    /// Held while keys are fetched, so that there is one call at a time.
    turn: tokio::sync::Mutex<()>,
    has_succeeded: AtomicBool,
}

#[derive(Default)]
struct Times {
    attempt: Option<Instant>,
    success: Option<Instant>,
}

impl Fetching {
    pub(super) fn of(url: &str) -> Self {
        let limits = ClientLimits { connect_timeout: TIMEOUT, timeout: TIMEOUT, answer_bytes_max: BYTES_MAX };
        Self {
            url: url.to_owned(),
            client: Client::new(limits),
            times: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            has_succeeded: AtomicBool::new(false),
        }
    }

    /// Returns true if keys have been fetched.
    pub(super) fn has_succeeded(&self) -> bool {
        self.has_succeeded.load(Ordering::Relaxed)
    }

    /// Returns true if the keys should be fetched before a token is verified whose key is known or not.
    pub(super) fn is_due(&self, is_known: bool) -> bool {
        let (times, now) = (lock(&self.times), Instant::now());
        let is_over = |time: Option<Instant>, interval| time.is_none_or(|time| now.duration_since(time) >= interval);
        is_over(times.attempt, ATTEMPT_INTERVAL) && (!is_known || is_over(times.success, REFRESH_INTERVAL))
    }

    /// Fetches the keys; `None` if another call just did, or it fails, which is logged. Cancel-safe: a dropped call fetches
    /// nothing.
    pub(super) async fn fetch(&self) -> Option<KeySet> {
        let before = lock(&self.times).attempt;
        let _turn = self.turn.lock().await;
        {
            let mut times = lock(&self.times);
            if times.attempt != before {
                return None;
            }
            times.attempt = Some(Instant::now());
        }
        match self.call().await {
            Ok(keys) => {
                lock(&self.times).success = Some(Instant::now());
                self.has_succeeded.store(true, Ordering::Relaxed);
                Some(keys)
            }
            Err(cause) => {
                let url = hide_credentials(&self.url);
                tracing::warn!(%url, %cause, "cannot fetch the keys of access.jwt_keys_url; those that are known stay");
                None
            }
        }
    }

    async fn call(&self) -> Result<KeySet, String> {
        let request = Request::get(&self.url).header(ACCEPT, "application/jwk-set+json, application/json");
        let request = request.body(Full::new(Bytes::new())).map_err(|error| error.to_string())?;
        let answer = self.client.call(request).await.map_err(|error| error.to_string())?;
        if !answer.status.is_success() {
            return Err(format!("the answer is {}", answer.status));
        }
        let text = std::str::from_utf8(&answer.body).map_err(|error| error.to_string())?;
        KeySet::parse(text, Origin::Public)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use axum::Router;
    use axum::routing::get;

    use super::super::super::tokens::hash;
    use super::super::tests::{ES256, JWKS, NOW_S, RS256};
    use super::super::{Jwt, Lookup};
    use crate::http::access::AccessConfig;
    use crate::http::{Limits, Listening, Serving};

    use super::*;

    /// Serves the keys of the text, and counts the calls.
    async fn issuer(keys: Arc<Mutex<String>>) -> (Serving, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let router = Router::new().route(
            "/keys",
            get(move || async move {
                counted.fetch_add(1, Ordering::Relaxed);
                lock(&keys).clone()
            }),
        );
        let listening = Listening::bind("--test", "127.0.0.1:0").await.unwrap();
        (listening.serve(router, &Limits::default()), calls)
    }

    /// Returns the name of the caller, or the reason why there is none, after at most one fetch.
    async fn found(jwt: &Jwt, token: &str) -> String {
        let find = || jwt.find_at(token, hash(token), NOW_S);
        let lookup = match find() {
            Lookup::Fetch => {
                jwt.fetch().await;
                find()
            }
            lookup => lookup,
        };
        match lookup {
            Lookup::Found(principal) => principal.rejected().map_or_else(|| principal.label(), str::to_owned),
            Lookup::Fetch => "not fetched".to_owned(),
            Lookup::NoKeys => "no keys".to_owned(),
        }
    }

    async fn wait(time: Duration) {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    fn only(kid: &str) -> String {
        let keys: serde_json::Value = serde_json::from_str(JWKS).unwrap();
        let kept = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid).unwrap();
        serde_json::json!({ "keys": [kept] }).to_string()
    }

    #[tokio::test]
    async fn a_new_key_is_fetched_and_an_old_one_forgotten() {
        let keys = Arc::new(Mutex::new(only("rsa")));
        let (serving, calls) = issuer(Arc::clone(&keys)).await;
        let jwt_keys_url = format!("http://{}/keys", serving.address());
        let jwt = Jwt::read(&AccessConfig { jwt_keys_url, ..AccessConfig::default() }).unwrap().unwrap();
        let calls = || calls.load(Ordering::Relaxed);
        assert_eq!((found(&jwt, RS256).await.as_str(), calls()), ("sub:alice", 1));
        let unknown = "the JWT is signed with ES256, and no key for that is configured";
        for _ in 0..5 {
            assert_eq!((found(&jwt, ES256).await.as_str(), calls()), (unknown, 1), "not again so soon");
        }
        *lock(&keys) = only("ec");
        wait(ATTEMPT_INTERVAL).await;
        assert_eq!((found(&jwt, ES256).await.as_str(), calls()), ("sub:alice", 2));
        let gone = "the JWT is signed with RS256, and no key for that is configured";
        assert_eq!(found(&jwt, RS256).await, gone, "its key is gone, although it was verified before");
        assert_eq!(calls(), 2);
        wait(REFRESH_INTERVAL).await;
        *lock(&keys) = "no keys".to_owned();
        // A token that is known would not be verified again.
        jwt.verified.clear();
        assert_eq!(found(&jwt, ES256).await, "sub:alice", "the known keys stay");
    }

    #[tokio::test]
    async fn without_any_keys_callers_are_asked_to_come_again() {
        let jwt_keys_url = "http://127.0.0.1:1/keys".to_owned();
        let jwt = Jwt::read(&AccessConfig { jwt_keys_url, ..AccessConfig::default() }).unwrap().unwrap();
        assert_eq!(found(&jwt, RS256).await, "no keys");
        assert_eq!(found(&jwt, "not a token").await, "the token is none of the configuration, and no JWT");
    }
}
