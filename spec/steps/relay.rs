//! Steps about relays in this process: handlers and sending.

use std::sync::{Arc, Mutex};

use cucumber::{given, then, when};
use exorelay::bus::Register;
use exorelay::message::{Message, Payload};
use exorelay::{Config, Context, Error, Relay, handler};
use serde_json::Value;

use crate::world::World;
use crate::world::eventually::{eventually, pause};
use crate::world::relays::Member;
use crate::world::service::Recorded;

#[given("a bus in this process")]
async fn bus(world: &mut World) {
    world.relays.local = Some(exorelay::broker::Broker::start(Default::default()));
}

#[given(regex = r#"^(?:the|another) relay "([^"]+)" is on the bus$"#)]
async fn joins(world: &mut World, role: String) {
    world.relays.join_local(&role, Config::default()).await;
}

#[given("a recording broker")]
async fn recorder(world: &mut World) {
    world.relays.record();
}

#[given(regex = r#"^the relay "([^"]+)" uses it unregistered$"#)]
async fn uses_recorder(world: &mut World, role: String) {
    let url = format!("http://{}", world.relays.recorder().address);
    world.relays.join(&role, &url, Register::Off, Config::default()).await;
}

/// Action of a handler besides recording its message.
#[derive(Clone)]
enum Then {
    Nothing,
    Fail(String),
    Panic(String),
    Send(String, Value),
    Reply { replies: Vec<(String, Value)>, after_ms: u64 },
}

fn handle(member: &Member, name: &str, then: Then) {
    let handled = member.handled.clone();
    let run = move |message: Message, context: Context| act(handled.clone(), message, context, then.clone());
    member.relay.on(name, run).expect("it has no handler yet");
}

async fn act(
    handled: Arc<Mutex<Vec<Message>>>,
    message: Message,
    context: Context,
    then: Then,
) -> Result<(), exorelay::HandlerError> {
    handled.lock().unwrap().push(message);
    match then {
        Then::Nothing => Ok(()),
        Then::Fail(reason) => Err(reason.into()),
        Then::Panic(reason) => panic!("{reason}"),
        Then::Send(name, payload) => {
            context.send(name, payload).await?;
            Ok(())
        }
        Then::Reply { replies, after_ms } => {
            pause(after_ms).await;
            for (name, payload) in replies {
                context.reply(name, payload).await?;
            }
            Ok(())
        }
    }
}

#[given(regex = r#"^"([^"]+)" has a handler for "([^"]+)"$"#)]
async fn has_handler(world: &mut World, role: String, name: String) {
    handle(&world.relays.member(&role), &name, Then::Nothing);
}

#[given(regex = r#"^"([^"]+)" has a handler for "([^"]+)" that (fails|panics) with "([^"]+)"$"#)]
async fn has_failing(world: &mut World, role: String, name: String, how: String, reason: String) {
    let then = if how == "fails" { Then::Fail(reason) } else { Then::Panic(reason) };
    handle(&world.relays.member(&role), &name, then);
}

#[given(regex = r#"^"([^"]+)" has a handler for "([^"]+)" that sends "([^"]+)" with `(.*)`$"#)]
async fn has_sending(world: &mut World, role: String, name: String, message: String, payload: String) {
    handle(&world.relays.member(&role), &name, Then::Send(message, json(&payload)));
}

#[given(regex = r#"^"([^"]+)" has a handler for "([^"]+)" that replies "([^"]+)" with `(.*)`(?: after (\d+) ms)?$"#)]
async fn has_replying(world: &mut World, role: String, name: String, reply: String, payload: String, after: String) {
    let after_ms = after.parse().unwrap_or(0);
    handle(&world.relays.member(&role), &name, Then::Reply { replies: vec![(reply, json(&payload))], after_ms });
}

#[given(regex = r#"^"([^"]+)" has a handler for "([^"]+)" that replies "(\w+)", "(\w+)" and "(\w+)"$"#)]
async fn has_streaming(world: &mut World, role: String, name: String, one: String, two: String, three: String) {
    let replies = [one, two, three].into_iter().map(|reply| (reply, Value::Null)).collect();
    handle(&world.relays.member(&role), &name, Then::Reply { replies, after_ms: 0 });
}

#[when(regex = r#"^"([^"]+)" registers a handler for "([^"]*)"$"#)]
async fn registers(world: &mut World, role: String, name: String) {
    let outcome = world.relays.relay(&role).on(name, |_, _| async { Ok(()) });
    world.relays.failure = outcome.err();
}

#[when(regex = r#"^"([^"]+)" registers handlers for "([^"]+)" and "([^"]+)"$"#)]
async fn registers_table(world: &mut World, role: String, first: String, second: String) {
    let table = [first, second].map(|name| (name, handler(|_, _| async { Ok(()) })));
    world.relays.failure = world.relays.relay(&role).on_many(table).err();
}

#[then(regex = r#"^"([^"]+)" has (a|no) handler for "([^"]+)"$"#)]
async fn check_handler(world: &mut World, role: String, some: String, name: String) {
    assert_eq!(world.relays.relay(&role).has_handler(&name), some == "a");
}

#[then(regex = r#"^that fails(?: with the words)?:? "(.+)"$"#)]
async fn fails(world: &mut World, words: String) {
    let failure = exorelay::chain(world.relays.failure.as_ref().expect("a failure"));
    assert!(failure.contains(&words), "{failure}");
}

#[when(regex = r#"^"([^"]+)" sends "([^"]*)" (?:with `(.*)`|without payload)$"#)]
async fn sends(world: &mut World, role: String, name: String, payload: String) {
    let outcome = send(&world.relays.relay(&role), &name.replace("\\n", "\n"), &payload).await;
    world.relays.keep(outcome);
}

async fn send(relay: &Relay, name: &str, payload: &str) -> Result<exorelay::message::MessageId, Error> {
    match payload.is_empty() {
        true => relay.send(name, ()).await,
        false => relay.send(name, json(payload)).await,
    }
}

#[when(regex = r#"^"([^"]+)" sends "([^"]+)" with `(.*)` under the key "([^"]+)"$"#)]
async fn sends_under_key(world: &mut World, role: String, name: String, payload: String, key: String) {
    let outcome = world.relays.relay(&role).send(name, json(&payload)).idempotency_key(key).await;
    world.relays.keep(outcome);
}

#[when(regex = r#"^"([^"]+)" sends "([^"]+)" with `(.*)` in reply to "([^"]+)" and in the activity "(.*)"$"#)]
async fn sends_in_reply(world: &mut World, role: String, name: String, payload: String, id: String, activity: String) {
    let id = exorelay::MessageId::parse(&id).expect("an id");
    let sending = world.relays.relay(&role).send(name, json(&payload)).in_reply_to(id).activity(activity);
    let outcome = sending.await;
    world.relays.keep(outcome);
}

#[then(regex = r#"^it belongs to the activity "(.+)"$"#)]
async fn belongs_to(world: &mut World, activity: String) {
    assert_eq!(world.relays.recorder().last().await.json()["activityId"], activity);
}

#[when(regex = r#"^"([^"]+)" sends "([^"]+)" with a payload that cannot be written as JSON$"#)]
async fn sends_garbage(world: &mut World, role: String, name: String) {
    let keyed_by_lists = std::collections::HashMap::from([(vec![1], 1)]);
    let outcome = world.relays.relay(&role).send(name, keyed_by_lists).await;
    world.relays.keep(outcome);
}

#[when(regex = r#"^"([^"]+)" sends (\d+) messages called "([^"]+)"$"#)]
async fn sends_many(world: &mut World, role: String, count: usize, name: String) {
    world.relays.sent.clear();
    for number in 0..count {
        let outcome = world.relays.relay(&role).send(name.as_str(), number).await;
        world.relays.keep(outcome);
    }
    assert_eq!(world.relays.sent.len(), count);
}

#[then("both sends gave the same id")]
async fn same_ids(world: &mut World) {
    assert_eq!(world.relays.sent[0], world.relays.sent[1]);
}

#[then(regex = r#"^"([^"]+)" has handled "([^"]+)" (?:with `(.*)`|without payload)$"#)]
async fn has_handled(world: &mut World, role: String, name: String, payload: String) {
    let message = world.relays.handled(&role, &name, 1).await.remove(0);
    let expected = (!payload.is_empty()).then(|| Payload::parse(payload.into()).expect("JSON"));
    assert_eq!(message.payload, expected);
}

#[then(regex = r#"^"([^"]+)" has handled "([^"]+)" (\d+) times$"#)]
async fn has_handled_times(world: &mut World, role: String, name: String, count: usize) {
    assert_eq!(world.relays.handled(&role, &name, count).await.len(), count);
}

#[then(regex = r#"^the dead letters of "([^"]+)" are "(.+)"$"#)]
async fn dead_letters(world: &mut World, role: String, expected: String) {
    let relay = world.relays.relay(&role);
    let letters = eventually(expected.clone(), || async { Some(relay.dead_letters()).filter(|all| !all.is_empty()) });
    let reported: Vec<_> =
        letters.await.iter().map(|letter| format!("{}: {}", letter.message.name, letter.reason)).collect();
    assert_eq!(reported, [expected]);
}

#[when(regex = r#"^the bus delivers the message "([^"]+)" called "([^"]+)" to "([^"]+)" twice$"#)]
async fn delivers_twice(world: &mut World, id: String, name: String, role: String) {
    let url = format!("http://{}/run/{name}", world.relays.member(&role).address);
    for _ in 0..2 {
        let body = format!(r#"{{"id":"{id}"}}"#).into_bytes();
        world.answers.push(crate::world::http::call(reqwest::Method::POST, &url, body, None).await);
        assert_eq!(world.answer().status, 200);
    }
}

#[when(regex = r#"^somebody posts `(.+)` to "([^"]+)" of "([^"]+)"$"#)]
async fn posts(world: &mut World, body: String, path: String, role: String) {
    let url = format!("http://{}{path}", world.relays.member(&role).address);
    world.answers.push(crate::world::http::call(reqwest::Method::POST, &url, body.into_bytes(), None).await);
}

#[then(regex = r"^the answer is (\d+)$")]
async fn answered(world: &mut World, status: u16) {
    assert_eq!(world.answer().status, status);
}

#[then(regex = r#"^the broker gets "POST ([^"]+)" with (?:payload `(.*)`|no payload)$"#)]
async fn broker_gets(world: &mut World, path: String, payload: String) {
    let recorded = world.relays.recorder().last().await;
    assert_eq!(recorded.path, path);
    assert_eq!(recorded.raw("payload"), (!payload.is_empty()).then_some(payload));
}

#[then("it says who sent it, has an id, and is JSON")]
async fn broker_gets_fields(world: &mut World) {
    let recorded = world.relays.recorder().last().await;
    let header = |name: &str| recorded.headers[name].to_str().unwrap().to_owned();
    assert_eq!((header("accept"), header("content-type")), ("application/json".into(), "application/json".into()));
    assert_eq!(recorded.json()["sender"], "web");
    assert_eq!(recorded.json()["id"], world.relays.sent[0].as_str());
    assert_eq!(recorded.raw("responseTo"), None);
}

#[then(regex = r#"^it answers (?:"(.+)"|nothing)$"#)]
async fn answers_which(world: &mut World, id: String) {
    let recorded: Recorded = world.relays.recorder().last().await;
    assert_eq!(recorded.json()["responseTo"].as_str().unwrap_or_default(), id);
    assert_ne!(recorded.json()["id"], "111");
}

#[then(regex = r#"^the broker gets (\d+) messages called "([^"]+)" in that order$"#)]
async fn broker_gets_in_order(world: &mut World, count: usize, name: String) {
    world.relays.recorder().got(&name, count).await;
    let recorded = world.relays.recorder().recorded();
    let numbers: Vec<_> = recorded.iter().map(|message| message.raw("payload").unwrap_or_default()).collect();
    assert_eq!(numbers, (0..count).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[then(regex = r#"^the broker has got (\d+) messages called "([^"]+)" before "([^"]+)"$"#)]
async fn broker_got_before(world: &mut World, count: usize, name: String, last: String) {
    world.relays.recorder().got(&last, 1).await;
    let recorded = world.relays.recorder().recorded();
    assert_eq!(recorded.iter().filter(|message| message.name() == name).count(), count);
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}
