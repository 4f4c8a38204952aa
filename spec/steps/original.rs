//! Steps about relays and an original broker of the WebSocket era.

use std::time::Duration;

use cucumber::{given, then, when};
use exorelay::bus::{self, Close};
use exorelay::message::{Message, Payload};
use exorelay::{Context, Event, HandlerError, Relay};
use serde_json::{Value, json};

use crate::world::World;
use crate::world::eventually::eventually;
use crate::world::original::Exocom;

#[given("a broker of the WebSocket era")]
async fn broker(world: &mut World) {
    let mut exocom = Exocom::down();
    exocom.come_up().await;
    world.exocom = Some(exocom);
}

#[given("a broker of the WebSocket era that is not up yet")]
async fn broker_down(world: &mut World) {
    world.exocom = Some(Exocom::down());
}

#[when("the broker of the WebSocket era comes up")]
async fn comes_up(world: &mut World) {
    world.exocom.as_mut().expect("there is one").come_up().await;
}

#[when("the broker of the WebSocket era goes down")]
async fn goes_down(world: &mut World) {
    let seen = world.relays.events.clone();
    let is_online = || {
        let seen = seen.lock().unwrap();
        let standing = seen.iter().rev().find(|event| !matches!(event, Event::Error(_)));
        matches!(standing, Some(Event::Online { .. }))
    };
    let was_online = is_online();
    world.exocom.as_mut().expect("there is one").go_down().await;
    // What is sent before the relay has noticed is lost with the connection: originals acknowledge nothing.
    if was_online {
        eventually("the relay notices", || async { (!is_online()).then_some(()) }).await;
    }
}

fn config(world: &World) -> bus::Config {
    bus::Config { url: format!("ws://{}", world.exocom().address), ..bus::Config::default() }
}

/// Makes the relay, and records its events from the start.
async fn join(world: &mut World, role: &str, config: bus::Config) -> Relay {
    world.relays.join_with(role, config).await;
    let relay = world.relays.relay(role);
    let (mut events, seen) = (relay.events(), world.relays.events.clone());
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            seen.lock().unwrap().push(event);
        }
    });
    relay
}

#[given(regex = r#"^the relay "([^"]+)" is connected to it$"#)]
async fn connected(world: &mut World, role: String) {
    let config = config(world);
    join(world, &role, config).await.ready().await;
    world.exocom().got("exocom.register-service", 1).await;
}

#[given(regex = r#"^the relay "([^"]+)" wants to be connected to it$"#)]
async fn wants_connection(world: &mut World, role: String) {
    let config = config(world);
    join(world, &role, config).await;
}

#[given(regex = r#"^the relay "([^"]+)" is connected to it with the token "([^"]+)"$"#)]
async fn connected_with_token(world: &mut World, role: String, token: String) {
    let config = bus::Config { token, ..config(world) };
    join(world, &role, config).await.ready().await;
}

#[given(regex = r#"^the relay "([^"]+)" is connected to it and will close politely$"#)]
async fn connected_politely(world: &mut World, role: String) {
    let config = bus::Config { close: Close::Polite, ..config(world) };
    join(world, &role, config).await.ready().await;
}

#[when(regex = r#"^a relay "([^"]+)" is made for that host and port$"#)]
async fn made_for_host(world: &mut World, role: String) {
    let port = world.exocom().address.rsplit_once(':').expect("host and port").1.to_owned();
    let config = bus::Config { url: format!("ws://localhost:{port}/services"), ..bus::Config::default() };
    join(world, &role, config).await.ready().await;
}

#[when("it drops the connection")]
async fn drops(world: &mut World) {
    let exocom = world.exocom.as_mut().expect("there is one");
    exocom.go_down().await;
    exocom.come_up().await;
}

#[when(regex = r"^it sends the frame `(.*)`$")]
async fn sends_frame(world: &mut World, frame: String) {
    world.exocom().send(frame).await;
}

#[when(
    regex = r#"^it sends "([^"]+)"(?: with `(.*?)`)?(?: in the activity "(.*?)")?(?: on behalf of `(.*?)`)?( as security)?$"#
)]
async fn sends_message(
    world: &mut World,
    name: String,
    payload: String,
    activity: String,
    auth: String,
    security: String,
) {
    let mut more = json!({ "isSecurity": !security.is_empty() });
    for (key, text) in [("payload", payload), ("auth", auth), ("activityId", format!("\"{activity}\""))] {
        if !text.is_empty() && text != "\"\"" {
            more[key] = serde_json::from_str(&text).expect("JSON");
        }
    }
    world.exocom.as_mut().expect("there is one").deliver(&name, more).await;
}

#[when(regex = r#"^it answers "([^"]+)" with "([^"]+)" and `(.*)`$"#)]
async fn answers(world: &mut World, request: String, name: String, payload: String) {
    let exocom = world.exocom.as_mut().expect("there is one");
    let activity = exocom.got(&request, 1).await["activityId"].clone();
    let payload: Value = serde_json::from_str(&payload).expect("JSON");
    exocom.deliver(&name, json!({ "activityId": activity, "payload": payload })).await;
}

/// Ids that the scenario does not know are texts of their own.
#[then(regex = r"^it gets the frame `(.*)`$")]
async fn gets_frame(world: &mut World, expected: String) {
    let mut expected: Value = serde_json::from_str(&expected).expect("JSON");
    let name = expected["name"].as_str().expect("a name").to_owned();
    let frame = world.exocom().got(&name, 1).await;
    for key in ["id", "activityId"] {
        let id = frame[key].as_str().expect("an id");
        assert!(id.len() >= 36 || expected.get(key).is_some(), "{key} of {frame}");
        if expected.get(key).is_none() {
            expected[key] = id.into();
        }
    }
    assert_eq!(frame, expected);
}

#[then(regex = r#"^it gets "([^"]+)" from "([^"]+)"(?: for the (\d+)(?:st|nd|rd|th) time)?$"#)]
async fn gets_from(world: &mut World, name: String, role: String, count: String) {
    let frame = world.exocom().got(&name, count.parse().unwrap_or(1)).await;
    assert_eq!(frame["sender"], role);
}

#[then(regex = r#"^it gets the (\d+) messages in the order of sending$"#)]
async fn gets_in_order(world: &mut World, count: usize) {
    world.exocom().got("users.create", count).await;
    let frames = world.exocom().frames().into_iter().filter(|frame| frame["name"] == "users.create");
    let ids: Vec<_> = frames.map(|frame| frame["id"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(ids, world.relays.sent.iter().map(ToString::to_string).collect::<Vec<_>>());
}

#[then(regex = r#"^the registration has the token "([^"]+)"$"#)]
async fn has_token(world: &mut World, token: String) {
    assert_eq!(world.exocom().got("exocom.register-service", 1).await["payload"]["token"], token);
}

#[then(regex = r#"^"([^"]+)" reports that it is online at the broker's port$"#)]
async fn online_at(world: &mut World, role: String) {
    let port: u16 = world.exocom().address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
    let event = world.relays.relay(&role).events().next().await;
    assert!(matches!(event, Some(Event::Online { port: reported }) if reported == port), "{event:?}");
}

#[then(regex = r#"^"([^"]+)" listens nowhere$"#)]
async fn listens_nowhere(world: &mut World, role: String) {
    assert_eq!(world.relays.relay(&role).address(), None);
}

#[then(regex = r#"^"([^"]+)" reports "(.+)"$"#)]
async fn reports(world: &mut World, _role: String, words: String) {
    let seen = world.relays.events.clone();
    let words = words.replace("{broker}", &world.exocom().address);
    eventually((words.clone(), seen.clone()), || async {
        let reported = |event: &Event| matches!(event, Event::Error(error) if exorelay::chain(error).contains(&words));
        seen.lock().unwrap().iter().any(reported).then_some(())
    })
    .await;
}

#[then(regex = r#"^"([^"]+)" has handled "([^"]+)" (?:on behalf of `(.*)`|(as security))$"#)]
async fn handled_on_behalf(world: &mut World, role: String, name: String, auth: String, _security: String) {
    let message = world.relays.handled(&role, &name, 1).await.remove(0);
    let expected = (!auth.is_empty()).then(|| Payload::parse(auth.clone().into()).expect("JSON"));
    assert_eq!((message.auth, message.is_security), (expected, auth.is_empty()));
}

#[when(regex = r#"^"([^"]+)" sends "([^"]+)" on behalf of `(.*?)`( as security)? with `(.*)`$"#)]
async fn sends_on_behalf(
    world: &mut World,
    role: String,
    name: String,
    auth: String,
    security: String,
    payload: String,
) {
    let json = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
    let mut sending = world.relays.relay(&role).send(name, json(payload)).auth(json(auth));
    if !security.is_empty() {
        sending = sending.security();
    }
    let outcome = sending.await;
    world.relays.keep(outcome);
}

#[when(regex = r#"^"([^"]+)" starts to request "([^"]+)"$"#)]
async fn starts_request(world: &mut World, role: String, name: String) {
    let relay = world.relays.relay(&role);
    world.relays.outcome = Some(tokio::spawn(async move { relay.request(name.as_str(), ()).await }));
}

#[when(regex = r#"^"([^"]+)" is closed$"#)]
async fn closed(world: &mut World, role: String) {
    world.relays.relay(&role).close().await;
}

#[then(regex = r"^the connection ends with (.+)$")]
async fn ends(world: &mut World, how: String) {
    assert_eq!(world.exocom().end().await, how);
}

/// As the example of the originals does it: the answer to the second message is the payload of the first one's reply.
#[given(regex = r#"^"([^"]+)" has a handler for "([^"]+)" that asks "([^"]+)" first and replies "([^"]+)"$"#)]
async fn has_asking(world: &mut World, role: String, name: String, question: String, reply: String) {
    let ask = move |_: Message, context: Context| {
        let (question, reply) = (question.clone(), reply.clone());
        async move {
            let activity = "the search";
            let answer = context.relay().wait_for_activity(activity, Duration::from_secs(20));
            context.send(question, ()).activity(activity).await?;
            let found: Value = answer.await?.payload()?;
            context.reply(reply, found).await?;
            Ok::<(), HandlerError>(())
        }
    };
    world.relays.relay(&role).on(name, ask).expect("it has no handler yet");
}

#[when(regex = r#"^"([^"]+)" sends "([^"]+)", waits (\d+) ms for its activity, and notes if "([^"]+)" was received$"#)]
async fn waits_for_activity(world: &mut World, role: String, name: String, timeout_ms: u64, reply: String) {
    let relay = world.relays.relay(&role);
    let answer = relay.wait_for_activity("7", Duration::from_millis(timeout_ms));
    relay.send(name, ()).activity("7").await.expect("it has its place");
    let failures = world.relays.failures.clone();
    tokio::spawn(async move {
        let reported = match answer.await {
            Ok(message) if message.name.as_str() == reply => "received",
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                failures.lock().unwrap().push(exorelay::chain(&error));
                "not received"
            }
        };
        relay.send(format!("{reply} {reported}"), ()).await.expect("it has its place");
    });
}

#[then(regex = r#"^waiting has failed with the words "(.+)"$"#)]
async fn waiting_failed(world: &mut World, words: String) {
    assert_eq!(*world.relays.failures.lock().unwrap(), [words]);
}
