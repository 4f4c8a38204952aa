//! Steps about requests and replies between relays in this process.

use std::time::Duration;

use cucumber::{given, then, when};
use exorelay::message::{Message, Payload};
use exorelay::{Config, Context, Error, Relay, Replies};
use serde_json::Value;

use crate::world::World;
use crate::world::eventually::eventually;

#[when(regex = r#"^"([^"]+)" requests "([^"]+)" (?:with `(.*)`|without payload)(?: within (\d+) ms)?$"#)]
async fn requests(world: &mut World, role: String, name: String, payload: String, within: String) {
    let payload: Value = if payload.is_empty() { Value::Null } else { serde_json::from_str(&payload).expect("JSON") };
    let mut request = world.relays.relay(&role).request(name, payload);
    if let Ok(within) = within.parse() {
        request = request.timeout(Duration::from_millis(within));
    }
    let outcome = request.await;
    world.relays.failure = outcome.as_ref().err().cloned();
    world.relays.outcome = Some(tokio::spawn(async { outcome }));
}

#[then(regex = r#"^the request is answered by "([^"]+)" with `(.*)`$"#)]
async fn answered(world: &mut World, name: String, payload: String) {
    let outcome = world.relays.outcome.take().expect("a request").await.expect("it ended");
    check(&outcome.expect("an answer"), &name, payload);
}

fn check(reply: &Message, name: &str, payload: String) {
    assert_eq!(reply.name.as_str(), name);
    assert_eq!(reply.payload, Some(Payload::parse(payload.into()).expect("JSON")));
}

#[then(regex = r#"^"([^"]+)" has (\d+) requests waiting$"#)]
async fn waiting(world: &mut World, role: String, count: usize) {
    let relay = world.relays.relay(&role);
    eventually(count, || async { (relay.waiting() == count).then_some(()) }).await;
}

#[when(regex = r#"^"([^"]+)" sends "([^"]+)" with `(.*)` and a callback$"#)]
async fn sends_with_callback(world: &mut World, role: String, name: String, payload: String) {
    let callbacks = world.relays.callbacks.clone();
    let payload: Value = serde_json::from_str(&payload).expect("JSON");
    let callback = move |reply, _| {
        callbacks.lock().unwrap().push(reply);
        async {}
    };
    world.relays.relay(&role).send(name, payload).on_reply(callback).await.expect("it is sent");
}

#[when(regex = r#"^"([^"]+)" sends "([^"]+)" with a callback that requests "([^"]+)"$"#)]
async fn callback_requests(world: &mut World, role: String, name: String, next: String) {
    let callbacks = world.relays.callbacks.clone();
    let callback = move |_: Message, context: Context| {
        let (callbacks, next) = (callbacks.clone(), next.clone());
        async move {
            let reply = context.relay().request(next, ()).await.expect("an answer");
            callbacks.lock().unwrap().push(reply);
        }
    };
    world.relays.relay(&role).send(name, ()).on_reply(callback).await.expect("it is sent");
}

#[then(regex = r#"^the callback has run with "([^"]+)" and `(.*)`$"#)]
async fn callback_ran(world: &mut World, name: String, payload: String) {
    let callbacks = world.relays.callbacks.clone();
    let reply = eventually(name.clone(), || async { callbacks.lock().unwrap().first().cloned() }).await;
    check(&reply, &name, payload);
}

#[when(regex = r#"^"([^"]+)" requests "([^"]+)" as a stream (until "(\w+)"|of at most (\d+)|for (\d+) ms)$"#)]
async fn streams(
    world: &mut World,
    role: String,
    name: String,
    _how: String,
    last: String,
    most: String,
    time: String,
) {
    let mut request = world.relays.relay(&role).request(name, ());
    if !last.is_empty() {
        request = request.until(&last);
    }
    if let Ok(most) = most.parse() {
        request = request.at_most(most);
    }
    if let Ok(time) = time.parse() {
        request = request.timeout(Duration::from_millis(time));
    }
    let mut replies: Replies = request.replies().expect("it is sent");
    while let Some(reply) = replies.next().await {
        let reported = reply.map(|reply| reply.name.to_string()).map_err(|error| exorelay::chain(&error));
        world.relays.streamed.push(reported);
    }
}

#[then(regex = r#"^the stream gave (.+) and (?:ended|then failed: "(.+)")$"#)]
async fn streamed(world: &mut World, names: String, failure: String) {
    let names = names.split('"').skip(1).step_by(2).map(|name| Ok(name.to_owned()));
    let failure = (!failure.is_empty()).then_some(Err(failure));
    assert_eq!(world.relays.streamed, names.chain(failure).collect::<Vec<_>>());
}

#[when(regex = r#"^"([^"]+)" starts to request "([^"]+)" and goes away$"#)]
async fn goes_away(world: &mut World, role: String, name: String) {
    let relay = world.relays.relay(&role);
    let request = tokio::time::timeout(Duration::from_millis(20), relay.request(name, ()));
    assert!(request.await.is_err(), "nobody answers, so it cannot end");
}

#[then(regex = r#"^nothing goes wrong at "([^"]+)" or "([^"]+)"$"#)]
async fn nothing_wrong(world: &mut World, one: String, other: String) {
    for role in [one, other] {
        // A round trip makes sure that what was on its way has arrived.
        world.relays.relay(&role).ready().await;
        assert!(world.relays.relay(&role).dead_letters().is_empty());
    }
    assert!(world.relays.local.as_ref().expect("a bus").undelivered().is_empty());
}

#[when(regex = r#"^each "([^"]+)" requests "([^"]+)" (\d+) times$"#)]
async fn each_requests(world: &mut World, role: String, name: String, count: usize) {
    let members: Vec<Relay> = world
        .relays
        .members
        .iter()
        .filter(|(known, _)| *known == role)
        .map(|(_, member)| member.relay.clone())
        .collect();
    assert_eq!(members.len(), 2);
    for relay in members {
        start(world, &relay, &name, count);
    }
}

#[when(regex = r#"^"([^"]+)" starts (\d+) requests of "([^"]+)"$"#)]
async fn starts(world: &mut World, role: String, count: usize, name: String) {
    let relay = world.relays.relay(&role);
    start(world, &relay, &name, count);
    eventually(count, || async { (relay.waiting() == count).then_some(()) }).await;
}

fn start(world: &mut World, relay: &Relay, name: &str, count: usize) {
    for _ in 0..count {
        let request = relay.request(name, ());
        world.relays.outcomes.push(tokio::spawn(async move { request.await }));
    }
}

#[then("all of them are answered")]
async fn all_answered(world: &mut World) {
    for outcome in world.relays.outcomes.drain(..) {
        outcome.await.expect("it ended").expect("an answer");
    }
}

#[given(regex = r#"^the relay "([^"]+)" with at most (\d+) requests waiting is on the bus$"#)]
async fn small(world: &mut World, role: String, waiters_max: usize) {
    world.relays.join_local(&role, Config { waiters_max, ..Config::default() }).await;
}

#[when(regex = r#"^"([^"]+)" starts to request "([^"]+)", and then "([^"]+)" is closed$"#)]
async fn closes(world: &mut World, role: String, name: String, other: String) {
    let (relay, closing) = (world.relays.relay(&role), world.relays.relay(&other));
    let request = relay.request(name.as_str(), ());
    world.relays.outcome = Some(tokio::spawn(async move { request.await }));
    world.relays.handled(&other, &name, 1).await;
    closing.close().await;
}

#[then(regex = r#"^nobody receives "([^"]+)" any more$"#)]
async fn nobody_receives(world: &mut World, name: String) {
    let outcome = world.relays.relay("web").request(name.as_str(), ()).await;
    assert!(matches!(outcome, Err(Error::NoReceivers(_))), "{outcome:?}");
}

#[then(regex = r#"^sending from "([^"]+)" fails: "(.+)"$"#)]
async fn sending_fails(world: &mut World, role: String, words: String) {
    let failure = world.relays.relay(&role).send("hello", ()).await.expect_err("it is closed");
    assert_eq!(failure.to_string(), words);
}
