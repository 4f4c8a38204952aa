//! Steps about brokers that stop and restart.

use cucumber::{given, then, when};
use exorelay::bus::Register;
use exorelay::{Config, Error, Event, Relay};

use crate::world::World;
use crate::world::eventually::eventually;

#[given("nothing listens where the broker should be")]
async fn nothing(world: &mut World) {
    world.relays.reserve();
}

#[given(regex = r#"^a broker over HTTP, with a service "([^"]+)" that receives "([^"]+)"$"#)]
#[when(regex = r#"^the broker comes up, with a service "([^"]+)" that receives "([^"]+)"$"#)]
async fn comes_up(world: &mut World, role: String, name: String) {
    world.relays.start_broker().await;
    world.relays.serve(&role, &name).await;
}

#[given(regex = r"^a broker over HTTP with (\d+) places in each queue$")]
async fn small_broker(world: &mut World, places: usize) {
    let config = exorelay::broker::Config { queue_messages_max: places, ..Default::default() };
    world.relays.start_broker_with(config).await;
}

#[given(regex = r#"^a service "([^"]+)" of that broker that receives "([^"]+)"$"#)]
async fn serves(world: &mut World, role: String, name: String) {
    world.relays.serve(&role, &name).await;
}

#[given(regex = r#"^a service "([^"]+)" of that broker that never finishes a "([^"]+)"$"#)]
async fn never_finishes(world: &mut World, role: String, name: String) {
    let config = Config { inbox_messages_max: 1, ..Config::default() };
    let url = format!("http://{}", world.relays.broker_address);
    world.relays.join(&role, &url, Register::Auto, config).await;
    let relay = world.relays.relay(&role);
    relay.on(name, |_, _| std::future::pending()).expect("it has no handler yet");
    relay.ready().await;
}

#[given(regex = r#"^the relay "([^"]+)"(?: with (\d+) places in its outbox)? uses that broker$"#)]
async fn uses(world: &mut World, role: String, places: String) {
    let mut config = Config::default();
    if let Ok(places) = places.parse() {
        config.outbox_messages_max = places;
    }
    let url = format!("http://{}", world.relays.broker_address);
    world.relays.join(&role, &url, Register::Auto, config).await;
}

#[when("the broker stops")]
async fn stops(world: &mut World) {
    world.relays.stop_broker().await;
}

#[then(regex = r#"^"([^"]+)" gets the (\d+) messages in the order of sending$"#)]
async fn gets_in_order(world: &mut World, role: String, count: usize) {
    let handled = world.relays.handled(&role, "users.create", count).await;
    let ids: Vec<_> = handled.into_iter().map(|message| message.id).collect();
    assert_eq!(ids, world.relays.sent);
}

#[when(regex = r#"^"([^"]+)" sends messages until one is refused$"#)]
async fn sends_until_refused(world: &mut World, role: String) {
    let relay = world.relays.relay(&role);
    for number in 0..10_000 {
        if let Err(error) = relay.send("users.create", number).await {
            world.relays.failure = Some(error);
            return;
        }
    }
    panic!("no message was refused");
}

#[given(regex = r#"^somebody follows the events of the relay "([^"]+)" of that broker$"#)]
async fn follows(world: &mut World, role: String) {
    let address = world.relays.broker_address.clone();
    world.relays.join(&role, &format!("http://{address}"), Register::Auto, Config::default()).await;
    let relay: Relay = world.relays.relay(&role);
    relay.ready().await;
    let (mut events, seen) = (relay.events(), world.relays.events.clone());
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            seen.lock().unwrap().push(event);
        }
    });
}

#[then("the events are online, offline, online")]
async fn saw_events(world: &mut World) {
    let seen = world.relays.events.clone();
    eventually("online, offline, online", || async {
        let seen = seen.lock().unwrap();
        let standing: Vec<_> = seen.iter().filter(|event| !matches!(event, Event::Error(_))).collect();
        matches!(standing[..], [Event::Online { .. }, Event::Offline, Event::Online { .. }]).then_some(())
    })
    .await;
}

#[when(regex = r#"^the relay "([^"]+)" tries to register there$"#)]
async fn tries(world: &mut World, role: String) {
    let url = format!("http://{}", world.relays.recorder().address);
    world.relays.join(&role, &url, Register::Auto, Config::default()).await;
}

#[then(regex = r#"^its problem is reported with the words "(.+)"$"#)]
async fn trouble(world: &mut World, words: String) {
    let mut events = world.relays.relay("web").events();
    let event = tokio::time::timeout(std::time::Duration::from_secs(20), events.next()).await;
    let Ok(Some(Event::Error(error @ Error::Bus(_)))) = event else { panic!("{event:?}") };
    assert!(exorelay::chain(&error).contains(&words), "{error}");
}
