//! The security service beside a mock broker that plays the broker's part.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Decision, Error, Requester, adapter};
use crate::message::Message;
use crate::relay::{self, Config, HandlerError, Relay};
use crate::testing::MockBroker;

const SECOND: Duration = Duration::from_secs(10);

/// A mock broker with the security service of `decide`.
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

/// The message that is to be judged.
fn create_user(auth: &str) -> Value {
    json!({ "name": "create user", "sender": "web", "id": "111", "activityId": "333", "auth": auth, "payload": {} })
}

/// Has a message judged and checks the verdict down to its bytes.
async fn check(broker: &MockBroker, question: Value, verdict: &str) {
    broker.reset();
    let question = broker.send("security", "authorize message").payload(question).await.unwrap();
    let deadline = tokio::time::Instant::now() + SECOND;
    let told = loop {
        let verdicts = ["message authorized", "message unauthorized"];
        let told = broker.received().into_iter().find(|message| verdicts.contains(&message.name.as_str()));
        if let Some(told) = told {
            break told;
        }
        assert!(tokio::time::Instant::now() < deadline, "no verdict");
        tokio::task::yield_now().await;
    };
    assert_eq!(told.name.as_str(), verdict);
    assert_eq!(told.activity_id, question.activity_id);
    assert_eq!(told.sender.unwrap().as_str(), "security");
    assert_eq!(told.payload.unwrap().as_bytes(), "{}");
}

fn is_abc(message: &Message) -> bool {
    message.auth.as_ref().is_some_and(|auth| auth.as_bytes() == "\"abc\"")
}

fn is_admin(session: Result<Message, Error>) -> bool {
    let payload = session.ok().and_then(|session| session.payload::<Value>().ok());
    payload.is_some_and(|payload| payload["isAdmin"] == "true")
}

/// What the broker wraps around an answer to the security service.
fn answer(activity: &str, payload: Value) -> Value {
    json!({ "name": "user session", "sender": "sessions", "id": "4", "activityId": activity, "payload": payload })
}

#[tokio::test]
async fn the_decision_is_the_answer() {
    let (broker, _relay) = guarded(|message: Message, _| async move { is_abc(&message) }).await;
    check(&broker, create_user("abc"), "message authorized").await;
    check(&broker, create_user("def"), "message unauthorized").await;
}

#[tokio::test]
async fn it_asks_others_before_it_decides() {
    let (broker, _relay) = guarded(|message: Message, ask: Requester| async move {
        let auth: String = message.auth.ok_or("no auth")?.to()?;
        let session = ask.request("retrieve user session", auth, SECOND).await?;
        Ok(session.payload::<Value>()?["isAdmin"] == "true")
    })
    .await;
    for (is_admin, verdict) in [("true", "message authorized"), ("false", "message unauthorized")] {
        // Without an activity of its own, as mocks answer; see below for those that have one.
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
async fn several_questions_have_their_answers_each() {
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
async fn an_answer_that_comes_too_late_is_none_to_the_next_question() {
    let (broker, _relay) = guarded(|_, ask: Requester| async move {
        let late = ask.request("first", (), Duration::from_millis(20)).await;
        assert!(matches!(late, Err(Error::Relay(relay::Error::NoReply { .. }))));
        is_admin(ask.request("second", (), SECOND).await)
    })
    .await;
    let judged = broker.send("security", "authorize message").payload(create_user("abc")).await.unwrap();
    let asked = broker.wait_until_received_times("security request", 2).await.unwrap();
    let activities: Vec<Value> =
        asked.iter().map(|asked| asked.payload::<Value>().unwrap()["activityId"].clone()).collect();
    for (activity, admin) in [(&activities[0], "true"), (&activities[1], "false")] {
        let response = answer(activity.as_str().unwrap(), json!({ "isAdmin": admin }));
        let sending = broker.send("security", "security response").payload(response).security();
        let sending = sending.activity(judged.activity_id.as_ref().unwrap().as_str());
        sending.in_reply_to(asked[1].id.as_str()).await.unwrap();
    }
    broker.wait_until_received("message unauthorized").await.unwrap();
}

#[tokio::test]
async fn an_answer_is_found_by_its_activity_alone() {
    let (broker, _relay) = guarded(|_, ask: Requester| async move {
        let first = ask.request("first", (), SECOND).await?;
        let second = ask.request("second", (), SECOND).await;
        Ok(first.name.as_str() == "user session" && is_admin(second))
    })
    .await;
    let judged = broker.send("security", "authorize message").payload(create_user("abc")).await.unwrap();
    let judged_in = judged.activity_id.unwrap();
    for count in 1..=2 {
        let asked = broker.wait_until_received_times("security request", count).await.unwrap().remove(count - 1);
        let activity = asked.payload::<Value>().unwrap()["activityId"].as_str().unwrap().to_owned();
        let response = answer(&activity, json!({ "isAdmin": "true" }));
        let sending = broker.send("security", "security response").payload(response);
        sending.activity(judged_in.as_str()).await.unwrap();
        assert_eq!(broker.last_response_code(), Some(200));
    }
    broker.wait_until_received("message authorized").await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_none_is_an_error_that_says_so() {
    let (tell, mut told) = tokio::sync::mpsc::channel(10);
    let (broker, _relay) = guarded(move |_, ask: Requester| {
        let tell = tell.clone();
        async move {
            let outcome = ask.request("session", (), Duration::from_millis(200)).await;
            tell.send(outcome.unwrap_err().to_string()).await.unwrap();
            false
        }
    })
    .await;
    check(&broker, create_user("abc"), "message unauthorized").await;
    assert_eq!(told.recv().await.unwrap(), "no reply to session within 200 ms");
    broker.reply_to("security request", "zonk", ()).unwrap();
    check(&broker, create_user("abc"), "message unauthorized").await;
    let unexpected = "'session' was asked, and the unexpected answer is 'zonk' instead of 'security response'";
    assert_eq!(told.recv().await.unwrap(), unexpected);
    broker.reply_to("security request", "security response", "zonk").unwrap();
    check(&broker, create_user("abc"), "message unauthorized").await;
    assert!(told.recv().await.unwrap().starts_with("'session' was asked, and the answer holds no message: "));
}

#[tokio::test]
async fn whatever_fails_is_unauthorized() {
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
    for question in [Value::Null, json!("abc"), json!({ "name": "no id" })] {
        check(&broker, question, "message unauthorized").await;
    }
    check(&broker, create_user("abc"), "message authorized").await;
}
