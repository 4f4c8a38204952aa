//! Steps about durable streams.

use cucumber::{given, then, when};
use exorelay::streams::Config;
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::world::eventually::eventually;
use crate::world::streams::{Follower, World, call};

#[given("a streams server")]
async fn server(world: &mut World) {
    world.start(Config::default()).await;
}

#[given("a streams server for development")]
async fn server_for_development(world: &mut World) {
    let quick = Config { subscriptions_webhook_timeout_ms: 500, ..Config::default() };
    world.start(Config { subscriptions_webhook_loopback: true, ..quick }).await;
}

#[given(regex = r"^a streams server with (\w+) (\d+)$")]
async fn server_with(world: &mut World, key: String, number: u64) {
    let mut settings = toml::Table::try_from(Config::default()).expect("settings are a table");
    settings.insert(key, toml::Value::Integer(number.try_into().expect("a small number")));
    world.start(settings.try_into().expect("a key of the settings")).await;
}

#[given("a streams server on disk")]
async fn server_on_disk(world: &mut World) {
    world.disk = Some(TempDir::new().expect("a folder"));
    world.start(Config::default()).await;
}

#[given("a streams server on a disk that is full")]
async fn server_on_full_disk(world: &mut World) {
    world.disk = Some(TempDir::new().expect("a folder"));
    world.start(Config { disk_free_bytes_min: u64::MAX, ..Config::default() }).await;
}

async fn create(world: &mut World, stream: String, content_type: String, body: String) {
    world.call(Method::PUT, &stream, &[("content-type", &content_type)], body.into_bytes()).await;
    world.types.insert(stream, content_type);
}

#[given(regex = r#"^the stream "([^"]+)" as (\S+)(?: with `(.*)`)?$"#)]
async fn there_is(world: &mut World, stream: String, content_type: String, body: String) {
    create(world, stream, content_type, body).await;
    assert_eq!(world.answer().status, 201);
}

#[when(regex = r#"^I create the stream "([^"]+)" as (\S+)(?: with `(.*)`)?$"#)]
async fn i_create(world: &mut World, stream: String, content_type: String, body: String) {
    create(world, stream, content_type, body).await;
}

#[given(regex = r#"^the stream "([^"]+)" with the header "([^:]+): (.+)"$"#)]
#[when(regex = r#"^I create the stream "([^"]+)" with the header "([^:]+): (.+)"$"#)]
async fn create_with(world: &mut World, stream: String, name: String, value: String) {
    world.call(Method::PUT, &stream, &[("content-type", "text/plain"), (&name, &value)], Vec::new()).await;
}

#[when(regex = r#"^a page of "([^"]+)" asks whether it may POST to "([^"]+)"$"#)]
async fn preflight(world: &mut World, origin: String, stream: String) {
    let headers = [("origin", origin.as_str()), ("access-control-request-method", "POST")];
    world.call(Method::OPTIONS, &stream, &headers, Vec::new()).await;
}

#[when(regex = r#"^a page of "([^"]+)" asks whether it may POST to "([^"]+)" with the headers "([^"]+)"$"#)]
async fn preflight_of_headers(world: &mut World, origin: String, stream: String, headers: String) {
    let headers = [
        ("origin", origin.as_str()),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", headers.as_str()),
    ];
    world.call(Method::OPTIONS, &stream, &headers, Vec::new()).await;
}

#[when(regex = r#"^I read "([^"]+)" from the start, accepting "([^"]+)"(, if the tag has changed)?$"#)]
async fn read_accepting(world: &mut World, stream: String, accepted: String, if_changed: String) {
    let tag = world.tag.clone();
    let mut headers = vec![("accept-encoding", accepted.as_str())];
    headers.extend((!if_changed.is_empty()).then_some(("if-none-match", tag.as_str())));
    world.call(Method::GET, &format!("{stream}?offset=-1"), &headers, Vec::new()).await;
    let tag = world.answer().header("etag").unwrap_or_default().to_owned();
    world.tag = tag;
}

async fn post(world: &mut World, stream: &str, more: &[(&str, &str)], body: &str) {
    let content_type = world.types.get(stream).cloned().unwrap_or_default();
    let own = [("content-type", content_type.as_str())];
    let headers: Vec<_> = own.into_iter().filter(|_| !body.is_empty()).chain(more.iter().copied()).collect();
    world.call(Method::POST, stream, &headers, body.as_bytes().to_vec()).await;
}

#[given(regex = r#"^I append `(.*)` to "([^"]+)"$"#)]
#[when(regex = r#"^I append `(.*)` to "([^"]+)"$"#)]
async fn append(world: &mut World, body: String, stream: String) {
    post(world, &stream, &[], &body).await;
}

#[when(regex = r#"^I append `(.*)` to "([^"]+)" as (\S+)$"#)]
async fn append_as(world: &mut World, body: String, stream: String, content_type: String) {
    world.call(Method::POST, &stream, &[("content-type", &content_type)], body.into_bytes()).await;
}

#[when(regex = r#"^I append `(.*)` to "([^"]+)" with the header "([^:]+): (.+)"$"#)]
async fn append_with(world: &mut World, body: String, stream: String, name: String, value: String) {
    post(world, &stream, &[(&name, &value)], &body).await;
}

#[given(regex = r#"^I append (\d+) bytes to "([^"]+)"$"#)]
#[when(regex = r#"^I append (\d+) bytes to "([^"]+)"$"#)]
async fn append_much(world: &mut World, count: usize, stream: String) {
    post(world, &stream, &[], &"x".repeat(count)).await;
}

#[when(regex = r#"^I append two lines to "([^"]+)", the second one "([^"]+)"$"#)]
async fn append_lines(world: &mut World, stream: String, second: String) {
    post(world, &stream, &[], &format!("first\n{second}")).await;
}

#[when(regex = r#"^producer "([^"]+)" of epoch (\d+) sends `(.*)` as number (\d+) to "([^"]+)"$"#)]
async fn produce(world: &mut World, id: String, epoch: String, body: String, seq: String, stream: String) {
    let headers = [("producer-id", id.as_str()), ("producer-epoch", &epoch), ("producer-seq", &seq)];
    post(world, &stream, &headers, &body).await;
}

#[given(regex = r#"^producer "([^"]+)" of epoch (\d+) closes "([^"]+)" as number (\d+)$"#)]
#[when(regex = r#"^producer "([^"]+)" of epoch (\d+) closes "([^"]+)" as number (\d+)$"#)]
async fn produce_end(world: &mut World, id: String, epoch: String, stream: String, seq: String) {
    let producer = [("producer-id", id.as_str()), ("producer-epoch", &epoch), ("producer-seq", &seq)];
    let headers: Vec<_> = producer.into_iter().chain([("stream-closed", "true")]).collect();
    post(world, &stream, &headers, "").await;
}

#[given(regex = r#"^I close "([^"]+)"(?: with `(.*)`)?$"#)]
#[when(regex = r#"^I close "([^"]+)"(?: with `(.*)`)?$"#)]
async fn close(world: &mut World, stream: String, body: String) {
    post(world, &stream, &[("stream-closed", "true")], &body).await;
}

#[given(regex = r#"^I delete "([^"]+)"$"#)]
#[when(regex = r#"^I delete "([^"]+)"$"#)]
async fn delete(world: &mut World, stream: String) {
    world.call(Method::DELETE, &stream, &[], Vec::new()).await;
}

/// Returns the offset of a byte of a stream, in the era that the stream ends in.
async fn offset_at(world: &World, stream: &str, byte: &str) -> String {
    let answer = call(Method::HEAD, &world.url(stream), &[], Vec::new()).await;
    let (era, _) = answer.header("stream-next-offset").and_then(|end| end.split_once('_')).expect("an offset");
    format!("{era}_{byte:0>16}")
}

#[given(regex = r#"^I fork "([^"]+)" as "([^"]+)"(?: at (byte \d+|"[^"]+"))?(?: and (\d+) further)?$"#)]
#[when(regex = r#"^I fork "([^"]+)" as "([^"]+)"(?: at (byte \d+|"[^"]+"))?(?: and (\d+) further)?$"#)]
async fn fork(world: &mut World, source: String, stream: String, at: String, sub_offset: String) {
    let from = format!("/v1/stream/{source}");
    let offset = match at.strip_prefix("byte ") {
        Some(byte) => offset_at(world, &source, byte).await,
        None => at.trim_matches('"').to_owned(),
    };
    let headers = [
        ("stream-forked-from", from.as_str()),
        ("stream-fork-offset", offset.as_str()),
        ("stream-fork-sub-offset", sub_offset.as_str()),
    ];
    let given: Vec<_> = headers.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    world.call(Method::PUT, &stream, &given, Vec::new()).await;
    let content_type = world.types.get(&source).cloned().unwrap_or_default();
    world.types.insert(stream, content_type);
}

#[given(regex = r#"^I read "([^"]+)" from (the start|now|there)(, compressed| by long-poll)?$"#)]
#[when(regex = r#"^I read "([^"]+)" from (the start|now|there|byte \d+|"[^"]*")(, compressed| by long-poll)?$"#)]
async fn read(world: &mut World, stream: String, from: String, how: String) {
    let offset = match from.as_str() {
        "the start" => "-1".to_owned(),
        "now" => "now".to_owned(),
        "there" => world.place.clone(),
        other => match other.strip_prefix("byte ") {
            Some(byte) => offset_at(world, &stream, byte).await,
            None => other.trim_matches('"').to_owned(),
        },
    };
    let live = if how == " by long-poll" { "&live=long-poll" } else { "" };
    let target = format!("{stream}?offset={offset}{live}");
    let headers: &[_] = if how == ", compressed" { &[("accept-encoding", "gzip")] } else { &[] };
    world.call(Method::GET, &target, headers, Vec::new()).await;
    let kept = |name| world.answer().header(name).unwrap_or_default().to_owned();
    (world.tag, world.place) = (kept("etag"), kept("stream-next-offset"));
}

#[when(regex = r#"^I read "([^"]+)" from the start if the tag has changed$"#)]
async fn read_if_changed(world: &mut World, stream: String) {
    let tag = world.tag.clone();
    world.call(Method::GET, &format!("{stream}?offset=-1"), &[("if-none-match", &tag)], Vec::new()).await;
}

#[when(regex = r#"^I ask about "([^"]+)"$"#)]
async fn ask(world: &mut World, stream: String) {
    world.call(Method::HEAD, &stream, &[], Vec::new()).await;
}

#[given(regex = r#"^a long-poll of "([^"]+)" is waiting$"#)]
async fn long_poll(world: &mut World, stream: String) {
    let url = world.url(&format!("{stream}?offset=now&live=long-poll"));
    let others = world.streams().metrics_text();
    world.polling = Some(tokio::spawn(async move { call(Method::GET, &url, &[], Vec::new()).await }));
    let streams = world.streams().clone();
    // It may be over already where its time is short.
    let polling = world.polling.as_ref().expect("it was just started");
    eventually("the long-poll waits", || async {
        (live_readers(&streams.metrics_text()) > live_readers(&others) || polling.is_finished()).then_some(())
    })
    .await;
}

fn live_readers(metrics: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix("exorelay_streams_live_readers "));
    line.and_then(|number| number.parse().ok()).expect("the metrics count live readers")
}

#[given(regex = r#"^somebody follows "([^"]+)" from (the start|now)$"#)]
async fn follow(world: &mut World, stream: String, from: String) {
    let offset = if from == "now" { "now" } else { "-1" };
    let url = world.url(&format!("{stream}?offset={offset}&live=sse"));
    world.follower = Some(Follower::start(&url).await);
}

#[when("the follower connects again, as an EventSource does")]
async fn connect_again(world: &mut World) {
    let again = world.follower.as_ref().expect("somebody follows").again().await;
    world.follower = Some(again.unwrap_or_else(|status| panic!("it gets {status}")));
}

#[then(regex = r"^a follower that connects again, as an EventSource does, gets (\d+)$")]
async fn connecting_again_gets(world: &mut World, status: u16) {
    let again = world.follower.as_ref().expect("somebody follows").again().await;
    assert_eq!(again.err(), Some(status));
}

#[then("the follower learns that the stream was deleted, and its events end")]
async fn learns_of_the_deletion(world: &mut World) {
    assert_eq!(last_control(world).await["streamDeleted"], true);
}

#[when("the server shuts down")]
async fn shut_down(world: &mut World) {
    world.streams().drain();
}

#[then(regex = r"^I get (\d+)(?: with `(.*)`)?$")]
async fn get(world: &mut World, status: u16, body: String) {
    let answer = world.answer();
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(body.is_empty() || answer.body == body, "{answer:?}");
}

#[then(regex = r#"^I get (\d+) with the problem "([^"]+)"(?: and the words "(.+)")?$"#)]
async fn problem(world: &mut World, status: u16, slug: String, words: String) {
    let answer = world.answer();
    assert_eq!(answer.status, status, "{answer:?}");
    let problem: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(problem["type"], format!("urn:exorelay:problem:{slug}"));
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(&words)), "{problem}");
}

#[then("I get no stream")]
async fn no_stream(world: &mut World) {
    assert!(matches!(world.answer().status, 400 | 404 | 405), "{:?}", world.answer());
}

#[then(regex = r#"^the header "([^"]+)" (is|has|ends with) "([^"]+)"$"#)]
async fn header(world: &mut World, name: String, how: String, expected: String) {
    let value = world.answer().header(&name).unwrap_or_else(|| panic!("no {name} in {:?}", world.answer()));
    let fits = match how.as_str() {
        "is" => value == expected,
        "has" => value.to_lowercase().contains(&expected),
        _ => value.ends_with(&expected),
    };
    assert!(fits, "{name} is {value:?}");
}

#[then(regex = r#"^there is no header "([^"]+)"$"#)]
async fn no_header(world: &mut World, name: String) {
    assert_eq!(world.answer().header(&name), None);
}

#[then(regex = r#"^reading "([^"]+)" gives `(.*)`$"#)]
async fn reading_gives(world: &mut World, stream: String, expected: String) {
    let answer = call(Method::GET, &world.url(&format!("{stream}?offset=-1")), &[], Vec::new()).await;
    assert_eq!((answer.status, answer.body), (200, expected));
}

#[then(regex = r#"^"([^"]+)" is gone after a while$"#)]
async fn gone(world: &mut World, stream: String) {
    let url = world.url(&stream);
    eventually("it is gone", || async {
        (call(Method::HEAD, &url, &[], Vec::new()).await.status == 404).then_some(())
    })
    .await;
}

#[then(regex = r"^the long-poll gets (\d+)(?: with `(.*)`)?$")]
async fn long_poll_gets(world: &mut World, status: u16, body: String) {
    let answer = world.polling.take().expect("a long-poll waits").await.expect("it ended");
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(body.is_empty() || answer.body == body, "{answer:?}");
}

/// Returns the next event with data; events that only have an offset are skipped.
async fn next_data(world: &mut World) -> String {
    let follower = world.follower.as_mut().expect("somebody follows");
    loop {
        let (name, data) = follower.next().await.expect("the events go on");
        if name == "data" {
            return data;
        }
    }
}

#[then(regex = r"^the follower gets `(.*)`$")]
async fn follower_gets(world: &mut World, expected: String) {
    assert_eq!(next_data(world).await, expected);
}

#[then(regex = r#"^the follower gets two lines, the second one "([^"]+)"$"#)]
async fn follower_gets_lines(world: &mut World, second: String) {
    assert_eq!(next_data(world).await, format!("first\n{second}"));
}

/// Returns the last event; only control events may precede it.
async fn last_control(world: &mut World) -> Value {
    let (follower, mut last) = (world.follower.as_mut().expect("somebody follows"), Value::Null);
    while let Some((name, data)) = follower.next().await {
        assert_eq!(name, "control", "{data}");
        last = serde_json::from_str(&data).expect("JSON");
    }
    last
}

#[then("the follower learns that the stream is closed, and its events end")]
async fn learns_of_the_close(world: &mut World) {
    assert_eq!(last_control(world).await["streamClosed"], true);
}

#[then(regex = r"^the events end at byte (\d+)$")]
async fn events_end(world: &mut World, byte: String) {
    let last = last_control(world).await;
    let offset = last["streamNextOffset"].as_str().expect("an offset");
    assert!(offset.ends_with(&format!("_{byte:0>16}")), "{offset}");
}

#[then(regex = r#"^reading "([^"]+)" whole gives (\d+) bytes$"#)]
async fn reading_gives_bytes(world: &mut World, stream: String, bytes: usize) {
    let answer = call(Method::GET, &world.url(&format!("{stream}?offset=-1")), &[], Vec::new()).await;
    assert_eq!((answer.status, answer.body.len()), (200, bytes));
    assert_eq!(answer.header("stream-up-to-date"), Some("true"));
}
