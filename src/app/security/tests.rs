//! The security service with a mock broker.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Decision, Error, Requester, adapter};
use crate::message::Message;
use crate::relay::{self, Config, HandlerError, Relay};
use crate::testing::MockBroker;

const SECOND: Duration = Duration::from_secs(10);

/// Starts a mock broker and a security service that calls `decide`.
async fn guarded<F, Fut>(decide: F) -> (MockBroker, Relay)
where
    F: Fn(Message, Requester) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Decision> + Send + 'static,
{
    let broker = MockBroker::start().await.unwrap();
    let config = Config { request_timeout_ms: 2_000, ..Config::default() };
    let relay = adapter(decide).environment([("", ""); 0]).config(config).bus(broker.url()).connect().await.unwrap();
    broker.wait_until_known("security").await.unwrap();
    (broker, relay)
}

/// A message to authorize.
fn create_user(auth: &str) -> Value {
    json!({ "name": "create user", "sender": "web", "id": "111", "activityId": "333", "auth": auth, "payload": {} })
}

/// Has a message authorized and checks the reply byte by byte.
async fn check(broker: &MockBroker, request: Value, verdict: &str) {
    broker.reset();
    let request = broker.send("security", "authorize message").payload(request).await.unwrap();
    let deadline = tokio::time::Instant::now() + SECOND;
    let reply = loop {
        let verdicts = ["message authorized", "message unauthorized"];
        let reply = broker.received().into_iter().find(|message| verdicts.contains(&message.name.as_str()));
        if let Some(reply) = reply {
            break reply;
        }
        assert!(tokio::time::Instant::now() < deadline, "no verdict");
        tokio::task::yield_now().await;
    };
    assert_eq!(reply.name.as_str(), verdict);
    assert_eq!(reply.activity_id, request.activity_id);
    assert_eq!(reply.sender.unwrap().as_str(), "security");
    assert_eq!(reply.payload.unwrap().as_bytes(), "{}");
}

fn is_abc(message: &Message) -> bool {
    message.auth.as_ref().is_some_and(|auth| auth.as_bytes() == "\"abc\"")
}

fn is_admin(session: Result<Message, Error>) -> bool {
    let payload = session.ok().and_then(|session| session.payload::<Value>().ok());
    payload.is_some_and(|payload| payload["isAdmin"] == "true")
}

/// The inner message of a `security response`.
fn answer(activity: &str, payload: Value) -> Value {
    json!({ "name": "user session", "sender": "sessions", "id": "4", "activityId": activity, "payload": payload })
}

#[tokio::test]
async fn the_reply_is_the_decision() {
    let (broker, _relay) = guarded(|message: Message, _| async move { is_abc(&message) }).await;
    check(&broker, create_user("abc"), "message authorized").await;
    check(&broker, create_user("def"), "message unauthorized").await;
}

#[tokio::test]
async fn a_decision_can_ask_other_services() {
    let (broker, _relay) = guarded(|message: Message, ask: Requester| async move {
        let auth: String = message.auth.ok_or("no auth")?.to()?;
        let session = ask.request("retrieve user session", auth, SECOND).await?;
        Ok(session.payload::<Value>()?["isAdmin"] == "true")
    })
    .await;
    for (is_admin, verdict) in [("true", "message authorized"), ("false", "message unauthorized")] {
        // Without an activity; tests below cover inner messages that have one.
        let session = json!({ "name": "user session", "id": "4", "payload": { "isAdmin": is_admin } });
        broker.reply_to("security request", "security response", session).unwrap();
        check(&broker, create_user("abc"), verdict).await;
        let asked: Message = broker.wait_until_received("security request").await.unwrap();
        let inner: Value = asked.payload().unwrap();
        assert_eq!((&inner["name"], &inner["payload"]), (&json!("retrieve user session"), &json!("abc")));
        assert!(inner["id"].is_string() && inner["activityId"].is_string(), "{inner}");
        assert_ne!(inner["activityId"], asked.activity_id.unwrap().as_str());
    }
    let missing = json!({ "name": "user session not found", "id": "4" });
    broker.reply_to("security request", "security response", missing).unwrap();
    check(&broker, create_user("abc"), "message unauthorized").await;
}

#[tokio::test]
async fn each_of_several_requests_gets_its_reply() {
    let (broker, _relay) = guarded(|_, ask: Requester| async move {
        for _ in 0..5 {
            ask.request("retrieve user session", (), SECOND).await?;
        }
        let (one, other) = tokio::join!(ask.request("a", (), SECOND), ask.request("b", (), SECOND));
        Ok(one.is_ok() && other.is_ok())
    })
    .await;
    broker.reply_to("security request", "security response", json!({ "name": "yes", "id": "4" })).unwrap();
    check(&broker, create_user("abc"), "message authorized").await;
    assert_eq!(broker.wait_until_received_times("security request", 7).await.unwrap().len(), 7);
}

#[tokio::test]
async fn a_late_reply_does_not_answer_the_next_request() {
    let (broker, _relay) = guarded(|_, ask: Requester| async move {
        let late = ask.request("first", (), Duration::from_millis(20)).await;
        assert!(matches!(late, Err(Error::Relay(relay::Error::NoReply { .. }))));
        is_admin(ask.request("second", (), SECOND).await)
    })
    .await;
    let authorizing = broker.send("security", "authorize message").payload(create_user("abc")).await.unwrap();
    let asked = broker.wait_until_received_times("security request", 2).await.unwrap();
    let activities: Vec<Value> =
        asked.iter().map(|asked| asked.payload::<Value>().unwrap()["activityId"].clone()).collect();
    for (activity, admin) in [(&activities[0], "true"), (&activities[1], "false")] {
        let response = answer(activity.as_str().unwrap(), json!({ "isAdmin": admin }));
        let sending = broker.send("security", "security response").payload(response).security();
        let sending = sending.activity(authorizing.activity_id.as_ref().unwrap().as_str());
        sending.in_reply_to(asked[1].id.as_str()).await.unwrap();
    }
    broker.wait_until_received("message unauthorized").await.unwrap();
}

#[tokio::test]
async fn a_reply_is_matched_by_its_activity_alone() {
    let (broker, _relay) = guarded(|_, ask: Requester| async move {
        let first = ask.request("first", (), SECOND).await?;
        let second = ask.request("second", (), SECOND).await;
        Ok(first.name.as_str() == "user session" && is_admin(second))
    })
    .await;
    let authorizing = broker.send("security", "authorize message").payload(create_user("abc")).await.unwrap();
    let activity_id = authorizing.activity_id.unwrap();
    for count in 1..=2 {
        let asked = broker.wait_until_received_times("security request", count).await.unwrap().remove(count - 1);
        let activity = asked.payload::<Value>().unwrap()["activityId"].as_str().unwrap().to_owned();
        let response = answer(&activity, json!({ "isAdmin": "true" }));
        let sending = broker.send("security", "security response").payload(response);
        sending.activity(activity_id.as_str()).await.unwrap();
        assert_eq!(broker.last_response_code(), Some(200));
    }
    broker.wait_until_received("message authorized").await.unwrap();
}

#[tokio::test]
async fn an_unusable_reply_is_an_error() {
    let (sender, mut errors) = tokio::sync::mpsc::channel(10);
    let (broker, _relay) = guarded(move |_, ask: Requester| {
        let sender = sender.clone();
        async move {
            let outcome = ask.request("session", (), Duration::from_millis(200)).await;
            sender.send(outcome.unwrap_err().to_string()).await.unwrap();
            false
        }
    })
    .await;
    check(&broker, create_user("abc"), "message unauthorized").await;
    assert_eq!(errors.recv().await.unwrap(), "no reply to session within 200 ms");
    broker.reply_to("security request", "zonk", ()).unwrap();
    check(&broker, create_user("abc"), "message unauthorized").await;
    let unexpected = "unexpected reply 'zonk' to 'session': expected 'security response'";
    assert_eq!(errors.recv().await.unwrap(), unexpected);
    broker.reply_to("security request", "security response", "zonk").unwrap();
    check(&broker, create_user("abc"), "message unauthorized").await;
    assert!(errors.recv().await.unwrap().starts_with("the reply to 'session' holds no message: "));
}

#[tokio::test]
async fn every_failure_is_unauthorized() {
    let (broker, _relay) = guarded(|message: Message, _| async move {
        match message.auth.unwrap().to::<String>().unwrap().as_str() {
            "fails" => Err(HandlerError::from("the sessions are away")),
            "panics" => panic!("of all things"),
            "hangs" => std::future::pending().await,
            other => Ok(other == "abc"),
        }
    })
    .await;
    for auth in ["fails", "panics", "hangs"] {
        check(&broker, create_user(auth), "message unauthorized").await;
    }
    for request in [Value::Null, json!("abc"), json!({ "name": "no id" })] {
        check(&broker, request, "message unauthorized").await;
    }
    check(&broker, create_user("abc"), "message authorized").await;
}
