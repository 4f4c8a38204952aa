//! Steps of clients that send more, or less, than a polite one does.

use std::io::Write;

use cucumber::{then, when};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use reqwest::Method;

use crate::world::World;
use crate::world::http::call;
use crate::world::raw::{Ending, call_raw};

/// The address and the head of a request such as `POST api/send/hello`, with further lines.
async fn head(world: &mut World, request: &str, lines: &str) -> (String, String) {
    let (method, place) = request.split_once(' ').expect("a method and a place");
    let url = world.url(place).await;
    let (address, path) = url.trim_start_matches("http://").split_once('/').expect("a path");
    let head = format!("{method} /{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{lines}\r\n");
    (address.to_owned(), head)
}

#[when(regex = r#"^a client sends (\d+) bytes with `([^`]+)`(?: and the header "(.+)")?, and reads only then$"#)]
async fn uploads(world: &mut World, bytes: usize, request: String, header: String) {
    let header = if header.is_empty() { header } else { header + "\r\n" };
    let (address, head) = head(world, &request, &format!("{header}content-length: {bytes}\r\n")).await;
    let answer = call_raw(&address, &head, &vec![b'x'; bytes], Ending::Open).await;
    world.answers.push(answer);
}

#[when(regex = r#"^a client sends `([^`]+)` with `(.*)`, closes its side, and reads only then$"#)]
async fn half_closes(world: &mut World, request: String, body: String) {
    let (address, head) = head(world, &request, &format!("content-length: {}\r\n", body.len())).await;
    let answer = call_raw(&address, &head, body.as_bytes(), Ending::HalfClosed).await;
    world.answers.push(answer);
}

#[when(regex = r#"^a client sends `([^`]+)` with the header lines (.+)$"#)]
async fn sends_lines(world: &mut World, request: String, lines: String) {
    let (address, head) = head(world, &request, "").await;
    let lines: String = lines.split('"').skip(1).step_by(2).map(|line| format!("{line}\r\n")).collect();
    let own = format!("host: {address}\r\n");
    let head = head.replace(&own, "").replace("connection: close\r\n", &format!("{lines}connection: close\r\n"));
    let answer = call_raw(&address, &head, b"", Ending::Open).await;
    world.answers.push(answer);
}

fn coded(body: &str, coding: &str) -> Vec<u8> {
    coding.split(", ").fold(body.as_bytes().to_vec(), |bytes, coding| match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&bytes).expect("memory");
            encoder.finish().expect("memory")
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&bytes).expect("memory");
            encoder.finish().expect("memory")
        }
        "zstd" => zstd::encode_all(bytes.as_slice(), 1).expect("memory"),
        _ => bytes,
    })
}

#[when(regex = r#"^I (POST|PUT) `(.*)` to (\S+) in the coding "([^"]+)"$"#)]
async fn posts_coded(world: &mut World, method: Method, body: String, place: String, coding: String) {
    let url = world.url(&place).await;
    let header = Some(("content-encoding".to_owned(), coding.clone()));
    world.answers.push(call(method, &url, coded(&body, &coding), header).await);
}

#[when(regex = r#"^I POST (\d+) blanks to (\S+) in the coding "([^"]+)"$"#)]
async fn posts_bomb(world: &mut World, count: usize, place: String, coding: String) {
    let url = world.url(&place).await;
    let header = Some(("content-encoding".to_owned(), coding.clone()));
    world.answers.push(call(Method::POST, &url, coded(&" ".repeat(count), &coding), header).await);
}

#[when(regex = r#"^I POST `(.*)` to (\S+) in the transfer coding "([^"]+)"$"#)]
async fn posts_in_transfer_coding(world: &mut World, body: String, place: String, coding: String) {
    let lines = format!("content-type: application/json\r\ntransfer-encoding: {coding}, chunked\r\n");
    let (address, head) = head(world, &format!("POST {place}"), &lines).await;
    let bytes = coded(&body, &coding);
    let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n0\r\n\r\n"].concat();
    let answer = call_raw(&address, &head, &chunk, Ending::Open).await;
    world.answers.push(answer);
}

#[then(regex = r#"^neither the sidecar's log, nor what it answers to its operators, has "([^"]+)"$"#)]
async fn never_says(world: &mut World, secret: String) {
    for place in ["api/ready", "api/dead-letters", "api/metrics"] {
        let answer = call(Method::GET, &world.url(place).await, Vec::new(), None).await;
        assert!(!answer.body.contains(&secret), "{place}: {answer:?}");
    }
    let process = world.process("sidecar");
    assert!(!process.log().contains(&secret), "{}", process.log());
    assert!(!process.lines().concat().contains(&secret), "{:?}", process.lines());
}
