//! Tests of starting and stopping under load: no message is lost, in any order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::eventually::eventually;
use crate::stage::{
    ORDER, Process, Raw, Response, Sender, Service, Traffic, Transport, call, get, post, reserve_address,
};

/// A request that the service answers with the same payload.
const CHECK: &str = "order.check";

/// A client that sends requests one after the other.
struct Client {
    answered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    asking: JoinHandle<()>,
}

impl Client {
    /// Starts a client. It fails if a request is not answered with its own payload.
    fn start(name: String, api: &str) -> Self {
        let (answered, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopped, url) = (answered.clone(), stop.clone(), format!("{api}/request/{CHECK}?timeout=60s"));
        let asking = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                let payload = json!({ "sender": name, "number": count.load(Ordering::Relaxed) });
                let answer = call(Method::POST, &url, Some(&payload)).await.unwrap();
                assert_eq!(answer.status, 200, "{payload}: {answer:?}");
                assert_eq!(answer.json(), payload);
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { answered, stop, asking }
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until `count` more requests were answered.
    async fn wait_for_answers(&self, count: u64) {
        let enough = self.answered() + count;
        let going = || async { (self.answered() >= enough || self.asking.is_finished()).then_some(()) };
        eventually((count, "more answers"), going).await;
        assert!(!self.asking.is_finished(), "a request failed");
    }

    async fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.asking.await.unwrap();
        self.answered.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_load_loses_no_request_and_no_message() {
    check_rolling_restart(Transport::Http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_over_websockets_loses_no_request_and_no_message() {
    check_rolling_restart(Transport::WebSocket).await;
}

async fn check_rolling_restart(transport: Transport) {
    let broker = Process::start("broker", &[]).await;
    let (url, bus, service) = (broker.url("broker"), broker.bus(transport), Service::start("127.0.0.1:0"));
    let line = format!("run --role users --receives {CHECK},{ORDER} --bus {bus} --forward {}", service.url());
    let mut users = [Process::start(&line, &[]).await, Process::start(&line, &[]).await];
    let web = Process::start(&format!("run --role web --bus {bus}"), &[]).await;
    let clients: Vec<Client> = (0..6).map(|n| Client::start(format!("client-{n}"), &web.url("api"))).collect();
    let traffic = Traffic::start("web", Sender::Sidecar(web.url("api")));
    for _ in 0..2 {
        for sidecar in &mut users {
            join_all(clients.iter().map(|client| client.wait_for_answers(10))).await;
            sidecar.stop().await;
            join_all(clients.iter().map(|client| client.wait_for_answers(10))).await;
            sidecar.restart().await;
        }
    }
    let mut answered = Vec::new();
    for client in clients {
        answered.push(client.finish().await);
    }
    let sent = traffic.finish().await;
    service.received().wait_for("web", 0..sent).await;
    // Nothing was killed, so nothing may arrive twice either.
    assert_eq!(service.received().numbers("web").len() as u64, sent);
    for (n, answered) in answered.into_iter().enumerate() {
        assert_eq!(service.received().numbers(&format!("client-{n}")), (0..answered).collect::<Vec<_>>());
    }
    assert_eq!(get(&format!("{url}/undelivered")).await.json(), json!({ "undelivered": [] }));
    assert_eq!(get(&format!("{}/dead-letters", web.url("api"))).await.json(), json!([]));
}

/// Waits until the process reports that it is stopping.
async fn wait_until_stopping(process: &Process, system: &str) {
    let ready = format!("{}/ready", process.url(system));
    eventually("503 from /ready", || async { (get(&ready).await.status == 503).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_can_acknowledge_its_messages_before_its_sidecar_stops() {
    let mut sidecar = Process::start("run --role users --receives hello --bus embedded", &[]).await;
    let api = sidecar.url("api");
    let mut ids = Vec::new();
    for number in 0..3 {
        let sent = post(&format!("{api}/send/hello"), &json!(number)).await;
        ids.push(sent.json()["id"].as_str().unwrap().to_owned());
    }
    let mut follower = Raw::connect(sidecar.address("api")).await;
    follower.send("GET /messages HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(follower.answer().await.unwrap().starts_with("HTTP/1.1 200"));
    sidecar.signal("TERM");
    wait_until_stopping(&sidecar, "api").await;
    for id in &ids {
        let acknowledgement = format!("{api}/messages/{id}/ack");
        let acknowledge = || async { (post(&acknowledgement, &json!(null)).await.status == 204).then_some(()) };
        eventually("a message to acknowledge", acknowledge).await;
    }
    let followed = follower.rest().await;
    assert!(ids.iter().all(|id| followed.contains(&format!("id: {id}"))), "{ids:?} in {followed}");
    sidecar.exits_cleanly().await;
    assert!(sidecar.log().contains("no unfinished messages"), "{}", sidecar.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_sidecar_reports_messages_without_a_follower() {
    let mut sidecar = Process::start("run --role users --receives hello --bus embedded", &[]).await;
    assert_eq!(post(&format!("{}/send/hello", sidecar.url("api")), &json!(1)).await.status, 202);
    sidecar.signal("TERM");
    sidecar.exits_with(1).await;
    assert!(sidecar.log().contains("stopped with 1 unfinished message:"), "{}", sidecar.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopping_sidecar_has_not_handled_waits_for_the_next_one() {
    let broker = Process::start("broker", &[]).await;
    for scheme in ["http:", "ws:"] {
        let url = broker.url("broker").replace("http:", scheme);
        // One message is with the service, one waits for it, and both have no end.
        let service = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let grace = ("EXORELAY__DRAIN__GRACE_MS", "500");
        let line = format!("run --role users --receives hello --bus {url}");
        let busy = format!("{line} --forward http://{}", service.local_addr().unwrap());
        let mut stopping = Process::start(&busy, &[grace, ("EXORELAY__WEBHOOK__CONCURRENT_MAX", "1")]).await;
        let web = Process::start(&format!("run --role web --bus {url}"), &[]).await;
        for number in 0..2 {
            assert_eq!(post(&format!("{}/send/hello", web.url("api")), &json!(number)).await.status, 202);
        }
        let inbox = async |process: &Process| get(&format!("{}/metrics", process.url("api"))).await.body;
        let has_both =
            async |process: &Process| inbox(process).await.contains("exorelay_relay_inbox 2\n").then_some(());
        eventually("both messages", || has_both(&stopping)).await;
        stopping.stop().await;
        assert!(stopping.log().contains("no unfinished messages"), "{}", stopping.log());
        // Nobody follows it, so they stay in its inbox.
        let next = Process::start(&line, &[]).await;
        eventually("both messages again", || has_both(&next)).await;
    }
}

/// Sends two signals: after the first one alone, the process would use up its grace time.
async fn check_second_signal(mut process: Process, system: &str, (second, left): (&str, &str)) {
    process.signal("TERM");
    wait_until_stopping(&process, system).await;
    process.signal(second);
    process.exits_with(1).await;
    assert!(process.log().contains("stopped before the drain was complete"), "{}", process.log());
    assert!(process.log().contains(&format!("stopped with {left}:")), "{}", process.log());
}

/// A grace time longer than any test waits.
const LONG_GRACE: (&str, &str) = ("EXORELAY__DRAIN__GRACE_MS", "600000");

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_a_sidecar_at_once() {
    let sidecar = Process::start("run --role users --receives hello --bus embedded", &[LONG_GRACE]).await;
    let asking = format!("{}/request/hello?timeout=10m", sidecar.url("api"));
    let waiting = tokio::spawn(async move { drop(call(Method::POST, &asking, Some(&json!(1))).await) });
    let metrics = format!("{}/metrics", sidecar.url("api"));
    let waits = || async { get(&metrics).await.body.contains("exorelay_relay_waiters 1\n").then_some(()) };
    eventually("a waiting request", waits).await;
    // The message and the request that waits for its reply.
    check_second_signal(sidecar, "api", ("INT", "2 unfinished messages")).await;
    waiting.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_a_broker_at_once() {
    let broker = Process::start("broker", &[LONG_GRACE]).await;
    let url = broker.url("broker");
    let port: u16 = reserve_address().rsplit(':').next().unwrap().parse().unwrap();
    let away = json!({ "instance": "away", "host": "127.0.0.1", "port": port, "receives": ["hello"] });
    assert_eq!(call(Method::PUT, &format!("{url}/services/users"), Some(&away)).await.unwrap().status, 200);
    assert_eq!(post(&format!("{url}/send/hello"), &json!({ "id": "1" })).await.status, 200);
    check_second_signal(broker, "broker", ("TERM", "1 unfinished message")).await;
}

/// The participants of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Broker,
    Web,
    Users,
    Service,
}

/// Returns all orders of the four participants.
fn orders() -> Vec<Vec<Part>> {
    let mut orders = vec![Vec::new()];
    for part in [Part::Broker, Part::Web, Part::Users, Part::Service] {
        let insert = |order: &Vec<Part>, place| {
            let mut longer = order.clone();
            longer.insert(place, part);
            longer
        };
        orders = orders.iter().flat_map(|order| (0..=order.len()).map(move |place| insert(order, place))).collect();
    }
    orders
}

/// Asks again while the bus cannot be reached, which is answered 503 at once.
async fn ask(url: &str) -> Response {
    let answer = || async { Some(post(url, &json!("who?")).await).filter(|answer| answer.status != 503) };
    eventually("an answer other than 503", answer).await
}

async fn check_order(order: &[Part]) {
    let (broker_at, service_at, web_at) = (reserve_address(), reserve_address(), reserve_address());
    let mut processes = Vec::new();
    let mut service = None;
    for part in order {
        let line = match part {
            // A long settle time lets the broker wait for all of them, even on a slow machine.
            Part::Broker => format!("broker --listen {broker_at}"),
            Part::Web => format!("run --role web --bus http://{broker_at} --api {web_at}"),
            Part::Users => format!(
                "run --role users --receives {CHECK},{ORDER} --bus http://{broker_at} --forward http://{service_at}"
            ),
            Part::Service => {
                service = Some(Service::start(&service_at));
                continue;
            }
        };
        processes.push(Process::start(&line, &[("EXORELAY__BROKER__SETTLE_MS", "60000")]).await);
        if *part == Part::Web {
            // At the earliest possible moment.
            let entry = json!({ "sender": "web", "number": 0 });
            assert_eq!(post(&format!("http://{web_at}/send/{ORDER}"), &entry).await.status, 202);
        }
    }
    let asked = ask(&format!("http://{web_at}/request/{CHECK}?timeout=60s")).await;
    assert_eq!((asked.status, asked.json()), (200, json!("who?")), "{order:?}");
    let service = service.unwrap();
    service.received().wait_for("web", 0..1).await;
    for mut process in processes {
        process.stop().await;
        assert!(process.log().contains("no unfinished messages"), "{order:?}: {}", process.log());
    }
    assert_eq!(service.received().numbers("web"), [0], "{order:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_sidecars_and_service_start_and_stop_in_any_order() {
    let orders = orders();
    assert_eq!(orders.len(), 24);
    for order in orders {
        check_order(&order).await;
    }
}
