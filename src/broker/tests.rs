//! The broker with real sockets and services that record, fail, hang and come back.

mod faulty_sockets;
mod listings;
mod resets;
mod sockets;
mod traffic;

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};

use super::{Address, Broker, Config, routes};
use crate::http::{Answer, Client, ClientLimits, Limits, Listening, Serving};
use crate::message::{
    Delivery, Inbox, InstanceId, Message, MessageId, MessageName, Payload, Receipt, Registration, Role, Verdict,
};

const DEADLINE: Duration = Duration::from_secs(10);

/// A service that records its messages and answers with `status`, for a batch message by message.
#[derive(Clone)]
struct RecordingService {
    seen: Arc<Mutex<Vec<(String, Value)>>>,
    status: Arc<AtomicU16>,
}

impl RecordingService {
    fn new(status: u16) -> Self {
        Self { seen: Arc::default(), status: Arc::new(AtomicU16::new(status)) }
    }

    async fn serve(&self, address: &str) -> Serving {
        let router = Router::new().fallback(record).with_state(self.clone());
        let listening = loop {
            match Listening::bind("test", address).await {
                Ok(listening) => break listening,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        listening.serve(router, &Limits::default())
    }

    /// Returns the ids of the successfully answered messages, in order.
    fn ids(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|(_, body)| body["id"].as_str().unwrap().to_owned()).collect()
    }

    async fn has(&self, ids: &[&str]) {
        eventually(|| self.ids().len() >= ids.len()).await;
        assert_eq!(self.ids(), ids);
    }
}

async fn record(State(recorder): State<RecordingService>, uri: Uri, body: Bytes) -> Response {
    let status = StatusCode::from_u16(recorder.status.load(Ordering::SeqCst)).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let mut seen = recorder.seen.lock().unwrap();
    match body {
        Value::Array(messages) => {
            let answer: Vec<_> = messages.iter().map(|_| json!({ "status": status.as_u16() })).collect();
            if status.is_success() {
                seen.extend(messages.into_iter().map(|message| (uri.path().to_owned(), message)));
            }
            Value::from(answer).to_string().into_response()
        }
        message => {
            if status.is_success() {
                seen.push((uri.path().to_owned(), message));
            }
            status.into_response()
        }
    }
}

async fn eventually(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "the condition did not become true in time");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn quick() -> Config {
    let payload_bytes_max = 64 * 1024 * 1024;
    Config { settle_ms: 0, delivery_timeout_ms: 500, retry_wait_max_ms: 50, payload_bytes_max, ..Config::default() }
}

fn registration(role: &str, instance: &str, receives: &[&str]) -> Registration {
    Registration {
        role: Role::parse(role).unwrap(),
        instance: InstanceId::parse(instance).unwrap(),
        receives: receives.iter().map(|name| MessageName::parse(name).unwrap()).collect(),
        sends: Vec::new(),
        namespace: None,
        batch: true,
        token: None,
        away: false,
    }
}

fn message(id: &str, name: &str) -> Message {
    let message = Message::new(MessageId::parse(id).unwrap(), MessageName::parse(name).unwrap());
    Message { sender: Some(Role::parse("web").unwrap()), ..message }
}

fn address(serving: &Serving) -> Address {
    serving.address().into()
}

struct RecordingInbox(Mutex<Vec<Message>>, Mutex<Vec<Delivery>>);

impl RecordingInbox {
    /// Returns an inbox that gives these answers first, and then accepts everything.
    fn answering(answers: Vec<Delivery>) -> Arc<Self> {
        Arc::new(Self(Mutex::default(), Mutex::new(answers)))
    }

    fn ids(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|message| message.id.to_string()).collect()
    }
}

impl Inbox for RecordingInbox {
    fn deliver(&self, message: Message) -> Receipt<Delivery> {
        let mut answers = self.1.lock().unwrap();
        if !answers.is_empty() {
            return Receipt::Now(answers.remove(0));
        }
        self.0.lock().unwrap().push(message);
        Receipt::Now(Delivery::Accepted)
    }

    fn report_error(&self, detail: &str) {
        panic!("{detail}");
    }
}

#[tokio::test]
async fn a_message_reaches_a_registered_service_by_name_and_in_batches() {
    for (batch, path) in [(true, "/run"), (false, "/run/create%20user")] {
        let broker = Broker::start(quick());
        let users = RecordingService::new(200);
        let serving = users.serve("127.0.0.1:0").await;
        let registration = Registration { batch, ..registration("users", "u1", &["create user"]) };
        broker.register(registration, address(&serving)).unwrap();
        assert_eq!(broker.publish(None, message("1", "create user")), Verdict::Accepted);
        assert_eq!(broker.publish(None, message("2", "zonk")), Verdict::NoReceivers);
        users.has(&["1"]).await;
        assert_eq!(users.seen.lock().unwrap()[0].0, path);
    }
}

#[tokio::test]
async fn messages_for_an_offline_service_arrive_in_order_once_it_is_back() {
    let broker = Broker::start(quick());
    let users = RecordingService::new(200);
    let serving = users.serve("127.0.0.1:0").await;
    let address = serving.address();
    serving.drain(Duration::ZERO).await;
    broker.register(registration("users", "u1", &["m"]), address).unwrap();
    for id in ["1", "2", "3"] {
        assert_eq!(broker.publish(None, message(id, "m")), Verdict::Accepted);
    }
    let _serving = users.serve(&address.to_string()).await;
    users.has(&["1", "2", "3"]).await;
}

#[tokio::test]
async fn a_failed_delivery_is_retried_and_an_unknown_message_is_not() {
    let broker = Broker::start(quick());
    let users = RecordingService::new(500);
    let serving = users.serve("127.0.0.1:0").await;
    let single = Registration { batch: false, ..registration("users", "u1", &["m"]) };
    broker.register(single, address(&serving)).unwrap();
    broker.publish(None, message("1", "m"));
    eventually(|| broker.metrics().contains("delivery_retries_total 2")).await;
    users.status.store(200, Ordering::SeqCst);
    users.has(&["1"]).await;
    users.status.store(404, Ordering::SeqCst);
    broker.publish(None, message("2", "m"));
    eventually(|| broker.undelivered().len() == 1).await;
    assert_eq!(broker.undelivered()[0].reason, "the receiver does not know the message");
}

#[tokio::test]
async fn an_undelivered_message_comes_back_to_its_sender() {
    let config = Config { delivery_window_ms: 200, ..quick() };
    let broker = Broker::start(config);
    let web = RecordingInbox::answering(Vec::new());
    let registration_web = registration("web", "w1", &[]);
    let origin = registration_web.instance.clone();
    broker.join_local(registration_web, web.clone()).unwrap();
    let address = Address::new("127.0.0.1", 1).unwrap();
    broker.register(registration("users", "u1", &["m"]), address).unwrap();
    let sent = Message { payload: Payload::of("x").ok(), ..message("1", "m") };
    broker.publish(Some(&origin), sent.clone());
    eventually(|| !web.ids().is_empty()).await;
    let notice = web.0.lock().unwrap()[0].clone();
    assert_eq!(notice.name.as_str(), "exocom.undelivered");
    assert_eq!(notice.response_to, Some(MessageId::parse("1").unwrap()));
    let payload: Value = notice.payload().unwrap();
    assert_eq!((&payload["name"], &payload["receiver"]), (&json!("m"), &json!("users")));
    let returned = payload["message"].to_string().into();
    assert_eq!(Message::from_json(None, &returned).unwrap().payload, sent.payload);
    assert_eq!(broker.undelivered().len(), 1);
}

#[tokio::test]
async fn an_undelivered_message_of_a_sender_that_has_left_comes_back_to_another_one_of_its_role() {
    let broker = Broker::start(Config { delivery_window_ms: 400, ..quick() });
    let join = |instance: &str| {
        let inbox = RecordingInbox::answering(Vec::new());
        broker.join_local(registration("web", instance, &[]), inbox.clone()).unwrap();
        inbox
    };
    let first = join("w1");
    broker.register(registration("users", "u1", &["m"]), Address::new("127.0.0.1", 1).unwrap()).unwrap();
    let web = |instance: &str| (Role::parse("web").unwrap(), InstanceId::parse(instance).unwrap());
    let (role, instance) = web("w1");
    let sent = Message { sender: Some(role.clone()), ..message("1", "m") };
    assert_eq!(broker.publish(Some(&instance), sent.clone()), Verdict::Accepted);
    broker.leave(&role, &instance);
    eventually(|| broker.undelivered().len() == 1).await;
    // There was nobody to inform; the next one of the role is.
    let second = join("w2");
    eventually(|| second.ids().len() == 1).await;
    assert_eq!(
        broker.publish(Some(&web("w2").1), Message { id: MessageId::parse("2").unwrap(), ..sent }),
        Verdict::Accepted
    );
    eventually(|| second.ids().len() == 2).await;
    assert!(first.ids().is_empty());
}

#[tokio::test]
async fn a_busy_local_service_gets_everything_in_order() {
    let broker = Broker::start(quick());
    let busy = || Delivery::Busy { retry_after: Duration::from_millis(5) };
    let users = RecordingInbox::answering(vec![busy(), busy(), busy()]);
    broker.join_local(registration("users", "u1", &["m"]), users.clone()).unwrap();
    for id in ["1", "2", "3"] {
        assert_eq!(broker.publish(None, message(id, "m")), Verdict::Accepted);
    }
    eventually(|| users.ids().len() == 3).await;
    assert_eq!(users.ids(), ["1", "2", "3"]);
}

#[tokio::test]
async fn the_queue_of_an_instance_whose_lease_ends_moves_to_another() {
    let config = Config { lease_ms: 150, ..quick() };
    let broker = Broker::start(config);
    let address_away = Address::new("127.0.0.1", 1).unwrap();
    broker.register(registration("users", "u1", &["m"]), address_away).unwrap();
    broker.publish(None, message("1", "m"));
    broker.publish(None, message("2", "m"));
    let users = RecordingInbox::answering(Vec::new());
    broker.join_local(registration("users", "u2", &["m"]), users.clone()).unwrap();
    eventually(|| users.ids().len() == 2).await;
    assert_eq!(users.ids(), ["1", "2"]);
}

#[tokio::test]
async fn closing_delivers_queued_messages_and_reports_the_rest() {
    let broker = Broker::start(quick());
    broker.register(registration("users", "u1", &["m"]), Address::new("127.0.0.1", 1).unwrap()).unwrap();
    broker.publish(None, message("1", "m"));
    assert_eq!(broker.close(Duration::from_millis(50)).await, 1);
    assert_eq!(broker.undelivered()[0].reason, "the broker shut down before it could be delivered");
    assert!(matches!(broker.publish(None, message("2", "m")), Verdict::Busy { .. }));
}

async fn call(server: &Serving, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let second = Duration::from_secs(5);
    let limits = ClientLimits { connect_timeout: second, timeout: second, answer_bytes_max: 1_000_000 };
    let mut request = Request::builder().method(method).uri(format!("http://{}{path}", server.address()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Client::new(limits).call(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await.unwrap()
}

async fn check(server: &Serving, (method, path, body): (&str, &str, &str), status: u16, expected: &str) {
    let answer = call(server, method, path, &[], body).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status.as_u16(), status, "{method} {path} {text}");
    assert!(text.contains(expected), "{method} {path}: {text}");
}

async fn serve(config: Config) -> (Broker, Serving) {
    let broker = Broker::start(config);
    let listening = Listening::bind("test", "127.0.0.1:0").await.unwrap();
    let limits = Limits::default();
    let serving = listening.serve(routes::router(broker.clone(), &limits), &limits);
    (broker, serving)
}

#[tokio::test]
async fn the_http_interface_refuses_invalid_requests() {
    let (_broker, server) = serve(quick()).await;
    check(&server, ("GET", "/config.json", ""), 200, r#"{"services":{},"routes":{}}"#).await;
    check(&server, ("POST", "/services", "5"), 400, "the body must be a JSON array of services").await;
    check(&server, ("POST", "/send/m", "{}"), 400, "missing message id").await;
    check(&server, ("POST", "/send/m", "{"), 400, "invalid-message").await;
    check(&server, ("POST", "/send/m", r#"{"id":"1"}"#), 404, "no service receives the message 'm'").await;
    check(&server, ("PUT", "/services/users", r#"{"port":1}"#), 400, r#"\"instance\" must be"#).await;
    check(&server, ("DELETE", "/services/users?instance=a", ""), 404, "not an instance").await;
    check(&server, ("DELETE", "/services/users", ""), 400, "instance=ID").await;
    check(&server, ("GET", "/nothing", ""), 404, "cannot GET /nothing").await;
    check(&server, ("GET", "/", ""), 200, "the message broker").await;
    check(&server, ("GET", "/send", ""), 405, "does not support GET").await;
    check(&server, ("GET", "/ready", ""), 200, "ready").await;
    check(&server, ("GET", "/metrics", ""), 200, "exorelay_broker_messages_without_receivers_total 1").await;
}

#[tokio::test]
async fn a_batch_is_answered_message_by_message() {
    let (broker, server) = serve(quick()).await;
    let users = RecordingInbox::answering(Vec::new());
    broker.join_local(registration("users", "u1", &["m"]), users.clone()).unwrap();
    let body = r#"[{"id":"1","name":"m"},{"id":"2","name":"zonk"},{"name":"m"}]"#;
    let expected = r#"[{"status":200},{"status":404,"detail":"no service receives this message"},{"status":400,"detail":"missing message id"}]"#;
    check(&server, ("POST", "/send", body), 200, expected).await;
    assert_eq!(users.ids(), ["1"]);
}

#[tokio::test]
async fn a_registration_without_a_host_is_reached_where_it_came_from() {
    let (_broker, server) = serve(quick()).await;
    let users = RecordingService::new(200);
    let serving = users.serve("127.0.0.1:0").await;
    let body = json!({ "instance": "u1", "port": serving.address().port(), "receives": ["m"] }).to_string();
    check(&server, ("PUT", "/services/users", &body), 200, r#""leaseMs":10000"#).await;
    check(&server, ("GET", "/services", ""), 200, &format!("\"address\":\"{}\"", serving.address())).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    call(&server, "POST", "/send/m", &[("traceparent", trace)], r#"{"id":"1"}"#).await;
    users.has(&["1"]).await;
    assert_eq!(users.seen.lock().unwrap()[0].1["traceparent"], trace);
    check(&server, ("DELETE", "/services/users?instance=u1", ""), 204, "").await;
    check(&server, ("GET", "/services", ""), 200, "[]").await;
}

#[tokio::test]
async fn a_broker_in_compat_mode_answers_programs_at_its_root_as_the_original_and_browsers_with_a_page() {
    let (_broker, server) = serve(Config { compat: true, ..quick() }).await;
    check(&server, ("GET", "/", ""), 404, "Cannot GET /\n").await;
    let answer = call(&server, "GET", "/", &[("accept", "text/html")], "").await;
    assert_eq!(answer.status, 200);
    assert!(String::from_utf8_lossy(&answer.body).contains("the message broker"));
}
