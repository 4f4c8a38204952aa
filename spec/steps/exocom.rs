//! Steps about `exocom` and the services that are connected to it.

use cucumber::gherkin::Step;
use cucumber::{given, then, when};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;

use crate::world::eventually::eventually;
use crate::world::exocom::{Dialect, End, Peer, World};

fn list(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

/// `public = internal`, separated by commas.
fn pairs(text: &str) -> Vec<Value> {
    let pair = |pair: &str| {
        let (public, internal) = pair.split_once('=').expect("public = internal");
        json!({ "public": public.trim(), "internal": internal.trim() })
    };
    list(text).into_iter().map(pair).collect()
}

/// The rows of a table, each by the heads of its columns.
fn rows(step: &Step) -> Vec<std::collections::HashMap<String, String>> {
    let mut rows = step.table.as_ref().expect("the step has a table").rows.iter();
    let heads = rows.next().expect("the table has heads");
    rows.map(|row| heads.iter().cloned().zip(row.iter().cloned()).collect()).collect()
}

fn docstring(step: &Step) -> &str {
    step.docstring.as_deref().expect("the step has a text").trim()
}

#[given("the service data:")]
async fn service_data(world: &mut World, step: &Step) {
    let mut data = Map::new();
    for row in rows(step) {
        let translations = row.get("TRANSLATIONS").map(|text| pairs(text)).unwrap_or_default();
        let routes =
            json!({ "sends": list(&row["SENDS"]), "receives": list(&row["RECEIVES"]), "translations": translations });
        data.insert(row["ROLE"].clone(), routes);
    }
    world.settings.insert("SERVICE_DATA".into(), Value::Object(data).to_string());
}

#[given("the service routes:")]
async fn service_routes(world: &mut World, step: &Step) {
    let route = |row: std::collections::HashMap<String, String>| {
        let mut route =
            json!({ "role": row["ROLE"], "sends": list(&row["SENDS"]), "receives": list(&row["RECEIVES"]) });
        if let Some(namespace) = row.get("NAMESPACE") {
            route["namespace"] = namespace.as_str().into();
        }
        if let Some(translations) = row.get("TRANSLATIONS") {
            route["messageTranslations"] = pairs(translations).into();
        }
        route
    };
    let routes: Vec<Value> = rows(step).into_iter().map(route).collect();
    world.settings.insert("SERVICE_ROUTES".into(), Value::from(routes).to_string());
}

#[given(regex = r"^the variable (\w+) is `(.*)`$")]
async fn variable(world: &mut World, name: String, value: String) {
    world.settings.insert(name, value);
}

#[given("a port that is taken")]
async fn taken(world: &mut World) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port();
    world.settings.insert("PORT".into(), port.to_string());
    world.taken = Some(taken);
}

#[given("a port that is free")]
async fn free(world: &mut World) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    world.settings.insert("PORT".into(), free.local_addr().expect("it is bound").port().to_string());
}

#[given("exocom is running")]
#[when("exocom is started")]
async fn running(world: &mut World) {
    world.settings.entry("PORT".into()).or_insert_with(|| "0".into());
    world.settings.insert("EXOCOM_BIND".into(), "127.0.0.1".into());
    world.start(&[]);
    let address = world.address().await;
    eventually("it answers", || async { reqwest::get(format!("http://{address}/config.json")).await.ok() }).await;
}

#[when(regex = r"^I run `exocom ?([^`]*)`$")]
async fn run(world: &mut World, arguments: String) {
    world.start(&arguments.split_whitespace().collect::<Vec<_>>());
}

#[when(regex = r"^exocom gets SIG(TERM|KILL|HUP)$")]
async fn signalled(world: &mut World, signal: String) {
    world.exocom().signal(&signal);
}

#[then(regex = r"^it ends with status (\d+)$")]
async fn ends(world: &mut World, status: i32) {
    let process = world.exocom();
    assert_eq!(process.wait().await, status, "{}", process.log());
}

#[then(regex = r"^it complains `(.+)`$")]
async fn complains(world: &mut World, words: String) {
    let words = words.replace("{PORT}", world.settings.get("PORT").map(String::as_str).unwrap_or_default());
    let process = world.exocom();
    eventually((words.clone(), process.log()), || async { process.log().contains(&words).then_some(()) }).await;
}

#[then("it complains about nothing")]
async fn no_complaint(world: &mut World) {
    assert_eq!(world.exocom().log(), "");
}

#[then(regex = r"^the log says `(.*)`$")]
async fn logs(world: &mut World, line: String) {
    let line = line.replace("{PORT}", world.settings.get("PORT").map(String::as_str).unwrap_or_default());
    world.logs_again(&line, 0).await;
}

#[then("the log says from the beginning:")]
async fn logs_all(world: &mut World, step: &Step) {
    let expected: Vec<&str> = docstring(step).lines().map(str::trim_end).collect();
    let process = world.exocom();
    eventually(expected.clone(), || async { (process.lines().len() >= expected.len()).then_some(()) }).await;
    // Which port was free, how long an answer took, and ids are different each time.
    let different =
        regex::Regex::new(r"at port \d+|\( [\d.]+(?:ns|µs|ms|s) \)|\([\d.]+ ms\)|[0-9a-f]{8}-[0-9a-f-]{27}");
    let different = different.expect("the pattern is right");
    let same = |line: &String| {
        let named = |found: &regex::Captures<'_>| match &found[0] {
            port if port.starts_with("at port") => "at port PORT",
            time if time.starts_with("( ") => "( TIME )",
            time if time.starts_with('(') => "(TIME ms)",
            _ => "ID",
        };
        different.replace_all(line, |found: &regex::Captures<'_>| named(found)).into_owned()
    };
    let lines: Vec<String> = process.lines().iter().map(same).collect();
    assert_eq!(lines, expected, "{lines:#?}");
}

#[then(regex = r"^the log has (\d+) lines?$")]
async fn line_count(world: &mut World, count: usize) {
    let process = world.exocom();
    eventually("that number of lines", || async { (process.lines().len() >= count).then_some(()) }).await;
    assert_eq!(process.lines().len(), count, "{:#?}", process.lines());
}

#[given(regex = r"^(\S+) (?:connects|is connected)$")]
#[when(regex = r"^(\S+) (?:connects|is connected)$")]
async fn connects(world: &mut World, role: String) {
    world.connect(&role, &role, Dialect::ActivityId).await;
}

#[given(regex = r"^(\S+) and (\S+) are connected$")]
async fn both_connect(world: &mut World, first: String, second: String) {
    world.connect(&first, &first, Dialect::ActivityId).await;
    world.connect(&second, &second, Dialect::ActivityId).await;
}

#[given(regex = r"^the instance (\S+) of (\S+) is connected$")]
async fn instance_connects(world: &mut World, name: String, role: String) {
    world.connect(&name, &role, Dialect::ActivityId).await;
}

#[given(regex = r"^(\S+) is connected as it was done in 2016$")]
async fn older_connects(world: &mut World, role: String) {
    world.connect(&role, &role, Dialect::ResponseTo).await;
}

#[given(regex = r"^(\S+) opens a socket and does not register$")]
async fn opens(world: &mut World, name: String) {
    let url = format!("ws://{}/services", world.address().await);
    let peer = Peer::connect(&url, &name, Dialect::ActivityId).await;
    world.peers.insert(name, peer);
}

#[when(regex = r"^the connection of (\S+) is cut$")]
async fn cut(world: &mut World, name: String) {
    world.disconnect(&name).await;
}

#[when(regex = r"^(\S+) says goodbye with the code (\d+)$")]
async fn closes(world: &mut World, name: String, code: u16) {
    let peer = world.peers.remove(&name).expect("the service is connected");
    assert_eq!(peer.close(code).await, End::Goodbye(Some(code)), "a goodbye is answered");
}

#[then(regex = r"^the connection of (\S+) is reset$")]
async fn is_reset(world: &mut World, name: String) {
    assert_eq!(world.peer(&name).end().await, End::Reset);
}

#[then("the port is closed")]
async fn port_is_closed(world: &mut World) {
    let address = world.address().await;
    eventually("a refusal", || async { TcpStream::connect(&address).await.err() }).await;
}

/// As services of the originals do: registers again, at once, whenever the connection ends.
#[given(regex = r"^(\S+) is connected and always comes back$")]
async fn comes_back(world: &mut World, role: String) {
    world.connect(&role, &role, Dialect::ActivityId).await;
    let peer = world.peers.remove(&role).expect("it was connected");
    let url = format!("ws://{}/services", world.address().await);
    world.returning = Some(tokio::spawn(async move {
        let mut ends = vec![peer.end().await];
        while let Some(mut peer) = Peer::try_connect(&url, &role, Dialect::ActivityId).await {
            // The connection may be gone again.
            drop(peer.try_register().await);
            ends.push(peer.end().await);
        }
        ends
    }));
}

#[then("it was only ever cut off by a reset")]
async fn only_resets(world: &mut World) {
    let ends = world.returning.take().expect("a service comes back").await.expect("it does not panic");
    assert!(ends.iter().all(|end| *end == End::Reset), "{ends:?}");
}
