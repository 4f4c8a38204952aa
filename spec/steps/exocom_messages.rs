//! Steps about what services say over WebSockets, what they get, and what HTTP answers.

use cucumber::gherkin::Step;
use cucumber::{given, then, when};
use serde_json::{Value, json};

use crate::world::exocom::World;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text} is no JSON: {error}"))
}

/// Asserts that every field of `expected` has its value in `frame`, inside objects too.
fn check(frame: &Value, expected: &Value) {
    for (key, value) in expected.as_object().expect("an object") {
        match value {
            Value::Object(_) => check(&frame[key], value),
            _ => assert_eq!(&frame[key], value, "{key} of {frame}"),
        }
    }
}

#[given(regex = r#"^(\S+) has sent "([^"]+)" with (\{.+\})$"#)]
#[when(regex = r#"^(\S+) sends "([^"]+)" with (\{.+\})$"#)]
async fn sends_with(world: &mut World, name: String, message: String, more: String) {
    world.say(&name, &message, json(&more)).await;
}

#[given(regex = r#"^(\S+) has sent "([^"]+)"$"#)]
#[when(regex = r#"^(\S+) sends "([^"]+)"$"#)]
async fn sends(world: &mut World, name: String, message: String) {
    world.say(&name, &message, json!({})).await;
}

#[when(regex = r#"^(\S+) sends "([^"]+)" with (\d+) MB$"#)]
async fn sends_large(world: &mut World, name: String, message: String, megabytes: usize) {
    world.say(&name, &message, json!({ "payload": "x".repeat(megabytes * 1_000_000) })).await;
}

#[then(regex = r#"^(\S+) gets "([^"]+)" with (\d+) MB$"#)]
async fn gets_large(world: &mut World, name: String, message: String, megabytes: usize) {
    let frame = world.peer(&name).next().await;
    check(&frame, &json!({ "name": message }));
    assert_eq!(frame["payload"].as_str().map(str::len), Some(megabytes * 1_000_000));
}

#[when(regex = r#"^(\S+) sends "([^"]+)" in activity "([^"]+)"$"#)]
async fn sends_in(world: &mut World, name: String, message: String, activity: String) {
    world.say(&name, &message, json!({ "activityId": activity })).await;
}

#[when(regex = r"^(\S+) sends the frame `(.*)`$")]
async fn sends_frame(world: &mut World, name: String, frame: String) {
    world.peer(&name).send(frame).await;
}

#[when(regex = r"^(\S+) sends the bytes of `(.*)`$")]
async fn sends_bytes(world: &mut World, name: String, frame: String) {
    world.peer(&name).send_binary(frame.into_bytes()).await;
}

#[when(regex = r#"^security answers "([^"]+)"$"#)]
async fn answers(world: &mut World, message: String) {
    let activity = world.judged_in.clone();
    world.say("security", &message, json!({ "activityId": activity })).await;
}

#[when(regex = r#"^security asks for (\{.+\})$"#)]
async fn asks(world: &mut World, inner: String) {
    let activity = world.judged_in.clone();
    world.say("security", "security request", json!({ "activityId": activity, "payload": json(&inner) })).await;
}

/// `the same` is the activity in which security was asked last.
#[when(regex = r#"^security asks in activity "([^"]+)" for (\{.+\})$"#)]
async fn asks_in(world: &mut World, activity: String, inner: String) {
    if activity != "the same" {
        world.judged_in = activity;
    }
    asks(world, inner).await;
}

#[then(regex = r#"^security gets the response (\{.+\}) in activity "[^"]+"$"#)]
async fn gets_response_in(world: &mut World, inner: String) {
    loop {
        let frame = world.peer("security").next().await;
        // The refusal of a message is published, and has to be authorized itself.
        if frame["name"] == "security response" {
            return check_response(world, &frame, &inner);
        }
    }
}

#[then(regex = r#"^(\S+) gets "([^"]+)" with a new id$"#)]
async fn gets_with_new_id(world: &mut World, name: String, message: String) {
    let frame = world.peer(&name).next().await;
    check(&frame, &json!({ "name": message }));
    assert_eq!(frame["id"].as_str().map(str::len), Some(36), "{frame}");
    world.conversation = frame["activityId"].as_str().expect("a text").to_owned();
}

#[when(regex = r#"^(\S+) answers it with "([^"]+)"$"#)]
async fn answers_it(world: &mut World, name: String, message: String) {
    let activity = world.conversation.clone();
    world.say(&name, &message, json!({ "activityId": activity })).await;
}

#[given(regex = r#"^security is asked to authorize (\{.+\})$"#)]
#[then(regex = r#"^security is asked to authorize (\{.+\})$"#)]
async fn is_asked(world: &mut World, message: String) {
    let frame = world.peer("security").next().await;
    check(&frame, &json!({ "name": "authorize message", "payload": json(&message) }));
    world.judged_in = frame["activityId"].as_str().expect("a text").to_owned();
}

#[then(regex = r#"^security gets the response (\{.+\})$"#)]
async fn gets_response(world: &mut World, inner: String) {
    let frame = world.peer("security").next().await;
    check_response(world, &frame, &inner);
}

/// Asserts that the frame brings `inner` to the security service, in the activity in which it was asked last.
fn check_response(world: &World, frame: &Value, inner: &str) {
    let activity = &world.judged_in;
    let expected =
        json!({ "name": "security response", "activityId": activity, "isSecurity": true, "payload": json(inner) });
    check(frame, &expected);
}

#[given(regex = r#"^(\S+) has got "([^"]+)"$"#)]
#[then(regex = r#"^(\S+) gets "([^"]+)"$"#)]
async fn gets(world: &mut World, name: String, message: String) {
    check(&world.peer(&name).next().await, &json!({ "name": message }));
}

#[then(regex = r#"^(\S+) gets "([^"]+)" with (\{.+\})$"#)]
async fn gets_with(world: &mut World, name: String, message: String, more: String) {
    let frame = world.peer(&name).next().await;
    check(&frame, &json!({ "name": message }));
    check(&frame, &json(&more));
}

#[then(regex = r#"^(\S+) gets the frame of "([^"]+)" with the keys (.+)$"#)]
async fn gets_keys(world: &mut World, name: String, message: String, keys: String) {
    let frame = world.peer(&name).next().await;
    check(&frame, &json!({ "name": message }));
    let mut expected: Vec<&str> = keys.split(", ").collect();
    expected.sort_unstable();
    let mut found: Vec<&String> = frame.as_object().expect("an object").keys().collect();
    found.sort_unstable();
    assert_eq!(found, expected, "{frame}");
}

#[then(regex = r"^(\S+) has got nothing else$")]
async fn gets_nothing(world: &mut World, name: String) {
    assert_eq!(world.peer(&name).unread(), 0);
}

#[then(regex = r#"^one of (\S+) and (\S+) has got both messages, the other one none$"#)]
async fn one_has_both(world: &mut World, first: String, second: String) {
    let mut counts = [0, 0];
    crate::world::eventually::eventually("two frames", || {
        counts = [world.peer(&first).unread(), world.peer(&second).unread()];
        async move { (counts[0] + counts[1] >= 2).then_some(()) }
    })
    .await;
    assert!(counts == [2, 0] || counts == [0, 2], "{counts:?}");
}

#[when(regex = r"^I (GET|POST|PUT|DELETE) (/\S*)$")]
async fn call(world: &mut World, method: String, path: String) {
    request(world, &method, &path, &[]).await;
}

#[when(regex = r#"^a web page of (\S+) opens a socket(?: at (\S+))?$"#)]
async fn web_page(world: &mut World, host: String, path: String) {
    let origin = format!("http://{host}");
    let headers = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("origin", &origin),
    ];
    let path = if path.is_empty() { "/services" } else { &path };
    request(world, "GET", path, &headers).await;
}

#[when(regex = r#"^I POST `(.+)` to (/\S*)$"#)]
async fn post(world: &mut World, body: String, path: String) {
    request_with(world, "POST", &path, &[("content-type", "application/json")], body).await;
}

async fn request(world: &mut World, method: &str, path: &str, headers: &[(&str, &str)]) {
    request_with(world, method, path, headers, String::new()).await;
}

async fn request_with(world: &mut World, method: &str, path: &str, headers: &[(&str, &str)], body: String) {
    let url = format!("http://{}{path}", world.address().await);
    let mut request = reqwest::Client::new().request(method.parse().expect("a method"), url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("it answers");
    let content_type = answer.headers().get("content-type").and_then(|text| text.to_str().ok()).unwrap_or_default();
    let (status, content_type) = (answer.status().as_u16(), content_type.to_owned());
    let body = if status == 101 { String::new() } else { answer.text().await.expect("a text") };
    world.answer = Some((status, content_type, body));
}

#[then(regex = r"^the answer is (\d+)$")]
async fn status(world: &mut World, expected: u16) {
    let (status, _, body) = world.answer.as_ref().expect("there was a call");
    assert_eq!(*status, expected, "{body}");
}

#[then(regex = r"^the answer is (\d+) `(.*)`$")]
async fn status_and_line(world: &mut World, expected: u16, line: String) {
    let answer = world.answer.clone().expect("there was a call");
    let expected = (expected, "text/plain; charset=utf-8".to_owned(), line);
    assert_eq!((answer.0, answer.1, answer.2.trim_end().to_owned()), expected);
}

#[then(regex = r"^/config.json is, as (\S+):$")]
async fn configuration(world: &mut World, kind: String, step: &Step) {
    request(world, "GET", "/config.json", &[]).await;
    let (status, content_type, body) = world.answer.clone().expect("there was a call");
    assert_eq!((status, content_type), (200, format!("{kind}; charset=utf-8")));
    assert_eq!(json(&body), json(step.docstring.as_deref().expect("the step has a text")));
    assert_eq!(body.trim_end().lines().count(), 1, "{body}");
}
