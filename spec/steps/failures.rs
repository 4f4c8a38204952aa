//! Steps about requests that fail.

use std::time::Duration;

use cucumber::{given, then, when};
use exorelay::bus::{self, Register};
use exorelay::message::{Message, Payload};
use exorelay::{Config, Context, Error, broker};
use serde_json::Value;

use crate::world::World;
use crate::world::eventually::eventually;

#[given(
    regex = r#"^the relays "([^"]+)" and "([^"]+)" use a bus (in this process|over HTTP|over a WebSocket)(?: whose window is (\d+) ms)?$"#
)]
async fn use_bus(world: &mut World, one: String, other: String, kind: String, window: String) {
    let window = window
        .parse()
        .map(|milliseconds| broker::Config { delivery_window_ms: milliseconds, ..broker::Config::default() });
    let config = window.unwrap_or_default();
    if kind == "in this process" {
        world.relays.local = Some(broker::Broker::start(config));
    } else {
        world.relays.start_broker_with(config).await;
    }
    let address = world.relays.broker_address.clone();
    for role in [one, other] {
        match kind.as_str() {
            "in this process" => world.relays.join_local(&role, Config::default()).await,
            "over HTTP" => {
                let url = format!("http://{address}");
                world.relays.join(&role, &url, Register::Auto, Config::default()).await;
            }
            _ => {
                let url = format!("ws://{address}");
                world.relays.join_with(&role, bus::Config { url, ..bus::Config::default() }).await;
            }
        }
        world.relays.relay(&role).ready().await;
    }
}

#[given(regex = r#"^"([^"]+)" has a handler for "([^"]+)" that reads a text as payload$"#)]
async fn reads_text(world: &mut World, role: String, name: String) {
    let read = |message: Message, _| async move {
        let _: String = message.payload()?;
        Ok(())
    };
    let relay = world.relays.relay(&role);
    relay.on(name, read).expect("it has no handler yet");
    relay.ready().await;
}

#[given(regex = r#"^"([^"]+)" has a handler for "([^"]+)" that says `(.+)` instead of a reply$"#)]
async fn says(world: &mut World, role: String, name: String, payload: String) {
    let payload: Value = serde_json::from_str(&payload).expect("JSON");
    let fail = move |_, context: Context| {
        let payload = payload.clone();
        async move { Ok(context.fail(payload).await?) }
    };
    let relay = world.relays.relay(&role);
    relay.on(name, fail).expect("it has no handler yet");
    relay.ready().await;
}

#[given(regex = r#"^"([^"]+)" has a handler for "([^"]+)" that never gets it$"#)]
async fn never_gets(world: &mut World, role: String, name: String) {
    let config = Config { inbox_messages_max: 1, ..Config::default() };
    let url = format!("http://{}", world.relays.broker_address);
    world.relays.join(&format!("full {role}"), &url, Register::Auto, config).await;
    let relay = world.relays.relay(&format!("full {role}"));
    relay.on_many([("stuck", exorelay::handler(|_, _| std::future::pending()))]).expect("it has no handler yet");
    relay.on(name, |_, _| async { Ok(()) }).expect("it has no handler yet");
    relay.ready().await;
    world.relays.relay("web").send("stuck", ()).await.expect("it is sent");
}

#[when(regex = r#"^"([^"]+)" starts to request "([^"]+)", and then "([^"]+)" is closed within (\d+) ms$"#)]
async fn closes_within(world: &mut World, role: String, name: String, other: String, grace_ms: u64) {
    let (relay, closing) = (world.relays.relay(&role), world.relays.relay(&other));
    relay.ready().await;
    closing.ready().await;
    let request = relay.request(name.as_str(), ());
    world.relays.outcome = Some(tokio::spawn(async move { request.await }));
    world.relays.handled(&other, &name, 1).await;
    assert_eq!(closing.close_within(Duration::from_millis(grace_ms)).await, 1);
}

#[then(regex = r#"^the request fails with the words "(.+)"$"#)]
async fn request_fails(world: &mut World, words: String) {
    let outcome = world.relays.outcome.take().expect("a request");
    let outcome = tokio::time::timeout(Duration::from_secs(5), outcome).await.expect("it fails at once");
    let failure = outcome.expect("it ended").expect_err("a failure").to_string();
    assert!(failure.contains(&words), "{failure}");
}

#[then(regex = r"^the failure has the payload `(.+)`$")]
async fn has_payload(world: &mut World, payload: String) {
    let Some(Error::Failed { payload: Some(found), .. }) = &world.relays.failure else {
        panic!("{:?}", world.relays.failure)
    };
    assert_eq!(*found, Payload::parse(payload.into()).expect("JSON"));
}

#[then(regex = r#"^"([^"]+)" has no dead letters$"#)]
async fn no_dead_letters(world: &mut World, role: String) {
    assert!(world.relays.relay(&role).dead_letters().is_empty());
}

#[then(regex = r#"^"([^"]+)" has the dead letter "([^"]+)" with `(.+)`$"#)]
async fn has_dead_letter(world: &mut World, role: String, name: String, payload: String) {
    let relay = world.relays.relay(&role);
    let letter = eventually(name.clone(), || async { relay.dead_letters().into_iter().next() }).await;
    assert_eq!(letter.message.name.as_str(), name);
    assert_eq!(letter.message.payload, Some(Payload::parse(payload.into()).expect("JSON")));
}
