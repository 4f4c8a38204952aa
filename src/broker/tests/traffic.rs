//! The traffic of a broker, followed over real sockets.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::*;

/// A client of `GET /traffic`.
struct Follower(BufReader<TcpStream>);

impl Follower {
    /// Follows from now on.
    async fn start(server: &Serving, query: &str) -> Self {
        Self::start_with(server, query, "").await
    }

    /// Follows from the event `id` on.
    async fn start_after(server: &Serving, query: &str, id: &str) -> Self {
        Self::start_with(server, query, &format!("last-event-id: {id}\r\n")).await
    }

    async fn start_with(server: &Serving, query: &str, headers: &str) -> Self {
        let mut socket = TcpStream::connect(server.address()).await.unwrap();
        let request = format!("GET /traffic{query} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut follower = Self(BufReader::new(socket));
        assert_eq!(follower.line().await.as_deref(), Some("HTTP/1.1 200 OK"));
        while follower.line().await.is_some_and(|line| !line.is_empty()) {}
        follower
    }

    /// Returns the next line; `None` when the connection has ended.
    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = tokio::time::timeout(DEADLINE, self.0.read_line(&mut line)).await;
        match read.expect("a line in time") {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
        }
    }

    /// Returns the next event; `None` when the stream has ended. Skips the chunk sizes of HTTP.
    async fn next(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        loop {
            let line = self.line().await?;
            if line == "0" {
                return None;
            }
            if let Some(event) = line.strip_prefix("event: ") {
                name = event.to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some((name, serde_json::from_str(data).unwrap()));
            }
        }
    }

    /// Returns the next id.
    async fn id(&mut self) -> String {
        loop {
            if let Some(id) = self.line().await.expect("an id").strip_prefix("id: ") {
                return id.to_owned();
            }
        }
    }

    async fn expect_event(&mut self, event: &str, expected: Value) {
        let (name, data) = self.next().await.expect("an event");
        assert_eq!(name, event, "{data}");
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&data[key], value, "{key} of {data}");
        }
    }
}

/// A broker with an instance of users that receives `create`, and one of web that receives `created`.
async fn users_and_web(config: Config) -> (Broker, Serving) {
    let (broker, server) = serve(config).await;
    broker.join_local(registration("users", "u1", &["create"]), RecordingInbox::answering(Vec::new())).unwrap();
    broker.join_local(registration("web", "w1", &["created"]), RecordingInbox::answering(Vec::new())).unwrap();
    (broker, server)
}

/// A message of `sender` in the activity `a`.
fn message_of(sender: &str, id: &str, name: &str, response_to: Option<&str>) -> Message {
    let sender = Some(Role::parse(sender).unwrap());
    let response_to = response_to.map(|id| MessageId::parse(id).unwrap());
    let activity_id = Some(MessageId::parse("a").unwrap().into());
    Message { sender, response_to, activity_id, ..message(id, name) }
}

#[tokio::test]
async fn a_follower_gets_routed_stopped_and_undelivered_messages() {
    let (broker, server) = users_and_web(Config { delivery_window_ms: 150, ..quick() }).await;
    broker.register(registration("log", "l1", &["create"]), Address::new("127.0.0.1", 1).unwrap()).unwrap();
    let mut follower = Follower::start(&server, "").await;
    let text = crate::message::Payload::parse(Bytes::from_static(b"\"secret\"")).unwrap();
    broker.publish(None, Message { payload: Some(text), ..message_of("web", "1", "create", None) });
    broker.publish(None, message_of("web", "2", "zonk", None));
    let mut receivers = vec![
        json!({ "role": "users", "instance": "u1", "name": "create" }),
        json!({ "role": "log", "instance": "l1", "name": "create" }),
    ];
    let (name, data) = follower.next().await.unwrap();
    let mut seen = data["receivers"].as_array().unwrap().clone();
    let order = |receiver: &Value| receiver.to_string();
    seen.sort_by_key(order);
    receivers.sort_by_key(order);
    assert_eq!((name.as_str(), seen), ("message", receivers));
    let expected = json!({
        "id": "1", "name": "create", "publicName": "create", "sender": "web", "activityId": "a", "payloadBytes": 8,
        "fate": "routed", "payload": null, "responseTo": null,
    });
    assert!(expected.as_object().unwrap().iter().all(|(key, value)| data[key] == *value), "{data}");
    follower.expect_event("message", json!({ "id": "2", "fate": "no-receivers", "receivers": [] })).await;
    follower
        .expect_event("undelivered", json!({ "id": "1", "receiver": "log", "sender": "web", "activityId": "a" }))
        .await;
}

#[tokio::test]
async fn a_follower_gets_only_what_matches_its_query() {
    let (broker, server) = users_and_web(quick()).await;
    for (query, ids) in [
        ("?message=created", &["2", "5"][..]),
        ("?role=users", &["1", "2"]),
        ("?activity=b", &["5"]),
        ("?role=web&message=create", &["1"]),
        ("?message=say%20%C3%B6", &["4"]),
    ] {
        let mut follower = Follower::start(&server, query).await;
        broker.publish(None, message_of("web", "1", "create", None));
        broker.publish(None, message_of("users", "2", "created", Some("1")));
        broker.publish(None, message_of("stranger", "4", "say ö", None));
        let activity_id = Some(MessageId::parse("b").unwrap().into());
        broker.publish(None, Message { activity_id, ..message_of("stranger", "5", "created", None) });
        for id in ids {
            follower.expect_event("message", json!({ "id": id })).await;
        }
    }
}

#[tokio::test]
async fn payloads_are_sent_on_request_if_the_broker_may_show_them() {
    let (_, server) = users_and_web(quick()).await;
    check(&server, ("GET", "/traffic?payloads=true", ""), 403, "broker.log_payloads").await;
    let (broker, server) = users_and_web(Config { log_payloads: true, ..quick() }).await;
    let (mut asking, mut other) =
        (Follower::start(&server, "?payloads=true").await, Follower::start(&server, "").await);
    let text = crate::message::Payload::parse(Bytes::from_static(b"{\r\n \"a\": 1.0\n}")).unwrap();
    broker.publish(None, Message { payload: Some(text), ..message_of("web", "1", "create", None) });
    asking.expect_event("message", json!({ "payload": { "a": 1.0 }, "payloadBytes": 14 })).await;
    other.expect_event("message", json!({ "payload": null, "payloadBytes": 14 })).await;
}

#[tokio::test]
async fn an_invalid_query_is_refused() {
    let (_broker, server) = users_and_web(quick()).await;
    check(&server, ("GET", "/traffic?massage=create", ""), 400, "unknown field `massage`").await;
    check(&server, ("GET", "/traffic?role=", ""), 400, "the role is empty").await;
    check(&server, ("POST", "/traffic", ""), 405, "does not support POST").await;
}

#[tokio::test]
async fn a_follower_that_does_not_read_gets_the_number_of_missed_events() {
    // Long names, so that a few thousand messages exceed the socket buffers.
    let (name, published) = ("x".repeat(MessageName::SENT_BYTES_MAX), 8_000_u64);
    let (broker, server) = serve(quick()).await;
    broker.join_local(registration("users", "u1", &[&name]), RecordingInbox::answering(Vec::new())).unwrap();
    let mut follower = Follower::start(&server, "").await;
    for id in 0..published {
        broker.publish(None, message_of("web", &id.to_string(), &name, None));
        if id % 64 == 0 {
            // Lets the follower's task run: events in the socket buffers count as read.
            tokio::task::yield_now().await;
        }
    }
    let (mut seen, mut missed) = (0, 0);
    while seen + missed < published {
        let (name, data) = follower.next().await.unwrap();
        match name.as_str() {
            "missed" => missed += data["missed"].as_u64().unwrap(),
            _ => {
                assert_eq!(data["id"], (seen + missed).to_string());
                seen += 1;
            }
        }
    }
    assert!(missed > 0);
    broker.publish(None, message_of("web", "last", &name, None));
    follower.expect_event("message", json!({ "id": "last" })).await;
}

#[tokio::test]
async fn followers_are_limited_and_one_that_leaves_makes_way_for_another() {
    let (_broker, server) = users_and_web(quick()).await;
    let mut followers = Vec::new();
    for _ in 0..crate::broker::traffic::FOLLOWERS_MAX {
        followers.push(Follower::start(&server, "").await);
    }
    check(&server, ("GET", "/traffic", ""), 503, "32 clients already follow the traffic").await;
    drop(followers.pop());
    let deadline = Instant::now() + DEADLINE;
    loop {
        let mut socket = TcpStream::connect(server.address()).await.unwrap();
        socket.write_all(b"GET /traffic HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut line = String::new();
        BufReader::new(&mut socket).read_line(&mut line).await.unwrap();
        if line.contains("200") {
            break;
        }
        assert!(Instant::now() < deadline, "{line}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn following_ends_after_the_messages_given_up_at_shutdown() {
    let (broker, server) = serve(quick()).await;
    broker.register(registration("users", "u1", &["create"]), Address::new("127.0.0.1", 1).unwrap()).unwrap();
    let mut follower = Follower::start(&server, "").await;
    broker.publish(None, message_of("web", "1", "create", None));
    assert_eq!(broker.close(Duration::from_millis(20)).await, 1);
    follower.expect_event("message", json!({ "id": "1" })).await;
    let reason = "the broker shut down before it could be delivered";
    follower.expect_event("undelivered", json!({ "id": "1", "reason": reason })).await;
    assert_eq!(follower.next().await, None);
    check(&server, ("GET", "/traffic", ""), 503, "draining").await;
    assert!(server.drain(DEADLINE).await);
}

#[tokio::test]
async fn an_activity_lists_its_messages_in_order_with_their_parents() {
    let (broker, server) = users_and_web(quick()).await;
    broker.publish(None, message_of("web", "1", "create", None));
    broker.publish(None, message_of("users", "2", "created", Some("1")));
    broker.publish(None, message_of("web", "3", "zonk", None));
    let answer = call(&server, "GET", "/activities/a", &[], "").await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let rows = body["messages"].as_array().unwrap();
    let parents: Vec<_> = rows.iter().map(|row| (row["id"].as_str().unwrap(), row["parent"].as_str())).collect();
    assert_eq!(parents, [("1", None), ("2", Some("1")), ("3", Some("2"))]);
    assert_eq!(
        (&body["activityId"], &rows[0]["afterMs"], &rows[2]["fate"]),
        (&json!("a"), &json!(0.0), &json!("no-receivers"))
    );
    assert!(rows[1]["responseTimeMs"].as_f64().unwrap() <= rows[2]["afterMs"].as_f64().unwrap());
    assert_eq!(rows[0]["responseTimeMs"], Value::Null);
}

#[tokio::test]
async fn an_unknown_activity_is_not_found() {
    let (_broker, server) = users_and_web(quick()).await;
    check(&server, ("GET", "/activities/zonk", ""), 404, "only the last 4096 messages are recorded").await;
    check(&server, ("GET", "/activities/a%0Ab", ""), 400, "has a control character").await;
}

#[tokio::test]
async fn a_broker_without_traces_says_so_and_can_be_followed() {
    let (broker, server) = users_and_web(Config { traffic_messages_max: 0, ..quick() }).await;
    let mut follower = Follower::start(&server, "").await;
    broker.publish(None, message_of("web", "1", "create", None));
    follower.expect_event("message", json!({ "id": "1" })).await;
    check(&server, ("GET", "/activities/a", ""), 404, "broker.traffic_messages_max is 0").await;
}

#[tokio::test]
async fn the_oldest_trace_is_dropped() {
    let (broker, _face) = users_and_web(Config { traffic_messages_max: 2, ..quick() }).await;
    for id in ["1", "2", "3"] {
        broker.publish(None, message_of("web", id, "create", None));
    }
    let activity = broker.activity(&MessageId::parse("a").unwrap().into()).unwrap();
    let ids: Vec<_> = activity.messages.iter().map(|row| row.message.id.as_str()).collect();
    assert_eq!(ids, ["2", "3"]);
}

#[tokio::test]
async fn a_message_sent_for_a_role_without_its_token_is_recorded() {
    let (broker, _face) = serve(Config { tokens: vec!["web=t".into()], ..quick() }).await;
    assert!(matches!(broker.publish(None, message_of("web", "1", "create", None)), Verdict::Forbidden { .. }));
    let activity = broker.activity(&MessageId::parse("a").unwrap().into()).unwrap();
    let row = &activity.messages[0].message;
    assert_eq!(row.fate, crate::broker::Fate::Forbidden);
    assert!(row.detail.as_ref().unwrap().contains("web"), "{row:?}");
}

#[tokio::test]
async fn a_follower_that_comes_again_goes_on_after_its_last_event() {
    let (broker, server) = users_and_web(Config { traffic_messages_max: 3, ..quick() }).await;
    let mut follower = Follower::start(&server, "").await;
    let begin = follower.id().await;
    let publish = |id: &str| broker.publish(None, message_of("web", id, "create", None));
    publish("1");
    follower.expect_event("message", json!({ "id": "1" })).await;
    let first = follower.id().await;
    drop(follower);
    publish("2");
    publish("3");
    let mut follower = Follower::start_after(&server, "", &first).await;
    follower.expect_event("message", json!({ "id": "2" })).await;
    follower.expect_event("message", json!({ "id": "3" })).await;
    publish("4");
    follower.expect_event("message", json!({ "id": "4" })).await;
    // Before any event, too; only the last three are recorded.
    let mut follower = Follower::start_after(&server, "", &begin).await;
    follower.expect_event("missed", json!({ "missed": 1 })).await;
    follower.expect_event("message", json!({ "id": "2" })).await;
    // After a restart of the broker, all that it has is new.
    let mut follower = Follower::start_after(&server, "?message=create", "7-99").await;
    follower.expect_event("missed", json!({ "missed": 1 })).await;
    follower.expect_event("message", json!({ "id": "2" })).await;
}
