//! Tests of what is below HTTP: TLS and its certificates, HTTP/2, and the connections of one client. Clients are curl and node.

use std::process::Output;
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

use crate::authority::Authority;
use crate::eventually::eventually;
use crate::memory::resident_kib;
use crate::stage::{Process, Raw, post};

/// Timeout of a client.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens 20 event streams in one HTTP/2 session, and prints what each of them gets first.
const FOLLOWERS: &str = "
const session = require('http2').connect(process.argv[1])
let left = 20
for (let number = 0; number < 20; number++) {
  const events = session.request({ ':path': '/v1/stream/notes?offset=-1&live=sse' })
  events.setEncoding('utf8')
  let text = ''
  events.on('data', (piece) => {
    text += piece
    if (!text.includes('first note')) return
    events.removeAllListeners('data')
    if (--left == 0) { console.log('all'); process.exit(0) }
  })
}";

/// Asks for the same stream 100 times in each of 20 sessions, and takes nothing of any answer.
const HOARDERS: &str = "
const http2 = require('http2')
let left = 2000
for (let number = 0; number < 20; number++) {
  const session = http2.connect(process.argv[1], { settings: { initialWindowSize: 0 } })
  for (let number = 0; number < 100; number++) {
    const request = session.request({ ':path': '/v1/stream/long?offset=-1' })
    request.on('response', () => { if (--left == 0) console.log('hoarding') })
    request.on('error', () => {})
  }
  session.on('error', () => {})
}
setTimeout(() => process.exit(0), 30000)";

async fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    let running = command.args(arguments).kill_on_drop(true).output();
    timeout(PATIENCE, running).await.expect("it ends in time").expect("it can be started")
}

/// Runs curl, and returns the version of HTTP, the status and the body.
async fn curl(arguments: &[&str]) -> String {
    let fixed = ["--silent", "--show-error", "--write-out", " %{http_version} %{http_code}"];
    let output = run("curl", &[&fixed, arguments].concat()).await;
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Starts a process with a certificate of the authority.
async fn start(line: &str, authority: &Authority, settings: &[(&str, &str)]) -> Process {
    let certificate = authority.settings("server");
    let certificate = certificate.iter().map(|(key, value)| (*key, value.as_str()));
    let settings: Vec<(&str, &str)> = certificate.chain(settings.iter().copied()).collect();
    Process::start(line, &settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_spoken_with_and_without_tls() {
    let authority = Authority::new();
    authority.issue("server");
    let line = "run --role web --bus embedded";
    let (plain, secure) =
        (Process::start(line, &[]).await, start(line, &authority, &[("EXORELAY__API__TLS", "true")]).await);
    let (ca, port) = (authority.path("ca.pem"), secure.address("api").rsplit_once(':').unwrap().1);
    let (ca, secure_url) = (ca.to_str().unwrap(), format!("https://localhost:{port}/health"));
    let plain_url = format!("{}/health", plain.url("api"));
    let ok = "{\"status\":\"ok\"}";
    assert_eq!(curl(&[&plain_url]).await, format!("{ok} 1.1 200"));
    assert_eq!(curl(&["--http2-prior-knowledge", &plain_url]).await, format!("{ok} 2 200"));
    assert_eq!(curl(&["--cacert", ca, &secure_url]).await, format!("{ok} 2 200"));
    assert_eq!(curl(&["--cacert", ca, "--http1.1", &secure_url]).await, format!("{ok} 1.1 200"));
    let hint = curl(&[&secure_url.replace("https", "http")]).await;
    assert!(hint.contains("use https://") && hint.ends_with("1.1 400"), "{hint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_event_streams_share_one_connection() {
    let streams = Process::start("streams", &[]).await;
    let url = streams.url("streams");
    let stream = format!("{url}/v1/stream/notes");
    let created = curl(&["-X", "PUT", "-H", "content-type: text/plain", "-d", "first note", &stream]).await;
    assert!(created.ends_with("201"), "{created}");
    let output = run("node", &["-e", FOLLOWERS, &url]).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "all\n", "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_takes_do_not_fill_the_memory() {
    let streams = Process::start("streams", &[("EXORELAY__HTTP__WRITE_TIMEOUT_MS", "60000")]).await;
    let url = streams.url("streams");
    let stream = format!("{url}/v1/stream/long");
    let created = curl(&["-X", "PUT", "-H", "content-type: application/octet-stream", &stream]).await;
    assert!(created.ends_with("201"), "{created}");
    for _ in 0..4 {
        assert_eq!(append(&stream, "x".repeat(1_000_000)).await, 204);
    }
    let mut hoarders = Command::new("node");
    hoarders.args(["-e", HOARDERS, &url]).kill_on_drop(true).stdout(std::process::Stdio::piped());
    let mut hoarding = hoarders.spawn().unwrap();
    let mut lines = tokio::io::BufReader::new(hoarding.stdout.take().unwrap());
    let mut line = String::new();
    let read = tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut line);
    timeout(PATIENCE, read).await.expect("every answer begins").unwrap();
    let resident = resident_kib(streams.id());
    assert!(resident < 200 * 1024, "{resident} KiB");
    assert!(curl(&[&format!("{url}/health")]).await.ends_with("200"));
}

/// Appends to a stream, and returns the status.
async fn append(url: &str, body: String) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(url).header("content-type", "application/octet-stream").body(body);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_exchanged_while_a_process_runs() {
    let authority = Authority::new();
    authority.issue_as("server", "first");
    let broker = start("broker", &authority, &[("EXORELAY__BROKER__TLS", "true")]).await;
    let address = broker.address("broker");
    let shown = || async {
        let connected = ["s_client", "-connect", address, "-showcerts"];
        let mut command = Command::new("openssl");
        let output = command.args(connected).stdin(std::process::Stdio::null()).output().await.unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(shown().await.contains("CN = first"), "{}", shown().await);
    authority.issue_as("server", "second");
    eventually("the second certificate", || async { shown().await.contains("CN = second").then_some(()) }).await;
    std::fs::write(authority.path("server.key"), "no key").unwrap();
    broker.signal("HUP");
    eventually("a line about the key", || async {
        broker.log().contains("tls.key_file: there is no private key").then_some(())
    })
    .await;
    assert!(shown().await.contains("CN = second"));
    authority.issue_as("server", "third");
    broker.signal("HUP");
    eventually("the third certificate", || async { shown().await.contains("CN = third").then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_may_ask_for_the_certificates_of_its_clients() {
    let authority = Authority::new();
    authority.issue("server");
    let clients = authority.path("ca.pem").display().to_string();
    let settings = [
        ("EXORELAY__BROKER__TLS", "true"),
        ("EXORELAY__TLS__CLIENT_CA_FILE", clients.as_str()),
        ("EXORELAY__TLS__CLIENT_REQUIRED", "true"),
    ];
    let broker = start("broker", &authority, &settings).await;
    let port = broker.address("broker").rsplit_once(':').unwrap().1;
    for scheme in ["https", "wss"] {
        let line = format!("run --role users --bus {scheme}://localhost:{port}");
        let users = start(&line, &authority, &[]).await;
        eventually("a sidecar that is on the bus", || async {
            curl(&[&format!("{}/ready", users.url("api"))]).await.ends_with("200").then_some(())
        })
        .await;
    }
    let stranger = curl(&["--cacert", &clients, &format!("https://localhost:{port}/services")]).await;
    // No answer: the handshake fails, in words that depend on the moment.
    assert!(stranger.contains(" 000"), "{stranger}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_handshakes_delay_nobody_and_end() {
    let authority = Authority::new();
    authority.issue("server");
    let settings = [("EXORELAY__API__TLS", "true"), ("EXORELAY__HTTP__HEADER_TIMEOUT_MS", "3000")];
    let sidecar = start("run --role web --bus embedded", &authority, &settings).await;
    let (ca, url) = (authority.path("ca.pem"), format!("https://{}/health", sidecar.address("api")));
    let mut silent = Vec::new();
    for number in 0..300 {
        let mut connection = Raw::connect(sidecar.address("api")).await;
        if number % 2 == 0 {
            connection.send_bytes(&[22, 3, 1, 2, 0]).await;
        }
        silent.push(connection);
    }
    assert!(curl(&["--cacert", ca.to_str().unwrap(), &url]).await.ends_with("2 200"));
    for mut connection in silent {
        timeout(PATIENCE, connection.rest()).await.expect("the end of a handshake");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_cannot_take_all_connections() {
    let settings =
        [("EXORELAY__HTTP__CONNECTIONS_PER_ADDRESS_MAX", "3"), ("EXORELAY__HTTP__TRUSTED_PROXIES", "192.0.2.1")];
    let sidecar = Process::start("run --role web --receives hello --bus embedded", &settings).await;
    let url = sidecar.url("api");
    let mut taken = Vec::new();
    for _ in 0..3 {
        let mut connection = Raw::connect(sidecar.address("api")).await;
        connection.send("GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await;
        assert!(timeout(PATIENCE, connection.answer()).await.is_ok_and(|answer| answer.is_some()));
        taken.push(connection);
    }
    let refused = post(&format!("{url}/send/hello"), &json!(1)).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.body.contains("http.connections_per_address_max"), "{refused:?}");
    assert!(curl(&[&format!("{url}/ready")]).await.ends_with("200"));
    // The rest of a flood is closed, and others do not notice.
    let mut flood = Vec::new();
    for _ in 0..200 {
        flood.push(Raw::connect(sidecar.address("api")).await);
    }
    let other = ["--interface", "127.0.0.2", "-d", "1", &format!("{url}/send/hello")].map(str::to_owned);
    assert!(curl(&other.each_ref().map(String::as_str)).await.ends_with("202"));
    drop((taken, flood));
    eventually("room for the client", || async {
        (post(&format!("{url}/send/hello"), &json!(1)).await.status == 202).then_some(())
    })
    .await;
}
