//! Tests of how servers end: signals, exit status, supervisors, and what the log says.

use std::os::unix::net::UnixDatagram;

use reqwest::Method;
use serde_json::json;
use tokio::process::Command;

use crate::eventually::eventually;
use crate::stage::{
    Peer, Process, Raw, Transport, call, declare, get, instances, post, reserve_address, wait_until_registered,
};

/// Checks that SIGHUP does not end a server, and that SIGTERM still drains it.
async fn check_hangup(line: &str, system: &str) {
    let mut process = Process::start(line, &[]).await;
    process.signal("HUP");
    eventually("the signal", || async { process.log().contains("SIGHUP ignored").then_some(()) }).await;
    assert_eq!(get(&format!("{}/health", process.url(system))).await.status, 200, "{line}");
    process.stop().await;
    assert!(process.log().contains("drained, no unfinished messages"), "{line}: {}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_ends_no_server() {
    check_hangup("run --role users --bus embedded", "api").await;
    check_hangup("streams", "streams").await;
    check_hangup("broker", "broker").await;
    check_hangup("dev", "edge").await;
}

/// Calls everything that the tour of `dev` prints, without acknowledging what it follows.
async fn take_tour(dev: &Process) {
    let (api, edge) = (dev.url("api"), dev.url("edge"));
    let payload = json!({ "name": "world" });
    assert_eq!(post(&format!("{api}/request/hello"), &payload).await.status, 200);
    assert_eq!(post(&format!("{api}/send/hello"), &payload).await.status, 202);
    assert_eq!(post(&format!("{api}/request/zonk"), &payload).await.status, 404);
    let stream = format!("{edge}/v1/stream/notes");
    assert_eq!(call(Method::PUT, &stream, Some(&payload)).await.unwrap().status, 201);
    assert_eq!(get(&stream).await.status, 200);
}

async fn follow(dev: &Process) -> Raw {
    let mut follower = Raw::connect(dev.address("api")).await;
    follower.send("GET /messages HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(follower.answer().await.unwrap().starts_with("HTTP/1.1 200"));
    follower
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polite_stop_of_the_tour_reports_no_trouble() {
    for is_followed in [false, true] {
        let mut dev = Process::start("dev", &[]).await;
        let follower = match is_followed {
            true => Some(follow(&dev).await),
            false => None,
        };
        take_tour(&dev).await;
        dev.stop().await;
        if let Some(mut follower) = follower {
            let followed = follower.rest().await;
            assert!(followed.contains("greeting"), "{followed}");
        }
        let log = dev.log();
        assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_counts_what_no_service_got() {
    let mut broker = Process::start("broker", &[]).await;
    declare(&broker, json!({ "web": { "sends": ["hi"] }, "users": { "receives": ["hi"] } })).await;
    let mut web = Peer::open(&broker, "web").await;
    for id in ["1", "2"] {
        web.send_message("hi", id, id, json!(null)).await;
    }
    let metrics = format!("{}/metrics", broker.url("broker"));
    eventually("two messages", || async {
        get(&metrics).await.body.contains("exorelay_broker_queued_messages 2\n").then_some(())
    })
    .await;
    broker.signal("TERM");
    broker.exits_with(1).await;
    assert!(broker.log().contains("stopped with 2 unfinished messages:"), "{}", broker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_is_notified_when_a_server_is_ready_and_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let supervisor = UnixDatagram::bind(&path).unwrap();
    let state = || {
        let mut buffer = [0; 256];
        let length = supervisor.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    for line in ["streams", "broker", "run --role users --bus embedded", "dev"] {
        let mut process = Process::start(line, &[("NOTIFY_SOCKET", path.to_str().unwrap())]).await;
        assert!(state().starts_with("READY=1\n"), "{line}");
        process.signal("TERM");
        assert!(state().starts_with("STOPPING=1\n"), "{line}");
        process.exits_cleanly().await;
    }
}

/// Runs a command of the program, and returns its exit code, its stdout and its stderr.
async fn tool(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_exorelay")).args(arguments).env_clear().output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_drains_on_command_and_waits_for_its_signal() {
    let (broker, address) = (Process::start("broker", &[]).await, reserve_address());
    let ops = format!("http://{address}");
    let line = format!("run --role users --receives hello --bus {} --ops {address}", broker.bus(Transport::Http));
    let mut sidecar = Process::start(&line, &[]).await;
    wait_until_registered(&broker, &[("users", 1)]).await;
    assert_eq!(tool(&["health", "--api", &ops]).await, (Some(0), "ready\n".into(), String::new()));
    let drained = tool(&["drain", "--url", &ops]).await;
    assert_eq!(drained, (Some(0), "drained\n".into(), String::new()), "{}", sidecar.log());
    assert_eq!(instances(&broker, "users").await, Vec::<serde_json::Value>::new());
    let (code, _, reason) = tool(&["health", "--api", &ops]).await;
    assert_eq!((code, reason.contains("process: shutting down")), (Some(1), true), "{reason}");
    assert_eq!(tool(&["health", "--live", "--api", &ops]).await, (Some(0), "alive\n".into(), String::new()));
    assert_eq!(post(&format!("{}/send/hello", sidecar.url("api")), &json!(1)).await.status, 503);
    sidecar.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_on_command_says_how_much_is_left() {
    let address = reserve_address();
    let ops = format!("http://{address}");
    let line = format!("run --role users --receives hello --bus embedded --ops {address}");
    let mut sidecar = Process::start(&line, &[]).await;
    assert_eq!(post(&format!("{}/send/hello", sidecar.url("api")), &json!(1)).await.status, 202);
    let (code, _, reason) = tool(&["drain", "--url", &ops]).await;
    assert_eq!((code, reason.contains("1 unfinished message:")), (Some(1), true), "{reason}");
    sidecar.signal("TERM");
    sidecar.exits_with(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_metrics_of_a_whole_process_have_a_listener_of_their_own() {
    let address = reserve_address();
    let mut dev = Process::start(&format!("dev --ops {address}"), &[]).await;
    let announced = || dev.printed().iter().any(|line| line.contains(r#""system":"ops""#));
    eventually("its listener", || async { announced().then_some(()) }).await;
    let ready = get(&format!("http://{address}/ready")).await;
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &json!(true)), "{ready:?}");
    assert_eq!(ready.json()["parts"]["api"]["role"], "dev");
    let metrics = get(&format!("http://{address}/metrics")).await.body;
    for metric in ["exorelay_relay_waiters 0", "exorelay_broker_instances 2", "exorelay_streams_streams "] {
        assert!(metrics.contains(metric), "{metric}: {metrics}");
    }
    let page = reqwest::Client::new().post(format!("http://{address}/drain")).header("origin", "http://a.example");
    assert_eq!(page.send().await.unwrap().status(), 403);
    dev.stop().await;
}
