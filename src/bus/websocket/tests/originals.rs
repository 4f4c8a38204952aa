//! Originals of the WebSocket era: nothing is acknowledged or repeated.

use std::time::Duration;

use serde_json::{Value, json};

use super::peer::{FakeBroker, message};
use crate::broker::sending_frame;
use crate::bus::websocket::handshake::Peer::Original;
use crate::bus::{Bus, Config};
use crate::message::{ActivityId, Verdict};

/// Builds a delivery as the Go broker sends it. exo 3.1.
fn delivery(id: &str, name: &str, activity: &str) -> Value {
    json!({
        "activityId": activity, "auth": null, "id": id, "isSecurity": false, "name": name, "payload": { "id": 456 },
        "responseTime": 7_596_853, "sender": "", "timestamp": "2026-11-22T13:41:32.294600676Z",
    })
}

#[tokio::test]
async fn a_written_message_counts_as_sent() {
    let broker = FakeBroker::start(Original).await;
    let (member, mut end) = broker.joined(broker.config()).await;
    let mut batch = [message("1", "create"), message("2", "create")];
    batch[0].activity_id = ActivityId::parse("a").ok();
    assert_eq!(member.bus.publish(&batch).await.unwrap(), [Verdict::Accepted, Verdict::Accepted]);
    for (frame, message) in end.frames(2).await.iter().zip(&batch) {
        assert_eq!(*frame, serde_json::from_slice::<Value>(&sending_frame(message)).unwrap());
    }
}

#[tokio::test]
async fn a_second_join_does_not_register_again() {
    let broker = FakeBroker::start(Original).await;
    let (mut member, mut end) = broker.joined(broker.config()).await;
    member.membership.registration.receives.clear();
    member.bus.join(&member.membership).await.unwrap();
    member.bus.publish(&[message("1", "create")]).await.unwrap();
    assert_eq!(end.frame().await["id"], "1");
}

#[tokio::test]
async fn a_message_answers_the_last_one_that_was_sent_in_its_conversation() {
    let broker = FakeBroker::start(Original).await;
    let (member, mut end) = broker.joined(broker.config()).await;
    let mut request = message("1", "create");
    request.activity_id = ActivityId::parse("a").ok();
    member.bus.publish(&[request]).await.unwrap();
    end.send(delivery("2", "created", "a")).await;
    end.send(delivery("3", "created", "somebody else's")).await;
    // As older brokers send it. exo 3.8.
    end.send(
        json!({ "name": "created", "id": "4", "payload": 5, "timestamp": 7, "responseTime": null, "responseTo": "1" }),
    )
    .await;
    let messages = member.inbox.got(3).await;
    let answered: Vec<_> = messages.iter().map(|message| message.response_to.as_ref().map(|id| id.as_str())).collect();
    assert_eq!(answered, [Some("1"), None, Some("1")]);
    assert_eq!(messages[0].sender, None);
    assert_eq!(messages[0].auth, None);
}

#[tokio::test]
async fn invalid_frames_are_reported_and_do_not_affect_others() {
    let broker = FakeBroker::start(Original).await;
    let (member, mut end) = broker.joined(broker.config()).await;
    end.text("hello").await;
    end.send(json!({ "name": "created" })).await;
    end.send(delivery("1", "zonk", "a")).await;
    end.send(json!({ "id": "2" })).await;
    end.send(json!({ "id": 5, "name": "created" })).await;
    end.send(json!([{ "status": 200 }])).await;
    end.send(delivery("3", "created", "a")).await;
    assert_eq!(member.inbox.got(1).await[0].id.as_str(), "3");
    let expected = [
        "the payload is not valid JSON (line 1, column 1: expected value)",
        "missing message id",
        "unknown message: 'zonk'",
        "missing message name: expected a \"name\" beside the \"id\"",
        "\"id\" must be a string",
        "expected a message, got a JSON array",
    ];
    member.inbox.check_errors(&expected).await;
}

#[tokio::test]
async fn a_relay_answers_status_requests() {
    let broker = FakeBroker::start(Original).await;
    let (_member, mut end) = broker.joined(broker.config()).await;
    end.send(json!({ "name": "__status" })).await;
    let answer = end.frame().await;
    assert_eq!((&answer["name"], &answer["sender"]), (&json!("__status-ok"), &json!("web")));
}

#[tokio::test]
async fn messages_for_a_full_inbox_wait_and_keep_their_order() {
    let broker = FakeBroker::start(Original).await;
    let (member, mut end) = broker.joined(broker.config()).await;
    *member.inbox.full.lock().unwrap() = true;
    let ids: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
    for id in &ids {
        end.send(delivery(id, "created", "a")).await;
    }
    // More messages than the relay holds: the rest waits in the network, and so does the status request behind them.
    end.send(json!({ "name": "__status" })).await;
    let asked = tokio::time::timeout(Duration::from_millis(100), end.frame()).await;
    assert!(asked.is_err(), "{asked:?}");
    *member.inbox.full.lock().unwrap() = false;
    let got: Vec<_> = member.inbox.got(1_000).await.iter().map(|message| message.id.to_string()).collect();
    assert_eq!(got, ids);
    assert_eq!(end.frame().await["name"], "__status-ok");
}

#[tokio::test]
async fn a_message_held_for_a_full_inbox_outlives_its_connection() {
    let broker = FakeBroker::start(Original).await;
    let (member, mut end) = broker.joined(Config { heartbeat_ms: 50, ..broker.config() }).await;
    *member.inbox.full.lock().unwrap() = true;
    end.send(delivery("1", "created", "a")).await;
    end.send(json!({ "name": "__status" })).await;
    end.frame().await;
    drop(end);
    member.bus.lost().await;
    *member.inbox.full.lock().unwrap() = false;
    member.inbox.got(1).await;
}
