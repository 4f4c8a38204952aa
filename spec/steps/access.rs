//! Steps of callers who say who they are.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cucumber::{then, when};
use reqwest::Method;
use ring::hmac;
use serde_json::json;

use crate::world::World;
use crate::world::http::{Answer, call};

/// The secret that the scenarios configure.
const SECRET: &[u8] = b"a-shared-secret-of-at-least-32-bytes";

/// A JWT of this user that is good for a minute.
fn token_of(user: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({ "alg": "HS256" })), part(json!({ "sub": user, "exp": now + 60 })));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

async fn call_as(user: &str, method: Method, url: &str, headers: &[(&str, &str)], body: String) -> Answer {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut request = client.request(method, url).bearer_auth(token_of(user)).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answer { status, headers, body: answer.text().await.expect("a complete body") }
}

#[when(regex = r#"^I GET (\S+) with the header "([^:]+): (.+)"$"#)]
async fn get_with_header(world: &mut World, place: String, name: String, value: String) {
    let url = world.url(&place).await;
    world.answers.push(call(Method::GET, &url, Vec::new(), Some((name, value))).await);
}

#[when(regex = r"^(\S+) (GET|DELETE)s (\S+)$")]
async fn gets(world: &mut World, user: String, method: String, place: String) {
    let url = world.url(&place).await;
    let method = method.parse().expect("a method");
    world.answers.push(call_as(&user, method, &url, &[], String::new()).await);
}

#[when(regex = r"^(\S+) GETs (\S+) with the token in the query$")]
async fn gets_with_query(world: &mut World, user: String, place: String) {
    let url = format!("{}?access_token={}", world.url(&place).await, token_of(&user));
    world.answers.push(call(Method::GET, &url, Vec::new(), None).await);
}

#[when(regex = r"^(\S+) PUTs `(.*)` to (\S+)$")]
async fn puts(world: &mut World, user: String, body: String, place: String) {
    let url = world.url(&place).await;
    world.answers.push(call_as(&user, Method::PUT, &url, &[("content-type", "text/plain")], body).await);
}

#[when(regex = r#"^(\S+) forks "([^"]+)" as (\S+)$"#)]
async fn forks(world: &mut World, user: String, source: String, place: String) {
    let url = world.url(&place).await;
    let source = format!("/v1/stream/{source}");
    let headers = [("content-type", "text/plain"), ("stream-forked-from", source.as_str())];
    world.answers.push(call_as(&user, Method::PUT, &url, &headers, String::new()).await);
}

#[when(regex = r#"^(\S+) subscribes to "([^"]+)" at streams$"#)]
async fn subscribes(world: &mut World, user: String, pattern: String) {
    let url = world.url("streams/v1/stream/__ds/subscriptions/mine").await;
    let body = json!({ "type": "pull-wake", "pattern": pattern, "wake_stream": format!("users/{user}/wakes") });
    let headers = [("content-type", "application/json")];
    world.answers.push(call_as(&user, Method::PUT, &url, &headers, body.to_string()).await);
}

#[then("the answer does not have the token")]
async fn has_no_token(world: &mut World) {
    let answer = format!("{:?}", world.answer());
    assert!(!answer.contains("access_token") && !answer.contains("eyJ"), "{answer}");
}
