//! Tests of webhook calls over HTTP.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::world::{append, call, call_as, config, view};
use crate::http::{HostLookup, SsrfGuard};
use crate::streams::subscriptions::rules::{Attempt, Outcome};
use crate::streams::subscriptions::webhook_client::guard_config;
use crate::streams::subscriptions::wire::{SubscriptionId, WakeView};
use crate::streams::subscriptions::{HttpWebhookClient, WebhookClient, keys};
use crate::streams::tests::world::{path, until};
use crate::streams::{Config, Streams};

type Call = (String, HeaderMap, Bytes);

/// A receiver on a port of its own.
struct HttpReceiver {
    port: u16,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl HttpReceiver {
    async fn answering(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Self {
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let recorded = Arc::clone(&calls);
        let router = Router::new().fallback(async move |uri: Uri, headers: HeaderMap, body: Bytes| {
            recorded.lock().unwrap().push((uri.to_string(), headers, body));
            answer()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, calls }
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// Opens streams whose appends are all delivered to this receiver, and waits for the first call.
    async fn streams(&self) -> Streams {
        // The pattern would match the registry, too.
        let streams = Streams::in_memory(Config {
            registry: false,
            subscriptions_webhook_loopback: true,
            subscriptions_webhook_timeout_ms: 1_000,
            ..config()
        });
        let url = format!("http://127.0.0.1:{}/hook", self.port);
        let body = json!({"type": "webhook", "pattern": "**", "webhook": {"url": url}});
        assert_eq!(call(&streams, "PUT __ds/subscriptions/s", body).await.0, 201);
        append(&streams, "a/b").await;
        until("the receiver is called", || !self.calls().is_empty()).await;
        streams
    }
}

fn ok(body: impl Into<String>) -> Response {
    body.into().into_response()
}

async fn until_shown(streams: &Streams, path: &str, expected: &str) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while view(streams, "s").await.pointer(path) != Some(&json!(expected)) {
        assert!(std::time::Instant::now() < deadline, "{path} is not {expected}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn calls_are_signed_with_a_published_key() {
    let receiver = HttpReceiver::answering(|| ok(r#"{"done":true}"#)).await;
    let streams = receiver.streams().await;
    let (target, headers, body) = receiver.calls().remove(0);
    assert_eq!((target.as_str(), headers["content-type"].to_str().unwrap()), ("/hook", "application/json"));
    let wake: Value = serde_json::from_slice(&body).unwrap();
    let end = streams.describe(&path("a/b")).unwrap().next.to_string();
    let expected_streams = json!([{
        "path": "a/b", "link_type": "glob", "acked_offset": "-1", "has_pending": true,
        "tail_offset": end,
    }]);
    assert_eq!(
        (&wake["subscription_id"], &wake["generation"], &wake["streams"]),
        (&json!("s"), &json!(1), &expected_streams)
    );
    assert!(wake["wake_id"].as_str().unwrap().starts_with("w_"));

    let signature = headers["webhook-signature"].to_str().unwrap();
    let parts: Vec<&str> = signature.split(',').map(|part| part.split_once('=').unwrap().1).collect();
    let [at, kid, signed] = parts[..] else { panic!("{signature}") };
    let (_, jwks) = call(&streams, "GET __ds/jwks.json", Value::Null).await;
    let key = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid).unwrap();
    let expected = json!({"kty": "OKP", "crv": "Ed25519", "x": key["x"], "kid": kid, "use": "sig", "alg": "EdDSA"});
    assert_eq!(key, &expected);
    let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    let verify =
        |text: &[u8]| UnparsedPublicKey::new(&ED25519, &public).verify(text, &URL_SAFE_NO_PAD.decode(signed).unwrap());
    verify(&[at.as_bytes(), b".", &body].concat()).unwrap();
    assert!(verify(&[b"1", at.as_bytes(), b".", &body].concat()).is_err());
    until_shown(&streams, "/streams/0/acked_offset", &end).await;
}

#[tokio::test]
async fn a_receiver_that_accepts_can_call_back_with_its_token() {
    let receiver = HttpReceiver::answering(|| ok("")).await;
    let streams = receiver.streams().await;
    let wake: Value = serde_json::from_slice(&receiver.calls()[0].2).unwrap();
    let acks = json!([{"stream": "a/b", "offset": wake["streams"][0]["tail_offset"]}]);
    let body = json!({"wake_id": wake["wake_id"], "generation": wake["generation"], "acks": acks, "done": true});
    let done = call_as(&streams, &wake["callback_token"], "POST __ds/subscriptions/s/callback", body).await;
    assert_eq!(done, (200, json!({"ok": true, "next_wake": false})));
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let receiver = HttpReceiver::answering(|| (StatusCode::FOUND, [("location", "/elsewhere")]).into_response()).await;
    let streams = receiver.streams().await;
    until_shown(&streams, "/status", "failed").await;
    assert!(receiver.calls().iter().all(|(target, ..)| target == "/hook"));
}

/// Calls a URL whose host name resolves to 127.0.0.1.
async fn call_directly(config: Config, url: String) -> Outcome {
    let lookup: HostLookup = Arc::new(|_| Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) }));
    let (_, (kid, key)) = keys::generate(0).unwrap();
    let wake = WakeView {
        id: SubscriptionId::parse("s").unwrap(),
        wake_id: "w_1".into(),
        generation: 1,
        token: "t".into(),
        mount: "/v1/stream".into(),
        streams: Vec::new(),
    };
    let guard = SsrfGuard::with_lookup(&guard_config(&config), lookup);
    HttpWebhookClient::with_guard(&config, guard).deliver(Attempt { url, wake, kid, key, nonce: "n".into() }, 1).await
}

#[tokio::test]
async fn a_public_name_that_resolves_to_loopback_is_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let outcome = call_directly(config(), format!("https://public.example:{port}/")).await;
    let Outcome::Failed { cause } = outcome else { panic!("{outcome:?}") };
    assert!(cause.contains("127.0.0.1, a loopback address"), "{cause}");
    let connection = futures_util::FutureExt::now_or_never(listener.accept());
    assert!(connection.is_none(), "no connection was made");
}

#[tokio::test]
async fn an_allowed_name_is_connected_to() {
    let receiver = HttpReceiver::answering(|| ok(r#"{"done":true}"#)).await;
    let config = Config { subscriptions_webhook_allowed: vec!["worker.internal".into()], ..config() };
    let outcome = call_directly(config, format!("http://worker.internal:{}/", receiver.port)).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(receiver.calls()[0].1["host"], format!("worker.internal:{}", receiver.port));
}

#[tokio::test]
async fn answers_are_limited_in_size_and_time() {
    let long = HttpReceiver::answering(|| ok(format!(r#"{{"done":true,"more":"{}"}}"#, "x".repeat(1_000)))).await;
    let development = || Config { subscriptions_webhook_loopback: true, ..config() };
    let limit = |bytes| Config { subscriptions_answer_bytes_max: bytes, ..development() };
    let url = format!("http://127.0.0.1:{}/", long.port);
    assert_eq!(call_directly(limit(2_000), url.clone()).await, Outcome::Done);
    assert_eq!(call_directly(limit(100), url).await, Outcome::Accepted);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config { subscriptions_webhook_timeout_ms: 50, ..development() };
    let outcome = call_directly(config, format!("http://{}/", silent.local_addr().unwrap())).await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_webhook_to_a_listener_of_this_process_is_refused_and_not_called() {
    let receiver = HttpReceiver::answering(|| ok(r#"{"done":true}"#)).await;
    let allowed = ["127.0.0.0/8", "worker.internal"].map(str::to_owned).to_vec();
    let config = Config { subscriptions_webhook_loopback: true, subscriptions_webhook_allowed: allowed, ..config() };
    config.own_listeners.add(std::net::SocketAddr::from(([0, 0, 0, 0], receiver.port)));
    let streams = Streams::in_memory(config.clone());
    for host in ["127.0.0.1", "localhost", "2130706433", "127.1"] {
        let body = json!({"type": "webhook", "pattern": "**", "webhook": {"url": format!("http://{host}:{}/", receiver.port)}});
        let (status, answer) = call(&streams, "PUT __ds/subscriptions/s", body).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("WEBHOOK_URL_REJECTED")), "{host}");
    }
    // The name resolves to 127.0.0.1 when the call is made.
    let outcome = call_directly(config, format!("http://worker.internal:{}/", receiver.port)).await;
    let Outcome::Failed { cause } = outcome else { panic!("{outcome:?}") };
    assert!(cause.contains("a listener of this server itself"), "{cause}");
    assert!(receiver.calls().is_empty());
}

#[tokio::test]
async fn webhooks_to_loopback_are_for_development() {
    let streams = Streams::in_memory(config());
    for url in ["http://127.0.0.1:1/", "http://localhost:1/", "http://127.9.9.9/", "http://a.localhost/"] {
        let body = json!({"type": "webhook", "pattern": "**", "webhook": {"url": url}});
        let (status, answer) = call(&streams, "PUT __ds/subscriptions/s", body).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("WEBHOOK_URL_REJECTED")), "{url}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("streams.subscriptions_webhook_loopback"), "{message}");
    }
}
