//! Tests of the routes: statuses, codes and bodies of the protocol.

use axum::Router;
use serde_json::{Value, json};

use super::world::{Receiver, append, call, call_as, call_with, claim, config, open, pull, view};
use crate::streams::{Config, Streams, router};

async fn check(streams: &Streams, line: &str, body: Value, status: u16, code: &str) {
    let (got, answer) = call(streams, line, body).await;
    assert_eq!((got, answer["error"]["code"].as_str().unwrap_or_default()), (status, code), "{line}: {answer}");
    assert!(code.is_empty() || answer["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
}

fn hook(more: Value) -> Value {
    let mut body = json!({"type": "webhook", "pattern": "a/*", "webhook": {"url": "https://receiver.example/"}});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    body
}

#[tokio::test]
async fn a_subscription_is_created_once_and_can_be_read() {
    let streams = open(&Default::default(), &Receiver::new([]));
    let body = hook(json!({"streams": ["b"], "description": "mail", "lease_ttl_ms": 1000}));
    let (status, created) = call(&streams, "PUT __ds/subscriptions/s", body.clone()).await;
    let root = "http://streams.example/v1/stream";
    let signing = &created["webhook"]["signing"];
    assert_eq!(status, 201);
    assert!(signing["kid"].as_str().unwrap().starts_with("ds_"));
    let expected = json!({
        "id": "s", "subscription_id": "s", "type": "webhook", "pattern": "a/*", "description": "mail",
        "streams": [{"path": "b", "link_type": "explicit", "acked_offset": "-1"}],
        "webhook": {
            "url": "https://receiver.example/",
            "signing": {"alg": "ed25519", "kid": signing["kid"], "jwks_url": format!("{root}/__ds/jwks.json")},
        },
        "lease_ttl_ms": 1000, "status": "active", "created_at": created["created_at"],
    });
    assert_eq!(created, expected);
    assert_eq!(call(&streams, "PUT __ds/subscriptions/s", body).await, (200, created.clone()));
    assert_eq!(view(&streams, "s").await, created);
    check(&streams, "PUT __ds/subscriptions/s", hook(json!({})), 409, "SUBSCRIPTION_ALREADY_EXISTS").await;
    for _ in 0..2 {
        check(&streams, "DELETE __ds/subscriptions/s", Value::Null, 204, "").await;
    }
    check(&streams, "GET __ds/subscriptions/s", Value::Null, 404, "SUBSCRIPTION_NOT_FOUND").await;
}

#[tokio::test]
async fn invalid_definitions_are_refused() {
    let streams = Streams::in_memory(Config::default());
    for more in [
        json!({"type": "post"}),
        json!({"type": "pull-wake"}),
        json!({"webhook": null}),
        json!({"pattern": null}),
        json!({"pattern": "a*"}),
        json!({"streams": ["__ds/x"]}),
        json!({"streams": "a"}),
        json!({"lease_ttl_ms": 999}),
        json!({"lease_ttl_ms": 600_001}),
        json!({"lease_ttl_ms": "1000"}),
        json!({"description": 1}),
    ] {
        check(&streams, "PUT __ds/subscriptions/s", hook(more), 400, "INVALID_REQUEST").await;
    }
    check(&streams, "PUT __ds/subscriptions/s", Value::Null, 400, "INVALID_REQUEST").await;
    check(&streams, "PUT __ds/subscriptions/a%2Fb", hook(json!({})), 400, "INVALID_REQUEST").await;
    let url = json!({"webhook": {"url": "http://10.0.0.1/hook"}});
    check(&streams, "PUT __ds/subscriptions/s", hook(url), 400, "WEBHOOK_URL_REJECTED").await;
    assert_eq!(call(&streams, "GET __ds/subscriptions/s", Value::Null).await.0, 404);
}

#[tokio::test]
async fn reserved_paths_are_never_streams() {
    let streams = Streams::in_memory(Config::default());
    for line in ["GET __ds/x", "PUT __ds/x/y", "GET __ds", "GET __ds/", "GET __ds/subscriptions", "POST __ds/x"] {
        check(&streams, line, Value::Null, 404, "SUBSCRIPTION_NOT_FOUND").await;
    }
    check(&streams, "POST __ds/jwks.json", Value::Null, 405, "INVALID_REQUEST").await;
    check(&streams, "PATCH __ds/subscriptions/s", Value::Null, 405, "INVALID_REQUEST").await;
    for call in ["callback", "claim", "ack", "release", "streams"] {
        let body = json!({"wake_id": "w", "generation": 1, "worker": "w", "streams": ["a"]});
        check(&streams, &format!("POST __ds/subscriptions/s/{call}"), body, 404, "SUBSCRIPTION_NOT_FOUND").await;
    }
}

#[tokio::test]
async fn missing_invalid_and_outdated_tokens_are_refused() {
    let streams = open(&Default::default(), &Receiver::new([]));
    pull(&streams, "s", "a/*").await;
    check(&streams, "POST __ds/subscriptions/s/claim", json!({"worker": "w"}), 409, "NO_PENDING_WORK").await;
    check(&streams, "POST __ds/subscriptions/s/claim", json!({"worker": ""}), 400, "INVALID_REQUEST").await;
    append(&streams, "a/b").await;
    let (_, claimed) = claim(&streams, "s", "w1").await;
    let busy = claim(&streams, "s", "w2").await.1["error"].clone();
    assert_eq!(
        (&busy["code"], &busy["current_holder"], &busy["generation"]),
        (&json!("ALREADY_CLAIMED"), &json!("w1"), &json!(1))
    );
    let ack = |more: Value| {
        let mut body = json!({"wake_id": claimed["wake_id"], "generation": claimed["generation"]});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        body
    };
    check(&streams, "POST __ds/subscriptions/s/ack", ack(json!({})), 401, "TOKEN_INVALID").await;
    let refused = async |token: &Value, body: Value| {
        let (status, answer) = call_as(&streams, token, "POST __ds/subscriptions/s/ack", body).await;
        (status, answer["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(refused(&json!("x.1.2.y"), ack(json!({}))).await, (401, "TOKEN_INVALID".into()));
    let token = &claimed["token"];
    assert_eq!(refused(token, ack(json!({"generation": 2}))).await, (409, "FENCED".into()));
    assert_eq!(refused(token, ack(json!({"wake_id": "w_other"}))).await, (409, "FENCED".into()));
    let beyond = json!({"acks": [{"stream": "a/b", "offset": "0000000000000000_0000000000000999"}]});
    assert_eq!(refused(token, ack(beyond)).await, (409, "INVALID_OFFSET".into()));
    let other = json!({"acks": [{"stream": "a/c", "offset": "-1"}]});
    assert_eq!(refused(token, ack(other)).await, (409, "INVALID_OFFSET".into()));
    let released = call_as(&streams, token, "POST __ds/subscriptions/s/release", ack(json!({}))).await;
    assert_eq!(released, (204, Value::Null));
    assert_eq!(refused(token, ack(json!({}))).await, (409, "FENCED".into()));
}

#[tokio::test]
async fn too_large_bodies_and_too_many_subscriptions_are_refused() {
    let config = Config { subscriptions_body_bytes_max: 200, subscriptions_max: 1, ..config() };
    let streams = Streams::in_memory(config);
    let long = hook(json!({"description": "x".repeat(200)}));
    check(&streams, "PUT __ds/subscriptions/s", long, 413, "BODY_TOO_LARGE").await;
    check(&streams, "PUT __ds/subscriptions/s", hook(json!({})), 201, "").await;
    check(&streams, "PUT __ds/subscriptions/t", hook(json!({})), 507, "FULL").await;
}

#[tokio::test]
async fn urls_contain_the_path_the_router_is_nested_at() {
    let receiver = Receiver::new([]);
    let streams = open(&Default::default(), &receiver);
    let nested = || Router::new().nest("/inner", router(streams.clone()));
    let line = "PUT /inner/v1/stream/__ds/subscriptions/s%201";
    let (status, created) = call_with(nested(), line, "", hook(json!({}))).await;
    assert_eq!((status, &created["id"]), (201, &json!("s 1")));
    let root = "http://streams.example/inner/v1/stream";
    assert_eq!(created["webhook"]["signing"]["jwks_url"], format!("{root}/__ds/jwks.json"));
    append(&streams, "a/b").await;
    let body: Value = serde_json::from_slice(&receiver.call(1).await.to_body("http://streams.example")).unwrap();
    assert_eq!(body["callback_url"], format!("{root}/__ds/subscriptions/s%201/callback"));
}

#[tokio::test]
async fn receivers_call_back_where_the_configuration_says_and_never_where_a_caller_says() {
    let jwks_url = async |config: Config| {
        let streams = Streams::in_memory(config);
        let (status, created) = call(&streams, "PUT __ds/subscriptions/s", hook(json!({}))).await;
        (status, created["webhook"]["signing"]["jwks_url"].as_str().map(str::to_owned))
    };
    let with = |public_url: &str, listener_url: &str| Config {
        public_url: public_url.into(),
        listener_url: listener_url.into(),
        ..Config::default()
    };
    let expect = |url: &str| (201, Some(format!("{url}/v1/stream/__ds/jwks.json")));
    assert_eq!(jwks_url(with("https://public.example/x/", "http://[::1]:1")).await, expect("https://public.example/x"));
    assert_eq!(jwks_url(with("", "http://127.0.0.1:4437")).await, expect("http://127.0.0.1:4437"));
    // The calls of these tests name the host streams.example, and others could name any other.
    let streams = Streams::in_memory(Config::default());
    check(&streams, "PUT __ds/subscriptions/s", hook(json!({})), 501, "PUBLIC_URL_MISSING").await;
    let pull = json!({"type": "pull-wake", "pattern": "a/*", "wake_stream": "wake"});
    check(&streams, "PUT __ds/subscriptions/t", pull, 201, "").await;
}

#[tokio::test]
async fn a_subscription_of_an_earlier_version_calls_back_where_the_configuration_says() {
    let old = r#"{"terms":{"delivery":{"Webhook":{"url":"https://a"}},"pattern":"a/*","streams":[],"lease_ttl_ms":1000,
        "description":null},"base":"http://evil.example/v1/stream","created_ms":1,"since_log":1,"nonce":"n","generation":0,
        "wake":null}"#;
    let (_, entry) = crate::streams::subscriptions::wire::SubscriptionEntry::read(b"s", old.as_bytes()).unwrap();
    assert_eq!(entry.mount, "/v1/stream");
}
