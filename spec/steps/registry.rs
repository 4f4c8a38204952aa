//! Steps about the stream that lists all streams.

use std::collections::BTreeMap;

use cucumber::then;
use reqwest::Method;
use serde_json::Value;

use crate::world::eventually::eventually;
use crate::world::streams::{World, call};

/// All of its messages.
async fn messages(world: &World) -> Vec<Value> {
    let answer = call(Method::GET, &world.url("__registry__?offset=-1"), &[], Vec::new()).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    serde_json::from_str(&answer.body).expect("JSON")
}

/// State after the messages, by the rules of the state protocol.
async fn rows(world: &World) -> BTreeMap<String, Value> {
    let mut rows = BTreeMap::new();
    for message in messages(world).await {
        let key = message["key"].as_str().expect("a key").to_owned();
        match message["headers"]["operation"].as_str() {
            Some("delete") => rows.remove(&key),
            _ => rows.insert(key, message["value"].clone()),
        };
    }
    rows
}

#[then(regex = r#"^the registry lists "(.+)"$"#)]
async fn lists(world: &mut World, names: String) {
    let mut expected: Vec<&str> = names.split(", ").collect();
    expected.sort_unstable();
    assert_eq!(rows(world).await.keys().collect::<Vec<_>>(), expected);
}

#[then(regex = r#"^the registry has "(\w+)" of "([^"]+)" as `(.+)`$"#)]
async fn has(world: &mut World, field: String, stream: String, expected: String) {
    assert_eq!(rows(world).await[&stream][&field].to_string(), expected);
}

#[then(regex = r#"^the registry has the offset "(\w+)" of "([^"]+)" at byte (\d+)$"#)]
async fn has_offset(world: &mut World, field: String, stream: String, byte: String) {
    let rows = rows(world).await;
    let offset = rows[&stream][&field].as_str().expect("an offset");
    assert!(offset.ends_with(&format!("_{byte:0>16}")), "{offset}");
}

#[then(regex = r#"^the registry shows that "([^"]+)" was (deleted|expired)$"#)]
async fn shows_the_end(world: &mut World, stream: String, reason: String) {
    let world = &*world;
    eventually((stream.clone(), reason.clone()), || async {
        let messages = messages(world).await;
        let reported = messages.iter().filter(|message| message["key"] == stream.as_str());
        let ends: Vec<&Value> = reported.filter(|message| message["headers"]["operation"] == "delete").collect();
        assert!(ends.len() < 2, "it ended more than once: {ends:?}");
        ends.first().is_some_and(|end| end["old_value"]["reason"] == reason.as_str()).then_some(())
    })
    .await;
}

#[then(regex = r#"^the rows of "([^"]+)" are gone after a while$"#)]
async fn rows_leave(world: &mut World, stream: String) {
    let world = &*world;
    eventually(stream.clone(), || async {
        messages(world).await.iter().all(|message| message["key"] != stream.as_str()).then_some(())
    })
    .await;
}

#[then(regex = r#"^the follower gets a row of "([^"]+)"$"#)]
async fn follower_gets_row(world: &mut World, stream: String) {
    let follower = world.follower.as_mut().expect("somebody follows");
    loop {
        let (name, data) = follower.next().await.expect("the events go on");
        if name == "data" && data.contains(&format!("\"key\":\"{stream}\"")) {
            return;
        }
    }
}
