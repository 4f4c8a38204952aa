//! Steps about the limits of streams.

use cucumber::{then, when};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::http::Answer;
use crate::world::streams::{World, call};

const PRODUCER: [(&str, &str); 2] = [("producer-epoch", "0"), ("producer-seq", "0")];

#[when(regex = r#"^I create the stream "([^"]+)" with a "([^"]+)" of (\d+) bytes$"#)]
async fn create_with_long(world: &mut World, stream: String, header: String, bytes: usize) {
    let value = match header.as_str() {
        "content-type" => format!("text/{}", "x".repeat(bytes - "text/".len())),
        "stream-expires-at" => format!("2099-01-01T00:00:00.{}Z", "0".repeat(bytes - "2099-01-01T00:00:00.Z".len())),
        _ => "1".repeat(bytes),
    };
    world.call(Method::PUT, &stream, &[(&header, &value)], Vec::new()).await;
}

#[when(regex = r"^I create (\d+) further streams$")]
async fn create_many(world: &mut World, count: usize) {
    for number in 0..count {
        world.call(Method::PUT, &format!("further/{number}"), &[], Vec::new()).await;
    }
}

async fn produce(world: &mut World, id: &str, body: &str, stream: &str) {
    let headers = [("content-type", "application/json"), ("producer-id", id), PRODUCER[0], PRODUCER[1]];
    world.call(Method::POST, stream, &headers, body.as_bytes().to_vec()).await;
}

#[when(regex = r#"^a producer whose name has (\d+) bytes sends `(.*)` to "([^"]+)"$"#)]
async fn produce_as_long(world: &mut World, bytes: usize, body: String, stream: String) {
    produce(world, &"p".repeat(bytes), &body, &stream).await;
}

#[when(regex = r#"^(\d+) producers send `(.*)` to "([^"]+)"$"#)]
async fn produce_many(world: &mut World, count: usize, body: String, stream: String) {
    for number in 0..count {
        produce(world, &format!("producer {number}"), &body, &stream).await;
        assert_eq!(world.answer().status, 200, "producer {number}");
    }
}

#[when(regex = r#"^I begin to append (\d+) bytes as (\S+) to "([^"]+)", and send none of them$"#)]
async fn begin_to_append(world: &mut World, bytes: usize, content_type: String, stream: String) {
    let url = world.url(&stream);
    let (address, path) = url.trim_start_matches("http://").split_once('/').expect("an address and a path");
    let mut connection = TcpStream::connect(address).await.expect("a connection");
    let head = format!(
        "POST /{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\ncontent-length: {bytes}\r\n\
         connection: close\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.expect("the head is sent");
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("\r\n\r\n{") || !read.ends_with(b"}") {
        assert!(connection.read_buf(&mut read).await.expect("an answer") > 0, "a complete answer");
    }
    let text = String::from_utf8_lossy(&read).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let status = head["HTTP/1.1 ".len()..][..3].parse().expect("a status");
    world.keep(Answer { status, headers: Default::default(), body: body.to_owned() });
}

#[then(regex = r#"^the subscription "([^"]+)" lists "([^"]+)" and "([^"]+)" in pages of (\d+)$"#)]
async fn pages(world: &mut World, id: String, first: String, second: String, limit: usize) {
    let (mut pages, mut after) = (Vec::new(), String::new());
    loop {
        let url = world.url(&format!("__ds/subscriptions/{id}?limit={limit}{after}"));
        let shown: Value = serde_json::from_str(&call(Method::GET, &url, &[], Vec::new()).await.body).expect("JSON");
        let streams = shown["streams"].as_array().expect("streams").iter();
        pages.push(
            streams.map(|shown| shown["path"].as_str().expect("a path").to_owned()).collect::<Vec<_>>().join(", "),
        );
        let Some(next) = shown["next"].as_str() else { break };
        after = format!("&after={}", next.replace('/', "%2F"));
    }
    assert_eq!(pages, [first, second]);
}

#[when(regex = r#"^I subscribe "([^"]+)" to the streams "([^"]+)" by name$"#)]
async fn subscribe_by_name(world: &mut World, id: String, names: String) {
    let names: Vec<&str> = names.split(',').collect();
    let body = json!({"type": "pull-wake", "wake_stream": "wakes", "streams": names});
    let headers = [("content-type", "application/json")];
    world.call(Method::PUT, &format!("__ds/subscriptions/{id}"), &headers, body.to_string().into_bytes()).await;
}
