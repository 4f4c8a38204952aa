//! Contract suite of [`Bus`]. Every implementation runs all of it against the same broker.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use tokio::time::Instant;

use super::{Bus, Config, EmbeddedBus, Endpoint, Error, HttpBus, Membership, WebSocketBus};
use crate::broker::{self, Broker};
use crate::http::{Limits, Listening, Serving};
use crate::message::{
    Completion, Delivery, Inbox, InstanceId, Message, MessageId, MessageName, Receipt, Registration, Role, Verdict,
};

/// Bus under test.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Embedded,
    Http,
    WebSocket,
}

/// Records deliveries; busy while `full`.
#[derive(Clone, Default)]
struct Recorder {
    messages: Arc<Mutex<Vec<Message>>>,
    full: Arc<Mutex<bool>>,
    /// While set, messages are answered later by [`Recorder::confirm`], or never.
    slow: Arc<Mutex<bool>>,
    unanswered: Arc<Mutex<VecDeque<Unanswered>>>,
}

/// A message that the recorder has not answered yet.
type Unanswered = (Message, Completion<Delivery>);

const BUSY: Delivery = Delivery::Busy { retry_after: Duration::from_millis(10) };

impl Inbox for Recorder {
    fn deliver(&self, message: Message) -> Receipt<Delivery> {
        if *self.full.lock().unwrap() {
            return Receipt::Now(BUSY);
        }
        if *self.slow.lock().unwrap() {
            let (completion, receipt) = Receipt::later(BUSY);
            self.unanswered.lock().unwrap().push_back((message, completion));
            return receipt;
        }
        self.messages.lock().unwrap().push(message);
        Receipt::Now(Delivery::Accepted)
    }

    fn report_error(&self, detail: &str) {
        panic!("{detail}");
    }
}

impl Recorder {
    async fn has(&self, ids: &[&str]) {
        let ids_of = || self.messages.lock().unwrap().iter().map(|message| message.id.to_string()).collect();
        wait_for(ids_of, ids).await;
    }

    /// Waits until exactly these messages have been delivered and not answered.
    async fn has_unanswered(&self, ids: &[&str]) {
        let ids_of = || self.unanswered.lock().unwrap().iter().map(|(message, _)| message.id.to_string()).collect();
        wait_for(ids_of, ids).await;
    }

    /// Accepts the unanswered messages.
    fn confirm(&self) {
        for (message, completion) in self.unanswered.lock().unwrap().drain(..) {
            self.messages.lock().unwrap().push(message);
            completion.complete(Delivery::Accepted);
        }
    }
}

async fn wait_for(ids_of: impl Fn() -> Vec<String>, expected: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let got = ids_of();
        if got == expected {
            return;
        }
        assert!(Instant::now() < deadline, "got {got:?}, expected {expected:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn take(State(recorder): State<Recorder>, body: Bytes) -> Bytes {
    let deliver = |message: Result<Message, _>| recorder.deliver(message.unwrap());
    let receipts: Vec<_> = Message::list_from_json(&body).unwrap().into_iter().map(deliver).collect();
    let mut deliveries = Vec::new();
    for receipt in receipts {
        deliveries.push(receipt.wait().await);
    }
    Delivery::list_to_json(&deliveries)
}

/// A broker, the bus under test, and the member that joins over it.
struct Bench {
    broker: Broker,
    bus: Box<dyn Bus>,
    membership: Membership,
    own: Recorder,
    _serving: Vec<Serving>,
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

impl Bench {
    async fn new(kind: Kind) -> Self {
        let config = broker::Config { settle_ms: 0, queue_messages_max: 2, ..Default::default() };
        let broker = Broker::start(config);
        let (own, limits) = (Recorder::default(), Limits::default());
        let instance = InstanceId::parse("web-1").unwrap();
        let (mut endpoint, mut serving) = (None, Vec::new());
        let bus: Box<dyn Bus> = match kind {
            Kind::Embedded => Box::new(EmbeddedBus::new(broker.clone(), instance)),
            Kind::Http => {
                let listening = Listening::bind("test", "127.0.0.1:0").await.unwrap();
                let config = Config { url: format!("http://{}", listening.address()), ..Config::default() };
                serving.push(listening.serve(broker::routes::router(broker.clone(), &limits), &limits));
                let listening = Listening::bind("test", "127.0.0.1:0").await.unwrap();
                endpoint = Some(Endpoint { host: None, port: listening.address().port(), token: None });
                let router = Router::new().route("/run", post(take)).with_state(own.clone());
                serving.push(listening.serve(router, &limits));
                Box::new(HttpBus::new(&config, &instance))
            }
            Kind::WebSocket => {
                let listening = Listening::bind("test", "127.0.0.1:0").await.unwrap();
                let config = Config { url: format!("ws://{}", listening.address()), ..Config::default() };
                serving.push(listening.serve(broker::routes::router(broker.clone(), &limits), &limits));
                Box::new(WebSocketBus::new(&config).unwrap())
            }
        };
        let registration = registration("web", "web-1", &["created"]);
        let membership = Membership { registration, endpoint, inbox: Arc::new(own.clone()) };
        let bench = Self { broker, bus, membership, own, _serving: serving };
        assert!(bench.bus.join(&bench.membership).await.unwrap() > Duration::ZERO);
        bench
    }

    /// Joins another member.
    fn other(&self, role: &str, receives: &[&str]) -> Recorder {
        let recorder = Recorder::default();
        self.broker.join_local(registration(role, role, receives), Arc::new(recorder.clone())).unwrap();
        recorder
    }

    /// Publishes a message that the relay under test receives.
    fn send_to_own(&self, id: &str) {
        assert_eq!(self.broker.publish(None, message(id, "created")), Verdict::Accepted);
    }

    /// Publishes as the relay does: at once if the bus supports that, otherwise in batches until all have verdicts.
    async fn publish(&self, messages: &[Message]) -> Vec<Verdict> {
        if let Some(first) = self.bus.publish_now(&messages[0]) {
            let rest = messages[1..].iter().map(|message| self.bus.publish_now(message).unwrap());
            return [first].into_iter().chain(rest).collect();
        }
        let mut verdicts = Vec::new();
        while verdicts.len() < messages.len() {
            let judged = self.bus.publish(&messages[verdicts.len()..]).await.unwrap();
            assert!(!judged.is_empty());
            verdicts.extend(judged);
        }
        verdicts
    }
}

fn message(id: &str, name: &str) -> Message {
    let message = Message::new(MessageId::parse(id).unwrap(), MessageName::parse(name).unwrap());
    Message { sender: Some(Role::parse("web").unwrap()), ..message }
}

async fn a_message_reaches_all_its_receivers(kind: Kind) {
    let bench = Bench::new(kind).await;
    let (users, log) = (bench.other("users", &["create"]), bench.other("log", &["create"]));
    assert_eq!(bench.publish(&[message("1", "create")]).await, [Verdict::Accepted]);
    users.has(&["1"]).await;
    log.has(&["1"]).await;
    bench.own.has(&[]).await;
}

async fn messages_keep_their_order(kind: Kind) {
    let bench = Bench::new(kind).await;
    let users = bench.other("users", &["create"]);
    let ids: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let messages: Vec<_> = ids.iter().map(|id| message(id, "create")).collect();
    assert_eq!(bench.publish(&messages).await, vec![Verdict::Accepted; 50]);
    users.has(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

async fn each_message_of_a_batch_gets_its_own_verdict(kind: Kind) {
    let bench = Bench::new(kind).await;
    let users = bench.other("users", &["create"]);
    let verdicts = bench.publish(&[message("1", "create"), message("2", "zonk"), message("3", "create")]).await;
    assert_eq!(verdicts, [Verdict::Accepted, Verdict::NoReceivers, Verdict::Accepted]);
    users.has(&["1", "3"]).await;
}

async fn a_full_receiver_makes_the_bus_busy_and_loses_nothing(kind: Kind) {
    let bench = Bench::new(kind).await;
    let users = bench.other("users", &["create"]);
    *users.full.lock().unwrap() = true;
    let mut ids = Vec::new();
    // The queue holds two messages, and more are in delivery.
    let busy = loop {
        let id = ids.len().to_string();
        match bench.publish(&[message(&id, "create")]).await.remove(0) {
            Verdict::Accepted => ids.push(id),
            verdict => break verdict,
        }
        assert!(ids.len() < 10, "the queue has no limit");
    };
    assert!(matches!(busy, Verdict::Busy { .. }), "{busy:?}");
    *users.full.lock().unwrap() = false;
    users.has(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

async fn a_full_receiver_holds_up_only_messages_of_its_own_name(kind: Kind) {
    let bench = Bench::new(kind).await;
    let (users, log) = (bench.other("users", &["create"]), bench.other("log", &["note"]));
    *users.full.lock().unwrap() = true;
    let names = ["create"; 9].into_iter().chain(["note", "create", "note"]);
    let messages: Vec<_> = names.enumerate().map(|(id, name)| message(&id.to_string(), name)).collect();
    let verdicts = bench.bus.publish(&messages).await.unwrap();
    let is_busy = |index: usize| matches!(verdicts[index], Verdict::Busy { .. });
    assert_eq!(verdicts.len(), messages.len());
    assert!(is_busy(8) && is_busy(10), "{verdicts:?}");
    assert_eq!([&verdicts[9], &verdicts[11]], [&Verdict::Accepted; 2]);
    log.has(&["9", "11"]).await;
}

async fn refused_messages_are_repeated_in_order(kind: Kind) {
    let bench = Bench::new(kind).await;
    let users = bench.other("users", &["create"]);
    *users.full.lock().unwrap() = true;
    let ids: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let messages: Vec<_> = ids.iter().map(|id| message(id, "create")).collect();
    let mut rest = &messages[..];
    while !rest.is_empty() {
        let verdicts = bench.bus.publish(rest).await.unwrap();
        let taken = verdicts.iter().take_while(|verdict| **verdict == Verdict::Accepted).count();
        rest = &rest[taken..];
        if taken < verdicts.len() {
            *users.full.lock().unwrap() = false;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    users.has(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

async fn a_message_that_is_answered_later_is_not_overtaken(kind: Kind) {
    let bench = Bench::new(kind).await;
    *bench.own.slow.lock().unwrap() = true;
    bench.send_to_own("1");
    bench.own.has_unanswered(&["1"]).await;
    *bench.own.slow.lock().unwrap() = false;
    bench.send_to_own("2");
    tokio::time::sleep(Duration::from_millis(20)).await;
    bench.own.has(&[]).await;
    bench.own.confirm();
    bench.own.has(&["1", "2"]).await;
}

async fn a_message_whose_answer_is_dropped_is_repeated_in_order(kind: Kind) {
    let bench = Bench::new(kind).await;
    *bench.own.slow.lock().unwrap() = true;
    bench.send_to_own("1");
    bench.own.has_unanswered(&["1"]).await;
    bench.send_to_own("2");
    *bench.own.slow.lock().unwrap() = false;
    bench.own.unanswered.lock().unwrap().clear();
    bench.own.has(&["1", "2"]).await;
}

async fn a_reply_reaches_the_instance_that_asked(kind: Kind) {
    let bench = Bench::new(kind).await;
    bench.other("users", &["create"]);
    assert_eq!(bench.publish(&[message("1", "create")]).await, [Verdict::Accepted]);
    let mut reply = message("2", "a name that nobody lists");
    reply.sender = Role::parse("users").ok();
    reply.response_to = MessageId::parse("1").ok();
    assert_eq!(bench.broker.publish(None, reply), Verdict::Accepted);
    bench.own.has(&["2"]).await;
}

async fn a_member_that_left_receives_nothing_and_may_leave_twice_and_rejoin(kind: Kind) {
    let bench = Bench::new(kind).await;
    assert_eq!(bench.broker.publish(None, message("1", "created")), Verdict::Accepted);
    bench.own.has(&["1"]).await;
    bench.bus.leave(&bench.membership).await.unwrap();
    bench.bus.leave(&bench.membership).await.unwrap();
    assert!(bench.broker.instances().is_empty());
    bench.bus.join(&bench.membership).await.unwrap();
    assert_eq!(bench.broker.publish(None, message("2", "created")), Verdict::Accepted);
    bench.own.has(&["1", "2"]).await;
}

async fn joining_again_updates_the_subscriptions(kind: Kind) {
    let mut bench = Bench::new(kind).await;
    bench.membership.registration.receives = vec![MessageName::parse("deleted").unwrap()];
    bench.bus.join(&bench.membership).await.unwrap();
    assert_eq!(bench.broker.publish(None, message("1", "deleted")), Verdict::Accepted);
    bench.own.has(&["1"]).await;
    assert_eq!(bench.broker.instances().len(), 1);
}

/// Runs every clause for one kind of bus.
macro_rules! contract {
    ($module:ident, $kind:expr, [$($clause:ident),* $(,)?]) => {
        mod $module {
            use super::*;
            $(#[tokio::test] async fn $clause() { super::$clause($kind).await; })*
        }
    };
}

macro_rules! for_every_bus {
    ($clauses:tt) => {
        contract!(embedded, Kind::Embedded, $clauses);
        contract!(http, Kind::Http, $clauses);
        contract!(websocket, Kind::WebSocket, $clauses);
    };
}

for_every_bus!([
    a_message_reaches_all_its_receivers,
    messages_keep_their_order,
    each_message_of_a_batch_gets_its_own_verdict,
    a_full_receiver_makes_the_bus_busy_and_loses_nothing,
    a_full_receiver_holds_up_only_messages_of_its_own_name,
    refused_messages_are_repeated_in_order,
    a_message_that_is_answered_later_is_not_overtaken,
    a_message_whose_answer_is_dropped_is_repeated_in_order,
    a_reply_reaches_the_instance_that_asked,
    a_member_that_left_receives_nothing_and_may_leave_twice_and_rejoin,
    joining_again_updates_the_subscriptions,
]);

#[tokio::test]
async fn an_unreachable_broker_is_named_in_the_error() {
    let config = Config { url: "http://127.0.0.1:1".into(), ..Config::default() };
    let bus = HttpBus::new(&config, &InstanceId::parse("web-1").unwrap());
    let error = bus.publish(&[message("1", "create")]).await.unwrap_err();
    assert!(matches!(error, Error::Away(_)), "{error}");
    assert!(crate::chain::chain(&error).contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn an_unknown_relay_is_refused_before_anything_is_accepted() {
    let bench = Bench::new(Kind::Http).await;
    let users = bench.other("users", &["create"]);
    bench.broker.leave(&bench.membership.registration.role, &bench.membership.registration.instance);
    let error = bench.bus.publish(&[message("1", "create")]).await.unwrap_err();
    assert!(matches!(error, Error::Unregistered { .. }), "{error}");
    users.has(&[]).await;
}
