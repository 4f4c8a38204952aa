//! Tests that trouble is reported once, at once, and that its end is reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

use crate::eventually::eventually;
use crate::stage::{Process, Transport, call, post, reserve_address};

/// The warnings of a sidecar without a bus.
const NOT_ON_THE_BUS: &str = "not on the bus yet, retrying";
const OFFLINE: &str = "offline, retrying";

/// Waits for a line of the log with all these words.
async fn logs(process: &Process, words: &[&str]) {
    let is_meant = |line: &str| words.iter().all(|words| line.contains(words));
    eventually((words, process.log()), || async { process.log().lines().any(is_meant).then_some(()) }).await;
}

fn count(process: &Process, words: &str) -> usize {
    process.log().lines().filter(|line| line.contains(words)).count()
}

/// Waits until `enough` calls have come.
async fn calls(counter: &AtomicUsize, enough: usize) {
    eventually((enough, "calls"), || async { (counter.load(Ordering::Relaxed) >= enough).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_reports_each_reason_once_and_that_it_is_over() {
    let (address, attempts) = (reserve_address(), Arc::new(AtomicUsize::new(0)));
    let (listener, counter) = (TcpListener::bind(&address).await.unwrap(), Arc::clone(&attempts));
    let other = Router::new().fallback(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        std::future::ready(StatusCode::NOT_FOUND)
    });
    // Something that is no broker.
    let serving = tokio::spawn(async move { axum::serve(listener, other).await });
    let sidecar = Process::start(&format!("run --role web --bus http://{address}"), &[]).await;
    logs(&sidecar, &["WARN", NOT_ON_THE_BUS, "does not support registration"]).await;
    calls(&attempts, 4).await;
    assert_eq!(count(&sidecar, NOT_ON_THE_BUS), 1, "{}", sidecar.log());
    serving.abort();
    assert!(serving.await.is_err());
    logs(&sidecar, &["WARN", NOT_ON_THE_BUS, "Connection refused"]).await;
    let mut broker = Process::start(&format!("broker --listen {address}"), &[]).await;
    logs(&sidecar, &["INFO", "online again"]).await;
    broker.kill().await;
    // HTTP notices the loss with its next call.
    post(&format!("{}/send/hello", sidecar.url("api")), &json!(1)).await;
    logs(&sidecar, &["WARN", OFFLINE, "Connection refused"]).await;
    assert_eq!(count(&sidecar, NOT_ON_THE_BUS), 2, "{}", sidecar.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_is_refused_reports_it_once() {
    let broker = Process::start("broker", &[("EXORELAY__BROKER__TOKENS", "web=secret")]).await;
    for transport in [Transport::Http, Transport::WebSocket] {
        let sidecar = Process::start(&format!("run --role web --bus {}", broker.bus(transport)), &[]).await;
        logs(&sidecar, &["WARN", NOT_ON_THE_BUS, "needs its token"]).await;
        // It tries again meanwhile, and waits two seconds at most.
        let other = Process::start(&format!("run --role log --bus {}", broker.bus(transport)), &[]).await;
        logs(&other, &["INFO", "online"]).await;
        assert_eq!(count(&sidecar, NOT_ON_THE_BUS), 1, "{}", sidecar.log());
        assert_eq!(count(&sidecar, "online"), 0, "{}", sidecar.log());
        assert_eq!(count(&other, "WARN"), 0, "{}", other.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_reports_once_that_a_service_cannot_be_reached() {
    let broker = Process::start("broker", &[]).await;
    let (url, address) = (broker.url("broker"), reserve_address());
    let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
    let users = json!({ "instance": "users-1", "host": "127.0.0.1", "port": port, "receives": ["hello"] });
    assert_eq!(call(Method::PUT, &format!("{url}/services/users"), Some(&users)).await.unwrap().status, 200);
    assert_eq!(post(&format!("{url}/send/hello"), &json!({ "id": "1" })).await.status, 200);
    logs(&broker, &["WARN", "a service cannot be reached, retrying", "users"]).await;
    let metrics = format!("{url}/metrics");
    let retried = || async {
        let text = call(Method::GET, &metrics, None).await.unwrap().body;
        let line =
            text.lines().find_map(|line| line.strip_prefix("exorelay_broker_delivery_retries_total "))?.to_owned();
        (line.parse::<u64>().unwrap() >= 3).then_some(())
    };
    eventually("three retries", retried).await;
    assert_eq!(count(&broker, "a service cannot be reached"), 1, "{}", broker.log());
    let listener = TcpListener::bind(&address).await.unwrap();
    let service = Router::new().fallback(|| std::future::ready(StatusCode::OK));
    let serving = tokio::spawn(async move { axum::serve(listener, service).await });
    logs(&broker, &["INFO", "a service can be reached again"]).await;
    serving.abort();
}
