//! Steps about subscriptions to durable streams.

use cucumber::{given, then, when};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::eventually::eventually;
use crate::world::service::{Behaviour, Service};
use crate::world::streams::{World, call};

const JSON: (&str, &str) = ("content-type", "application/json");

#[given(regex = r"^a receiver that answers `(.*)`$")]
async fn receiver(world: &mut World, body: String) {
    world.receiver = Some(Service::up(Behaviour::Body(body)));
}

#[given(regex = r"^a receiver that answers with (\d+)$")]
async fn receiver_refusing(world: &mut World, status: u16) {
    world.receiver = Some(Service::up(Behaviour::Status { status, header: None, times: usize::MAX }));
}

#[given("a receiver that is silent")]
async fn receiver_silent(world: &mut World) {
    world.receiver = Some(Service::up(Behaviour::Hang));
}

#[given("a receiver that is down")]
async fn receiver_down(world: &mut World) {
    world.receiver = Some(Service::down(Behaviour::Body("{\"done\":true}".into())));
}

#[when("the receiver comes up")]
async fn receiver_up(world: &mut World) {
    world.receiver.as_mut().expect("there is a receiver").come_up();
}

#[when("the streams server starts again")]
async fn start_again(world: &mut World) {
    world.start_again().await;
}

async fn control(world: &mut World, method: Method, path: &str, token: &str, body: Value) {
    let bearer = format!("Bearer {token}");
    let headers: &[_] = if token.is_empty() { &[JSON] } else { &[JSON, ("authorization", bearer.as_str())] };
    world.call(method, &format!("__ds/subscriptions/{path}"), headers, body.to_string().into_bytes()).await;
}

async fn subscribe(world: &mut World, id: &str, body: Value) {
    control(world, Method::PUT, id, "", body).await;
}

#[given(regex = r#"^the subscription "([^"]+)" of "([^"]+)" calls the receiver$"#)]
async fn webhook(world: &mut World, id: String, pattern: String) {
    let url = format!("http://{}/wake", world.receiver.as_ref().expect("there is a receiver").address);
    subscribe(world, &id, json!({"type": "webhook", "pattern": pattern, "webhook": {"url": url}})).await;
    assert_eq!(world.answer().status, 201, "{:?}", world.answer());
}

#[when(regex = r#"^I subscribe "([^"]+)" to "([^"]+)" with the webhook "([^"]+)"$"#)]
async fn webhook_of(world: &mut World, id: String, pattern: String, url: String) {
    let url = url.replace("{port}", &world.address().port().to_string());
    subscribe(world, &id, json!({"type": "webhook", "pattern": pattern, "webhook": {"url": url}})).await;
}

#[when(regex = r#"^I subscribe "([^"]+)" to "([^"]+)" with the webhook "([^"]+)" under the host "([^"]+)"$"#)]
async fn webhook_under_host(world: &mut World, id: String, pattern: String, url: String, host: String) {
    let receiver = world.receiver.as_ref().map(|receiver| format!("http://{}/wake", receiver.address));
    let url = url.replace("{receiver}", &receiver.unwrap_or_default());
    let body = json!({"type": "webhook", "pattern": pattern, "webhook": {"url": url}}).to_string();
    let headers = [JSON, ("x-forwarded-host", host.as_str())];
    world.call(Method::PUT, &format!("__ds/subscriptions/{id}"), &headers, body.into_bytes()).await;
    assert_eq!(world.answer().status, 201, "{:?}", world.answer());
}

#[then("the URLs that it gives to others are those of the server")]
async fn urls_of_the_server(world: &mut World) {
    let view: Value = serde_json::from_str(&world.answer().body).expect("JSON");
    assert_eq!(view["webhook"]["signing"]["jwks_url"], world.url("__ds/jwks.json"));
}

#[then(regex = r#"^the receiver is to call back at the server about "([^"]+)"$"#)]
async fn calls_back_at_the_server(world: &mut World, id: String) {
    let receiver = world.receiver.as_ref().expect("there is a receiver");
    let calls = eventually("a call", || async { Some(receiver.recorded()).filter(|calls| !calls.is_empty()) }).await;
    let expected = world.url(&format!("__ds/subscriptions/{id}/callback"));
    assert_eq!(calls[0].json()["callback_url"], expected);
}

#[then(regex = r#"^"([^"]+)" shows no failure until the time for a call is over, and then shows one$"#)]
async fn shows_failure_late(world: &mut World, id: String) {
    let (began, world) = (std::time::Instant::now(), &*world);
    eventually((&id, "failed"), || async { (show(world, &id).await["status"] == "failed").then_some(()) }).await;
    assert!(began.elapsed().as_millis() >= 450, "after {:?}", began.elapsed());
    let shown = show(world, &id).await;
    let told: Vec<&String> = shown.as_object().expect("an object").keys().collect();
    let expected =
        ["created_at", "id", "lease_ttl_ms", "pattern", "status", "streams", "subscription_id", "type", "webhook"];
    assert_eq!(told, expected, "nothing says why it failed: {shown}");
}

#[given(regex = r#"^the subscription "([^"]+)" of "([^"]+)" writes to "([^"]+)"$"#)]
async fn pull_wake(world: &mut World, id: String, pattern: String, stream: String) {
    subscribe(world, &id, json!({"type": "pull-wake", "pattern": pattern, "wake_stream": stream})).await;
    assert_eq!(world.answer().status, 201, "{:?}", world.answer());
}

#[given(regex = r#"^the receiver learns once that "([^"]+)" is pending$"#)]
#[then(regex = r#"^the receiver learns once that "([^"]+)" is pending$"#)]
async fn reported(world: &mut World, stream: String) {
    let receiver = world.receiver.as_ref().expect("there is a receiver");
    let calls =
        eventually("the receiver is called", || async { Some(receiver.recorded()).filter(|calls| !calls.is_empty()) })
            .await;
    assert_eq!(calls.len(), 1);
    let signature = calls[0].headers.get("webhook-signature").expect("a signature").to_str().unwrap();
    assert!(signature.starts_with("t=") && signature.contains(",kid=ds_"), "{signature}");
    let reported = calls[0].json();
    let pending =
        reported["streams"].as_array().expect("streams").iter().filter(|reported| reported["has_pending"] == true);
    let pending: Vec<&Value> = pending.map(|reported| &reported["path"]).collect();
    assert_eq!(pending, [&stream]);
}

async fn show(world: &World, id: &str) -> Value {
    let url = world.url(&format!("__ds/subscriptions/{id}"));
    serde_json::from_str(&call(Method::GET, &url, &[], Vec::new()).await.body).expect("JSON")
}

#[then(regex = r#"^"([^"]+)" has read all of "([^"]+)"$"#)]
async fn has_read(world: &mut World, id: String, stream: String) {
    let head = call(Method::HEAD, &world.url(&stream), &[], Vec::new()).await;
    let end = head.header("stream-next-offset").expect("an offset").to_owned();
    let world = &*world;
    eventually((&id, &stream), || async {
        let shown = show(world, &id).await;
        let streams = shown["streams"].as_array()?.iter();
        streams.filter(|shown| shown["path"] == stream && shown["acked_offset"] == end.as_str()).map(drop).next()
    })
    .await;
}

#[given(regex = r#"^"([^"]+)" has the status "([^"]+)"$"#)]
#[then(regex = r#"^"([^"]+)" has the status "([^"]+)"$"#)]
async fn has_status(world: &mut World, id: String, status: String) {
    let world = &*world;
    eventually((&id, &status), || async { (show(world, &id).await["status"] == status).then_some(()) }).await;
}

#[given(regex = r#"^"([^"]+)" announces generation (\d+) of "([^"]+)"$"#)]
#[then(regex = r#"^"([^"]+)" announces generation (\d+) of "([^"]+)"$"#)]
async fn announces(world: &mut World, stream: String, generation: u64, id: String) {
    let url = world.url(&format!("{stream}?offset=-1"));
    let events = eventually("the event is there", || async {
        let events: Vec<Value> = serde_json::from_str(&call(Method::GET, &url, &[], Vec::new()).await.body).ok()?;
        Some(events).filter(|events| !events.is_empty())
    })
    .await;
    let last = events.last().expect("it is not empty");
    assert_eq!((&last["type"], &last["subscription_id"]), (&json!("wake"), &json!(id)));
    assert_eq!(last["generation"], generation);
}

#[given(regex = r#"^"([^"]+)" claims the work of "([^"]+)"$"#)]
#[when(regex = r#"^"([^"]+)" claims the work of "([^"]+)"$"#)]
async fn claims(world: &mut World, worker: String, id: String) {
    control(world, Method::POST, &format!("{id}/claim"), "", json!({"worker": worker})).await;
    if world.answer().status == 200 {
        world.claimed = serde_json::from_str(&world.answer().body).expect("JSON");
    }
}

/// Acknowledges everything that a subscriber was notified of.
async fn done(world: &mut World, path: &str, reported: &Value, token: &str) {
    let streams = reported["streams"].as_array().expect("streams").iter();
    let acks: Vec<Value> =
        streams.map(|reported| json!({"stream": reported["path"], "offset": reported["tail_offset"]})).collect();
    let body =
        json!({"wake_id": reported["wake_id"], "generation": reported["generation"], "acks": acks, "done": true});
    control(world, Method::POST, path, token, body).await;
}

#[when(regex = r#"^the holder of "([^"]+)" has done everything$"#)]
async fn holder_done(world: &mut World, id: String) {
    let claimed = world.claimed.clone();
    let token = claimed["token"].as_str().expect("a token");
    done(world, &format!("{id}/ack"), &claimed, token).await;
}

#[when("the receiver calls back that it has done everything")]
async fn receiver_done(world: &mut World) {
    let reported = world.receiver.as_ref().expect("there is a receiver").recorded()[0].json();
    let path =
        reported["callback_url"].as_str().expect("a URL").rsplit_once("/subscriptions/").expect("a control URL").1;
    done(world, path, &reported, reported["callback_token"].as_str().expect("a token")).await;
}

#[then(regex = r#"^I get (\d+) with the code "([^"]+)"$"#)]
async fn get_code(world: &mut World, status: u16, code: String) {
    let answer = world.answer();
    assert_eq!(answer.status, status, "{answer:?}");
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(body["error"]["code"], code.as_str(), "{body}");
}
