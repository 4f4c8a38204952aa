//! Steps about the mock broker, and about services beside it.

use std::sync::Arc;

use cucumber::{given, then, when};
use exorelay::message::Payload;
use exorelay::testing::MockBroker;
use exorelay::{Config, Message, bus::Register};
use serde_json::Value;

use crate::world::World;
use crate::world::eventually::eventually;
use crate::world::mock::Socket;
use crate::world::process::Process;
use crate::world::samples::SAMPLE;

#[given("a mock broker")]
async fn mock_broker(world: &mut World) {
    world.mock.broker = Some(Arc::new(MockBroker::start().await.expect("a free port")));
}

#[given(regex = r#"^the mock broker answers "([^"]+)" with "([^"]+)"(?: and `(.*)`)?$"#)]
async fn answers(world: &mut World, name: String, reply: String, payload: String) {
    world.mock.broker().reply_to(name, reply, json(&payload)).expect("names and JSON");
}

#[given(regex = r#"^the service is registered with it as "([^"]+)"$"#)]
async fn is_registered(world: &mut World, role: String) {
    let address = world.service().address.clone();
    world.mock.broker().register(&role, address).expect("a role and an address");
}

#[given(regex = r#"^the relay "([^"]+)" uses the mock broker(?: over (HTTP|WebSocket))?$"#)]
async fn relay_uses(world: &mut World, role: String, transport: String) {
    let broker = world.mock.broker();
    let url = if transport == "WebSocket" { broker.ws_url() } else { broker.url() };
    world.relays.join(&role, &url, Register::Auto, Config::default()).await;
    world.mock.broker().wait_until_known(&role).await.unwrap();
}

#[when(regex = r#"^"([^"]+)" connects to the mock broker over a WebSocket$"#)]
#[given(regex = r#"^"([^"]+)" connects to the mock broker over a WebSocket$"#)]
async fn connects(world: &mut World, role: String) {
    let socket = Socket::register(&world.mock.broker().ws_url(), &role).await;
    world.mock.broker().wait_until_known(&role).await.unwrap();
    world.mock.sockets.push((role, socket));
}

#[when(regex = r#"^"([^"]+)" is cut off$"#)]
async fn disconnects(world: &mut World, role: String) {
    world.mock.sockets.retain(|(known, _)| *known != role);
}

#[when(regex = r#"^"([^"]+)" sends the frame "([^"]+)" with `(.*)` in the activity "([^"]+)"$"#)]
async fn sends_frame(world: &mut World, role: String, name: String, payload: String, activity: String) {
    world.mock.socket(&role).send(&name, &role, json(&payload), &activity).await;
}

#[then(regex = r#"^"([^"]+)" gets the frame "([^"]+)" with `(.*)` in the activity "([^"]+)"$"#)]
async fn gets_frame(world: &mut World, role: String, name: String, payload: String, activity: String) {
    let frame = world.mock.socket(&role).next().await;
    assert_eq!((&frame["name"], &frame["activityId"]), (&name.into(), &activity.into()));
    assert_eq!(frame["payload"], json(&payload));
}

#[when(
    regex = r#"^the mock broker sends "([^"]*)"(?: with `([^`]*)`)?(?: on behalf of `([^`]*)`)?(?: in the activity "([^"]+)")? to "([^"]+)"$"#
)]
async fn sends(world: &mut World, name: String, payload: String, auth: String, activity: String, role: String) {
    let broker = world.mock.broker();
    let mut sending = broker.send(&role, name).payload(json(&payload)).auth(json(&auth));
    if !activity.is_empty() {
        sending = sending.activity(&activity);
    }
    match sending.await {
        Ok(message) => world.mock.sent = Some(message),
        Err(error) => world.mock.failure = Some(error.to_string()),
    }
}

#[then(regex = r#"^sending fails: "(.+)"$"#)]
async fn sending_failed(world: &mut World, words: String) {
    assert_eq!(world.mock.failure.as_ref(), Some(&words));
}

#[then(
    regex = r#"^the mock broker receives "([^"]+)"(?: with `([^`]*)`)?( without payload)?(?: on behalf of `([^`]*)`)?(?: from "([^"]+)")?( in the same activity)?$"#
)]
async fn receives(
    world: &mut World,
    name: String,
    payload: String,
    none: String,
    auth: String,
    sender: String,
    same: String,
) {
    let message = world.mock.broker().wait_until_received(&name).await.unwrap_or_else(|error| panic!("{error}"));
    if !payload.is_empty() || !none.is_empty() {
        assert_eq!(message.payload.as_ref().map(Payload::to_string).unwrap_or_default(), payload);
    }
    if !auth.is_empty() {
        assert_eq!(message.auth.as_ref().map(Payload::to_string).unwrap_or_default(), auth);
    }
    if !sender.is_empty() {
        assert_eq!(message.sender.as_ref().map(|role| role.as_str()), Some(sender.as_str()));
    }
    let sent = world.mock.sent.as_ref();
    if !same.is_empty() {
        assert_eq!(message.activity_id, sent.expect("it has sent something").activity_id);
    }
    assert!(sent.is_none_or(|sent| sent.id != message.id), "a message has an id of its own");
}

#[then(regex = r#"^the mock broker receives the security request "([^"]+)" with `(.*)` in the same activity$"#)]
async fn receives_question(world: &mut World, name: String, payload: String) {
    let asked = world.mock.broker().wait_until_received("security request").await.unwrap();
    let inner: Value = asked.payload().expect("JSON");
    assert_eq!((&inner["name"], &inner["payload"]), (&name.into(), &json(&payload)));
    let sent = world.mock.sent.as_ref().expect("it has sent something");
    assert_eq!(asked.activity_id, sent.activity_id);
    assert_ne!(inner["activityId"].as_str(), asked.activity_id.as_ref().map(|activity| activity.as_str()));
}

#[then("the mock broker has received nothing")]
async fn received_nothing(world: &mut World) {
    assert_eq!(world.mock.broker().received(), []);
}

#[then(regex = r#"^the mock broker has received (".+" with `.*`), each with an id of its own$"#)]
async fn received_all(world: &mut World, expected: String) {
    let expected: Vec<(&str, &str)> =
        expected.split(", ").map(|one| one.split_once(" with ").expect("a name and a payload")).collect();
    let broker = world.mock.broker();
    eventually("all of them", || async { (broker.received().len() >= expected.len()).then_some(()) }).await;
    let received = broker.received();
    let reported: Vec<String> = received.iter().map(in_words).collect();
    let wanted: Vec<String> = expected.iter().map(|(name, payload)| format!("{name} with {payload}")).collect();
    assert_eq!(reported, wanted);
    let ids: std::collections::HashSet<_> = received.iter().map(|message| message.id.clone()).collect();
    assert_eq!(ids.len(), received.len());
}

fn in_words(message: &Message) -> String {
    format!("\"{}\" with `{}`", message.name, message.payload.as_ref().map(Payload::to_string).unwrap_or_default())
}

#[then(regex = r"^the last response code is (\d+)$")]
async fn response_code(world: &mut World, status: u16) {
    assert_eq!(world.mock.broker().last_response_code(), Some(status));
}

#[when("the mock broker is reset")]
async fn is_reset(world: &mut World) {
    world.mock.broker().reset();
}

#[when("the mock broker is closed")]
async fn is_closed(world: &mut World) {
    world.mock.broker().close().await;
}

#[when("the mock broker cuts every connection")]
async fn cuts(world: &mut World) {
    world.mock.broker().drop_connections();
}

#[then("nobody listens there any more")]
async fn nobody_listens(world: &mut World) {
    assert!(tokio::net::TcpStream::connect(world.mock.broker().address()).await.is_err());
}

#[then(regex = r#"^the mock broker knows "([^"]+)"$"#)]
async fn knows(world: &mut World, role: String) {
    world.mock.broker().wait_until_known(&role).await.unwrap();
}

#[then(regex = r#"^the mock broker does not know "([^"]+)"(?: any more)?$"#)]
async fn does_not_know(world: &mut World, role: String) {
    let broker = world.mock.broker();
    eventually(role.clone(), || async { (!broker.knows(&role)).then_some(()) }).await;
}

#[when(regex = r#"^somebody waits for (?:"([^"]+)"|any message) at the mock broker$"#)]
async fn waits(world: &mut World, name: String) {
    let broker = world.mock.broker();
    let wait = async move {
        let outcome = match name.as_str() {
            "" => broker.received_anything().await,
            name => broker.wait_until_received(name).await,
        };
        outcome.map_err(|error| exorelay::chain(&error))
    };
    world.mock.waiting = Some(tokio::spawn(wait));
}

#[then("the wait goes on")]
async fn wait_goes_on(world: &mut World) {
    // Long enough for the one who waits to look.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!world.mock.waiting.as_ref().expect("somebody waits").is_finished());
}

#[then(regex = r#"^the wait ends with "([^"]+)"$"#)]
async fn wait_ends(world: &mut World, name: String) {
    let outcome = world.mock.waiting.take().expect("somebody waits").await.expect("no panic");
    assert_eq!(outcome.map(|message| message.name.to_string()), Ok(name));
}

#[given(regex = r#"^the sample service "([^"]+)" is running over (HTTP|WebSocket)(?: beside (the broker))?$"#)]
#[when(regex = r#"^the sample service "([^"]+)" is started over (HTTP|WebSocket)(?: beside (the broker))?$"#)]
async fn sample(world: &mut World, name: String, transport: String, real: String) {
    let address = match real.as_str() {
        "" => world.mock.broker().address().to_string(),
        _ => world.address("broker").await,
    };
    let port = address.rsplit_once(':').expect("host and port").1.to_owned();
    let variables = match transport.as_str() {
        "HTTP" => vec![("SERVICE_NAME", name.clone()), ("EXORELAY_PORT", "0".into()), ("EXOCOM_PORT", port)],
        _ => vec![("ROLE", name.clone()), ("EXOCOM_HOST", "127.0.0.1".into()), ("EXOCOM_PORT", port)],
    };
    let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value));
    start_sample(world, name, variables.collect());
}

#[given(regex = r#"^the relay "([^"]+)" uses the broker$"#)]
async fn uses_broker(world: &mut World, role: String) {
    let url = format!("http://{}", world.address("broker").await);
    world.relays.join(&role, &url, Register::Auto, Config::default()).await;
}

#[when(regex = r#"^on behalf of `(.*)`, "([^"]+)" requests "([^"]+)" with `(.*)`$"#)]
async fn requests_on_behalf(world: &mut World, auth: String, role: String, name: String, payload: String) {
    let outcome = world.relays.relay(&role).request(name, json(&payload)).auth(json(&auth)).await;
    world.relays.failure = outcome.as_ref().err().cloned();
    world.relays.outcome = Some(tokio::spawn(async { outcome }));
}

#[when(regex = r#"^the sample service "([^"]+)" is started with (\w+=\w+(?: and \w+=\w+)*)$"#)]
async fn sample_with(world: &mut World, name: String, variables: String) {
    let variables = variables.split(" and ").map(|one| one.split_once('=').expect("it has one"));
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    start_sample(world, name, variables.collect());
}

fn start_sample(world: &mut World, name: String, variables: std::collections::BTreeMap<String, String>) {
    let program = std::env::current_exe().expect("this program").to_string_lossy().into_owned();
    let process = Process::start(&program, vec![SAMPLE.into(), name.clone()], variables);
    world.processes.push((name, process));
}

#[then(regex = r#"^"([^"]+)" answers GET (\S+) with (\d+) at the port it prints$"#)]
async fn answers_at_port(world: &mut World, name: String, path: String, status: u16) {
    let port = world.process(&name).after("online at port ").await;
    let url = format!("http://127.0.0.1:{port}{path}");
    let answer = crate::world::http::call(reqwest::Method::GET, &url, Vec::new(), None).await;
    assert_eq!(answer.status, status);
}

#[then(regex = r#"^"([^"]+)" is online at the port of the mock broker$"#)]
async fn online_at_broker(world: &mut World, name: String) {
    let port = world.process(&name).after("online at port ").await;
    assert_eq!(port, world.mock.broker().address().port().to_string());
}

#[then(regex = r#"^the log of "([^"]+)" says "(.+)"$"#)]
async fn log_says(world: &mut World, name: String, words: String) {
    let process = world.process(&name);
    eventually(words.clone(), || async { process.log().contains(&words).then_some(()) }).await;
}

#[then(regex = r#"^"([^"]+)" never printed "(.+)"$"#)]
fn never_printed(world: &mut World, name: String, words: String) {
    let lines = world.process(&name).lines();
    assert!(lines.iter().all(|line| !line.contains(&words)), "{lines:?}");
}

fn json(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}
