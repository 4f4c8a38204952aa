//! Tests that strangers cannot fill the memory of a streams server, nor hold up others: one test for each attack, each with a
//! process of its own and a ceiling on its memory.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::timeout;

use crate::stage::{Process, Raw, Response, call, get, raise_file_limit};

/// Timeout for expected answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest wait for one answer. The builds that are tested are not optimised, and share the machine.
const STALL_MAX: Duration = Duration::from_millis(500);

/// Requests that are sent before the first of their answers is read.
const PIPELINED: usize = 50;

async fn server(settings: &[(&str, &str)]) -> Process {
    Process::start("streams", settings).await
}

/// Returns the most memory that the process ever had.
fn peak_mib(server: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

fn check_memory(server: &Process, mib_max: u64) {
    let peak = peak_mib(server);
    println!("the peak is {peak} MiB");
    assert!(peak <= mib_max, "it took {peak} MiB, at most {mib_max} are allowed");
}

fn request(line: &str, headers: &[(&str, &str)], body: &str) -> String {
    let (method, stream) = line.split_once(' ').unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "{method} /v1/stream/{stream} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}

fn status(answer: &str) -> u16 {
    answer["HTTP/1.1 ".len()..][..3].parse().unwrap()
}

async fn answer(raw: &mut Raw) -> String {
    timeout(PATIENCE, raw.answer()).await.expect("an answer in time").expect("a complete answer")
}

/// Sends one request over a connection of its own.
async fn ask(server: &Process, text: &str) -> String {
    let mut raw = Raw::connect(server.address("streams")).await;
    raw.send(text).await;
    answer(&mut raw).await
}

/// Sends requests over one connection. Returns how often each status was answered.
async fn flood(server: &Process, requests: impl Iterator<Item = String>) -> BTreeMap<u16, usize> {
    let (mut raw, mut statuses) = (Raw::connect(server.address("streams")).await, BTreeMap::new());
    let mut requests = requests.peekable();
    while requests.peek().is_some() {
        let some: Vec<String> = requests.by_ref().take(PIPELINED).collect();
        assert!(raw.send(&some.concat()).await);
        for _ in &some {
            *statuses.entry(status(&answer(&mut raw).await)).or_default() += 1;
        }
    }
    statuses
}

fn stream_url(server: &Process, stream: &str) -> String {
    format!("{}/v1/stream/{stream}", server.url("streams"))
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_stored_cannot_fill_the_memory() {
    let server = server(&[]).await;
    for (name, value) in [
        ("content-type", format!("text/{}", "x".repeat(30_000))),
        ("stream-expires-at", format!("2099-01-01T00:00:00.{}Z", "0".repeat(30_000))),
        ("stream-ttl", "1".repeat(30_000)),
    ] {
        let refused = ask(&server, &request("PUT big", &[(name, &value)], "")).await;
        assert!(status(&refused) == 431 && refused.contains(name) && refused.contains("1024"), "{refused}");
    }
    let (long, until) = ("x".repeat(900), format!("2099-01-01T00:00:00.{}Z", "0".repeat(900)));
    let headers = [("content-type", format!("text/{long}")), ("stream-expires-at", until)];
    let headers = [(headers[0].0, &*headers[0].1), (headers[1].0, &*headers[1].1)];
    let creates = (0..20_000).map(|number| request(&format!("PUT {number:06}{long}"), &headers, ""));
    let statuses = flood(&server, creates).await;
    assert!(statuses[&201] > 5_000 && statuses[&507] > 1_000 && statuses.len() == 2, "{statuses:?}");
    check_memory(&server, 180);
    // The rest is less than one of those.
    let fill = flood(&server, (0..100).map(|number| request(&format!("PUT small/{number}"), &[], ""))).await;
    assert!(fill[&507] > 50, "{fill:?}");
    let full = ask(&server, &request("PUT small", &[], "")).await;
    assert!(status(&full) == 507 && full.contains("problem:full") && full.contains("metadata_bytes_max"), "{full}");
    let first = format!("000000{long}");
    let content_type = [headers[0]];
    for (line, body, expected) in [("POST", "more", 204), ("GET", "", 200), ("DELETE", "", 204)] {
        let line = format!("{line} {first}");
        let answered = ask(&server, &request(&line, if body.is_empty() { &[] } else { &content_type }, body)).await;
        assert_eq!(status(&answered), expected, "{answered}");
    }
    assert_eq!(status(&ask(&server, &request("PUT small", &[], "")).await), 201, "a deletion makes space");
}

async fn subscribe(server: &Process, id: &str, pattern: &str) -> Response {
    let url = stream_url(server, &format!("__ds/subscriptions/{id}"));
    let body = json!({"type": "pull-wake", "pattern": pattern, "wake_stream": "wakes"});
    call(reqwest::Method::PUT, &url, Some(&body)).await.unwrap()
}

/// Calls once, and checks that the answer comes soon.
async fn soon<T>(what: &str, call: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let answer = call.await;
    let took = began.elapsed();
    assert!(took < STALL_MAX, "{what} took {took:?}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_that_match_every_stream_cost_little() {
    const STREAMS: usize = 50_000;
    const SUBSCRIPTIONS: usize = 150;
    let server = server(&[]).await;
    let create = |number| request(&format!("PUT s/{number}"), &[("content-type", "application/json")], "1");
    let created = flood(&server, (0..STREAMS).map(create)).await;
    assert_eq!(created, BTreeMap::from([(201, STREAMS)]));
    let before = peak_mib(&server);
    for number in 0..SUBSCRIPTIONS {
        let pattern = if number % 2 == 0 { "**" } else { "s/*" };
        let created = soon("a subscription", subscribe(&server, &number.to_string(), pattern)).await;
        assert_eq!(created.status, 201, "{created:?}");
        assert!(created.body.len() < 300_000, "the answer has one page of the streams");
    }
    let grown = peak_mib(&server) - before;
    assert!(grown <= 16, "the subscriptions took {grown} MiB");
    // A stream that gets data is announced to all of them.
    let append = |number| request(&format!("POST s/{number}"), &[("content-type", "application/json")], "2");
    soon("an append", ask(&server, &append(0))).await;
    for id in ["0", "1", "149"] {
        let url = stream_url(&server, &format!("__ds/subscriptions/{id}/claim"));
        let claimed = call(reqwest::Method::POST, &url, Some(&json!({"worker": "w"}))).await.unwrap();
        let pending: Vec<_> =
            claimed.json()["streams"].as_array().unwrap().iter().map(|it| it["path"].clone()).collect();
        assert!(claimed.status == 200 && pending.contains(&json!("s/0")), "{claimed:?}");
    }
    // All streams get data that nobody reads: a subscription keeps what it may, and nobody is held up.
    let appended = flood(&server, (0..STREAMS / 5).map(append)).await;
    assert_eq!(appended, BTreeMap::from([(204, STREAMS / 5)]));
    check_memory(&server, 180);
    for number in 0..20 {
        soon("an append", ask(&server, &append(number))).await;
        soon("a create", ask(&server, &create(STREAMS + number))).await;
        soon("a deletion", ask(&server, &request(&format!("DELETE s/{}", STREAMS / 2 + number), &[], ""))).await;
        let url = stream_url(&server, &format!("__ds/subscriptions/{number}"));
        let deleted = soon("the end of a subscription", call(reqwest::Method::DELETE, &url, None)).await;
        assert_eq!(deleted.unwrap().status, 204);
    }
    check_memory(&server, 180);
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_of_an_attacker_leave_others_their_share() {
    let server = server(&[("EXORELAY__STREAMS__SUBSCRIPTIONS_LINKS_MAX", "1000")]).await;
    for number in 0..9 {
        assert_eq!(subscribe(&server, &format!("greedy-{number}"), "junk/**").await.status, 201);
    }
    assert_eq!(subscribe(&server, "honest", "orders/*").await.status, 201);
    let junk = |number| request(&format!("PUT junk/{number}"), &[], "x");
    flood(&server, (0..2_000).map(junk)).await;
    assert_eq!(status(&ask(&server, &request("PUT orders/1", &[], "x")).await), 201);
    let url = stream_url(&server, "__ds/subscriptions/honest/claim");
    let claimed = call(reqwest::Method::POST, &url, Some(&json!({"worker": "w"}))).await.unwrap();
    assert_eq!(claimed.json()["streams"][0]["path"], "orders/1", "{claimed:?}");
    let names: Vec<String> = (0..2_000).map(|number| format!("named/{number}")).collect();
    let url = stream_url(&server, "__ds/subscriptions/names");
    let body = json!({"type": "pull-wake", "wake_stream": "wakes", "streams": names});
    let refused = call(reqwest::Method::PUT, &url, Some(&body)).await.unwrap();
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (507, &json!("FULL")));
}

#[tokio::test(flavor = "multi_thread")]
async fn producers_of_strangers_lock_nobody_out_and_nothing_counts_twice() {
    const STRANGERS: usize = 20_000;
    let server = server(&[]).await;
    assert_eq!(status(&ask(&server, &request("PUT orders", &[("content-type", "text/plain")], "")).await), 201);
    let produce = |id: &str, epoch: u64, seq: u64| {
        let (epoch, seq) = (epoch.to_string(), seq.to_string());
        let producer = [("producer-id", id), ("producer-epoch", &*epoch), ("producer-seq", &*seq)];
        let headers: Vec<_> = [("content-type", "text/plain")].into_iter().chain(producer).collect();
        request("POST orders", &headers, "x")
    };
    assert_eq!(status(&ask(&server, &produce("first", 0, 0)).await), 200);
    let long = ask(&server, &produce(&"p".repeat(257), 0, 0)).await;
    assert!(status(&long) == 431 && long.contains("producer-id"), "{long}");
    let opened = flood(&server, (0..STRANGERS).map(|number| produce(&format!("stranger-{number:0200}"), 0, 0))).await;
    assert_eq!(opened, BTreeMap::from([(200, STRANGERS)]), "each of them is accepted, and the oldest make space");
    check_memory(&server, 120);
    assert_eq!(status(&ask(&server, &produce("honest", 0, 0)).await), 200, "nobody is locked out");
    assert_eq!(status(&ask(&server, &produce("honest", 0, 0)).await), 204, "a repetition counts once");
    let again = ask(&server, &produce("first", 0, 0)).await.to_lowercase();
    assert!(status(&again.to_uppercase()) == 403 && again.contains("producer-epoch: 0"), "{again}");
    assert_eq!(status(&ask(&server, &produce("first", 1, 0)).await), 200, "a new epoch goes on");
    let read = get(&stream_url(&server, "orders?offset=-1")).await;
    assert_eq!(read.body.len(), STRANGERS + 3, "nothing counts twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_nothing_takes_are_refused_before_they_are_read() {
    let server = server(&[]).await;
    let closed = [("content-type", "text/plain"), ("stream-closed", "true")];
    assert_eq!(status(&ask(&server, &request("PUT closed", &closed, "all")).await), 201);
    assert_eq!(status(&ask(&server, &request("PUT open", &[("content-type", "text/plain")], "")).await), 201);
    for (line, content_type, expected) in [
        ("POST missing", "text/plain", 404),
        ("POST closed", "text/plain", 409),
        ("POST open", "application/json", 409),
        ("POST __registry__", "application/json", 405),
        ("PUT open", "application/json", 409),
        ("PUT fork", "text/plain", 404),
        ("POST open", "text/plain\r\nproducer-id: p", 400),
    ] {
        for length in ["content-length: 16000000", "transfer-encoding: chunked"] {
            let (method, stream) = line.split_once(' ').unwrap();
            let fork = if stream == "fork" { "stream-forked-from: /v1/stream/missing\r\n" } else { "" };
            let head = format!(
                "{method} /v1/stream/{stream} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\n{fork}{length}\r\n\r\n"
            );
            // Nothing of the body is ever sent.
            let refused = ask(&server, &head).await;
            assert_eq!(status(&refused), expected, "{line} {length}: {refused}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_end_cannot_fill_the_memory() {
    let server = server(&[]).await;
    assert_eq!(status(&ask(&server, &request("PUT open", &[("content-type", "text/plain")], "")).await), 201);
    let piece = "x".repeat(1024 * 1024);
    let mut unfinished = Vec::new();
    for number in 0..60 {
        let mut raw = Raw::connect(server.address("streams")).await;
        let (length, before, after) = match number % 2 {
            0 => ("content-length: 16000000", "", ""),
            _ => ("transfer-encoding: chunked", "100000\r\n", "\r\n"),
        };
        let head = "POST /v1/stream/open HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n";
        raw.send(&format!("{head}{length}\r\n\r\n")).await;
        for _ in 0..12 {
            // A connection may be closed meanwhile.
            if !raw.send(&format!("{before}{piece}{after}")).await {
                break;
            }
        }
        unfinished.push(raw);
    }
    let small = ask(&server, &request("POST open", &[("content-type", "text/plain")], "y")).await;
    assert_eq!(status(&small), 204, "a short body is always read");
    let refused = answer(unfinished.last_mut().unwrap()).await;
    assert!(status(&refused) == 503 && refused.to_lowercase().contains("retry-after: "), "{refused}");
    check_memory(&server, 190);
}

#[tokio::test(flavor = "multi_thread")]
async fn forks_in_the_middle_of_a_long_append_cannot_fill_the_memory() {
    let server = Process::start("streams --data-dir data", &[]).await;
    let binary = [("content-type", "application/octet-stream")];
    let body = "\u{1}".repeat(15 * 1024 * 1024);
    let created = ask(&server, &request("PUT big", &binary, &body)).await;
    let end = created.lines().find_map(|line| line.strip_prefix("stream-next-offset: ")).unwrap();
    let middle = format!("{}_{:016}", end.split_once('_').unwrap().0, 7 * 1024 * 1024);
    let mut forking = Vec::new();
    for number in 0..100 {
        let headers = [("stream-forked-from", "/v1/stream/big"), ("stream-fork-offset", &middle)];
        let mut raw = Raw::connect(server.address("streams")).await;
        raw.send(&request(&format!("PUT fork/{number}"), &headers, "")).await;
        forking.push(raw);
    }
    for raw in &mut forking {
        assert_eq!(status(&answer(raw).await), 201);
    }
    check_memory(&server, 250);
}

/// Checks that readers that take nothing hold a bounded part of the memory, and that others are served.
async fn check_silent_readers(line: &str, mib_max: u64) {
    raise_file_limit();
    let server = Process::start(line, &[]).await;
    let body = "\u{1}".repeat(15 * 1024 * 1024);
    let binary = [("content-type", "application/octet-stream")];
    assert_eq!(status(&ask(&server, &request("PUT big", &binary, &body)).await), 201);
    assert_eq!(status(&ask(&server, &request("PUT small", &binary, "x")).await), 201);
    let mut silent = Vec::new();
    for number in 0..150 {
        let how = if number % 2 == 0 { "&live=sse" } else { "" };
        let mut raw = Raw::connect(server.address("streams")).await;
        raw.send(&format!("GET /v1/stream/big?offset=-1{how} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
        silent.push(raw);
    }
    for _ in 0..30 {
        assert_eq!(get(&stream_url(&server, "small?offset=-1")).await.body, "x");
        crate::eventually::pause(100).await;
    }
    check_memory(&server, mib_max);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_take_nothing_cannot_fill_the_memory() {
    check_silent_readers("streams", 190).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_the_disk_that_take_nothing_cannot_fill_the_memory() {
    check_silent_readers("streams --data-dir data", 250).await;
}
