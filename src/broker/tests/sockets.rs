//! Services of the WebSocket era, in both dialects, over real sockets.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Packet;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::faulty_sockets::end_of;
use super::resets::check_reset;
use super::{eventually, quick};
use crate::broker::{Broker, Config, Form, Landscape, Pair, RoleRoutes, Translation, routes};
use crate::http::{Limits, Listening, Serving};
use crate::message::{MessageName, Role};

/// A service that speaks the protocol of the originals.
pub(super) struct Peer {
    pub(super) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(super) role: &'static str,
}

impl Peer {
    /// Connects and registers in the dialect of 2017-08 and later.
    pub(super) async fn connect(server: &TestBroker, role: &'static str) -> Self {
        let mut peer = Self::connect_only(server, role).await;
        let before = server.count();
        peer.send(json!({ "name": "exocom.register-service", "sender": role, "id": "r", "activityId": "r" })).await;
        eventually(|| server.count() > before).await;
        peer
    }

    /// Connects and registers in the older dialect.
    pub(super) async fn connect_older(server: &TestBroker, role: &'static str) -> Self {
        let mut peer = Self::connect_only(server, role).await;
        let before = server.count();
        peer.send(json!({ "name": "exocom.register-service", "id": "r", "payload": { "clientName": role } })).await;
        eventually(|| server.count() > before).await;
        peer
    }

    pub(super) async fn connect_only(server: &TestBroker, role: &'static str) -> Self {
        let (socket, _) = connect_async(format!("ws://{}/services", server.serving.address())).await.unwrap();
        Self { socket, role }
    }

    pub(super) async fn send(&mut self, frame: Value) {
        self.socket.send(Packet::text(frame.to_string())).await.unwrap();
    }

    /// Sends a message in the newer dialect.
    pub(super) async fn say(&mut self, name: &str, id: &str, activity: &str) {
        self.send(json!({ "name": name, "sender": self.role, "id": id, "activityId": activity })).await;
    }

    pub(super) async fn next(&mut self) -> Value {
        loop {
            let packet = tokio::time::timeout(super::DEADLINE, self.socket.next()).await;
            match packet.expect("a frame in time").expect("an open socket").unwrap() {
                Packet::Text(text) => return serde_json::from_str(&text).unwrap(),
                Packet::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) async fn gets(&mut self, expected: Value) -> Value {
        let frame = self.next().await;
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&frame[key], value, "{key} of {:.500}", frame.to_string());
        }
        frame
    }
}

pub(super) struct TestBroker {
    pub(super) broker: Broker,
    pub(super) serving: Serving,
}

impl TestBroker {
    pub(super) async fn new(config: Config, roles: Vec<RoleRoutes>) -> Self {
        let broker = Broker::start(config);
        broker.configure(Landscape { form: Form::Translations, roles }).unwrap();
        let listening = Listening::bind("test", "127.0.0.1:0").await.unwrap();
        let serving = listening.serve(routes::router(broker.clone(), &Limits::default()), &Limits::default());
        Self { broker, serving }
    }

    pub(super) fn count(&self) -> usize {
        self.broker.instances().len()
    }
}

pub(super) fn names(list: &[&str]) -> Vec<MessageName> {
    list.iter().map(|name| MessageName::parse(name).unwrap()).collect()
}

pub(super) fn role(role: &str, sends: &[&str], receives: &[&str]) -> RoleRoutes {
    let (sends, receives) = (names(sends), names(receives));
    RoleRoutes { role: Role::parse(role).unwrap(), sends, receives, translation: Translation::None, address: None }
}

pub(super) fn users_and_web() -> Vec<RoleRoutes> {
    vec![role("web", &["create user"], &["user created"]), role("users", &["user created"], &["create user"])]
}

#[tokio::test]
async fn a_request_and_its_reply_keep_the_fields_that_the_originals_lost() {
    let server = TestBroker::new(quick(), users_and_web()).await;
    let (mut web, mut users) = (Peer::connect(&server, "web").await, Peer::connect(&server, "users").await);
    web.send(json!({
        "name": "create user", "sender": "web", "id": "1", "activityId": "a", "payload": { "name": "Will" },
        "auth": { "sessionId": "s1" }, "isSecurity": true,
    }))
    .await;
    let expected = json!({
        "name": "create user", "sender": "web", "id": "1", "activityId": "a", "payload": { "name": "Will" },
        "auth": { "sessionId": "s1" }, "isSecurity": true, "responseTime": 0,
    });
    let frame = users.gets(expected).await;
    assert_eq!(frame.as_object().unwrap().len(), 9);
    users.say("user created", "2", "a").await;
    let frame = web.gets(json!({ "name": "user created", "id": "2", "activityId": "a", "payload": null })).await;
    assert!(frame["responseTime"].as_u64().unwrap() > 0, "{frame}");
    assert!(humantime::parse_rfc3339(frame["timestamp"].as_str().unwrap()).is_ok(), "{frame}");
}

#[tokio::test]
async fn services_of_both_dialects_reply_to_each_other() {
    let server = TestBroker::new(quick(), users_and_web()).await;
    let (mut web, mut users) = (Peer::connect_older(&server, "web").await, Peer::connect(&server, "users").await);
    web.send(json!({ "name": "create user", "sender": "web", "id": "1" })).await;
    let asked = users.gets(json!({ "name": "create user", "id": "1" })).await;
    let activity = asked["activityId"].as_str().unwrap().to_owned();
    users.say("user created", "2", &activity).await;
    let answer = web.gets(json!({ "name": "user created", "id": "2", "responseTo": "1" })).await;
    assert!(answer["timestamp"].is_u64() && answer["responseTime"].is_u64(), "{answer}");

    let server = TestBroker::new(quick(), users_and_web()).await;
    let (mut web, mut users) = (Peer::connect(&server, "web").await, Peer::connect_older(&server, "users").await);
    web.say("create user", "3", "b").await;
    users.gets(json!({ "name": "create user", "id": "3" })).await;
    users.send(json!({ "name": "user created", "sender": "users", "id": "4", "responseTo": "3" })).await;
    web.gets(json!({ "name": "user created", "id": "4", "activityId": "b" })).await;
}

#[tokio::test]
async fn names_are_translated_and_forbidden_messages_are_dropped() {
    let mut roles = users_and_web();
    let pair = |public: &str, internal: &str| Pair {
        public: MessageName::parse(public).unwrap(),
        internal: MessageName::parse(internal).unwrap(),
    };
    roles[1] = RoleRoutes {
        translation: Translation::Pairs(
            [pair("create user", "mongo create"), pair("user created", "mongo created")].into(),
        ),
        ..role("users", &["mongo created"], &["mongo create"])
    };
    let server = TestBroker::new(quick(), roles).await;
    let (mut web, mut users) = (Peer::connect(&server, "web").await, Peer::connect(&server, "users").await);
    web.say("get SSN", "0", "a").await;
    web.say("create user", "1", "a").await;
    users.gets(json!({ "name": "mongo create", "id": "1" })).await;
    users.say("mongo created", "2", "a").await;
    web.gets(json!({ "name": "user created", "id": "2" })).await;
}

#[tokio::test]
async fn an_absent_role_gets_the_messages_it_missed_in_order() {
    let server = TestBroker::new(quick(), users_and_web()).await;
    let mut web = Peer::connect(&server, "web").await;
    for id in ["1", "2", "3"] {
        web.say("create user", id, id).await;
    }
    let mut users = Peer::connect(&server, "users").await;
    for id in ["1", "2", "3"] {
        users.gets(json!({ "id": id })).await;
    }
    drop(users);
    eventually(|| server.count() == 1).await;
    web.say("create user", "4", "4").await;
    Peer::connect(&server, "users").await.gets(json!({ "id": "4" })).await;
}

#[tokio::test]
async fn a_receiver_that_does_not_read_is_dropped_without_affecting_others() {
    let config = Config { heartbeat_ms: 1_000, delivery_timeout_ms: 1_000, ..quick() };
    let mut roles = users_and_web();
    roles.push(role("log", &[], &["create user"]));
    let server = TestBroker::new(config, roles).await;
    let (mut web, mut users) = (Peer::connect(&server, "web").await, Peer::connect(&server, "users").await);
    let deaf = Peer::connect(&server, "log").await;
    let large = "x".repeat(500_000);
    for id in 0..40 {
        let frame = json!({ "name": "create user", "sender": "web", "id": id.to_string(), "payload": large });
        web.send(frame).await;
        users.gets(json!({ "id": id.to_string() })).await;
    }
    // It does not read, so it answers no pings; web and users do.
    eventually(|| server.broker.instances().iter().all(|row| row.role.as_str() != "log")).await;
    drop(deaf);
}

pub(super) fn with_security() -> Vec<RoleRoutes> {
    let mut roles = users_and_web();
    roles[0].receives = names(&["user created", "message unauthorized"]);
    roles.push(role("sessions", &["session data"], &["get session"]));
    let sends = ["message authorized", "message unauthorized", "security request"];
    roles.push(role("security", &sends, &["authorize message", "security response"]));
    roles
}

#[tokio::test]
async fn the_security_service_authorizes_every_message() {
    let server = TestBroker::new(quick(), with_security()).await;
    let (mut web, mut users) = (Peer::connect(&server, "web").await, Peer::connect(&server, "users").await);
    let (mut security, mut sessions) =
        (Peer::connect(&server, "security").await, Peer::connect(&server, "sessions").await);
    web.send(json!({ "name": "create user", "sender": "web", "id": "111", "activityId": "333", "auth": "222" })).await;
    let asked = security.gets(json!({ "name": "authorize message", "isSecurity": false })).await;
    for (key, value) in
        [("name", "create user"), ("sender", "web"), ("id", "111"), ("activityId", "333"), ("auth", "222")]
    {
        assert_eq!(asked["payload"][key], value, "{asked}");
    }
    let activity = asked["activityId"].as_str().unwrap().to_owned();
    let inner = json!({ "name": "get session", "payload": { "id": 5 }, "id": "3", "activityId": "777" });
    security
        .send(json!({ "name": "security request", "sender": "security", "id": "x", "activityId": activity, "payload": inner }))
        .await;
    sessions.gets(json!({ "name": "get session", "id": "3", "activityId": "777", "payload": { "id": 5 } })).await;
    sessions.say("session data", "4", "777").await;
    let answer =
        security.gets(json!({ "name": "security response", "isSecurity": true, "activityId": activity })).await;
    assert_eq!(answer["payload"]["name"], "session data");
    // Repeated and stray verdicts have no effect.
    for (id, verdict_activity) in [("5", activity.as_str()), ("6", activity.as_str()), ("7", "nothing")] {
        security.say("message authorized", id, verdict_activity).await;
    }
    users.gets(json!({ "name": "create user", "id": "111", "activityId": "333", "auth": "222" })).await;

    web.say("create user", "112", "334").await;
    let asked = security.gets(json!({ "name": "authorize message" })).await;
    security.say("message unauthorized", "8", asked["activityId"].as_str().unwrap()).await;
    let refusal = web.gets(json!({ "name": "message unauthorized", "activityId": "334" })).await;
    assert_eq!(refusal["payload"]["id"], "112");
    // Verdicts of other services have no effect.
    web.say("create user", "113", "335").await;
    let asked = security.gets(json!({ "name": "authorize message" })).await;
    let forged = asked["activityId"].clone();
    users.send(json!({ "name": "message authorized", "sender": "security", "id": "9", "activityId": forged })).await;
    security.gets(json!({ "name": "authorize message" })).await;
}

#[tokio::test]
async fn a_protected_role_needs_its_token_to_register_and_to_send() {
    let config = Config { tokens: vec!["web=letmein".into()], ..quick() };
    let server = TestBroker::new(config, users_and_web()).await;
    let mut users = Peer::connect(&server, "users").await;
    let mut forger = Peer::connect_only(&server, "web").await;
    forger.say("create user", "1", "1").await;
    forger.send(json!({ "name": "exocom.register-service", "sender": "web", "id": "r", "activityId": "r" })).await;
    check_reset(&mut forger, "no token").await;
    let mut web = Peer::connect_only(&server, "web").await;
    let payload = json!({ "clientName": "web", "token": "letmein" });
    web.send(
        json!({ "name": "exocom.register-service", "sender": "web", "id": "r", "activityId": "r", "payload": payload }),
    )
    .await;
    web.say("create user", "2", "2").await;
    users.gets(json!({ "id": "2" })).await;
}

#[tokio::test]
async fn frames_up_to_the_limit_are_accepted_and_longer_ones_end_the_connection() {
    let server = TestBroker::new(Config { frame_bytes_max: 6_000_000, ..quick() }, users_and_web()).await;
    let (mut web, mut users) = (Peer::connect(&server, "web").await, Peer::connect(&server, "users").await);
    let frame = |id: &str, bytes: usize| json!({ "name": "create user", "sender": "web", "id": id, "activityId": id, "payload": "x".repeat(bytes) });
    web.send(frame("1", 5_000_000)).await;
    users.gets(json!({ "id": "1" })).await;
    // The connection may be closed while this is being written.
    drop(web.socket.send(Packet::text(frame("2", 7_000_000).to_string())).await);
    assert_eq!(end_of(&mut web).await, 1006);
}
