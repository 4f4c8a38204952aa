//! With the originals of the WebSocket era nothing is answered, and nothing comes twice.

use std::time::Duration;

use serde_json::{Value, json};

use super::peer::{FakeBroker, message};
use crate::broker::sending_frame;
use crate::bus::websocket::handshake::Peer::Original;
use crate::bus::{Bus, Config};
use crate::message::{ActivityId, Verdict};

/// As the broker in Go delivers it. exo 3.1.
fn delivery(id: &str, name: &str, activity: &str) -> Value {
    json!({
        "activityId": activity, "auth": null, "id": id, "isSecurity": false, "name": name, "payload": { "id": 456 },
        "responseTime": 7_596_853, "sender": "", "timestamp": "2026-11-22T13:41:32.294600676Z",
    })
}

#[tokio::test]
async fn what_has_left_counts_as_sent() {
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
async fn news_are_not_told_twice() {
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
    // As the brokers before those tell it. exo 3.8.
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
async fn what_cannot_be_taken_is_told_and_costs_nothing_else() {
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
    member.inbox.check_troubles(&expected).await;
}

#[tokio::test]
async fn a_relay_that_is_asked_whether_it_lives_says_so() {
    let broker = FakeBroker::start(Original).await;
    let (_member, mut end) = broker.joined(broker.config()).await;
    end.send(json!({ "name": "__status" })).await;
    let answer = end.frame().await;
    assert_eq!((&answer["name"], &answer["sender"]), (&json!("__status-ok"), &json!("web")));
}

#[tokio::test]
async fn what_finds_no_room_waits_and_keeps_its_order() {
    let broker = FakeBroker::start(Original).await;
    let (member, mut end) = broker.joined(broker.config()).await;
    *member.inbox.full.lock().unwrap() = true;
    let ids: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
    for id in &ids {
        end.send(delivery(id, "created", "a")).await;
    }
    // More is on its way than is held: the rest waits in the network, and so does what the relay is asked behind it.
    end.send(json!({ "name": "__status" })).await;
    let asked = tokio::time::timeout(Duration::from_millis(100), end.frame()).await;
    assert!(asked.is_err(), "{asked:?}");
    *member.inbox.full.lock().unwrap() = false;
    let got: Vec<_> = member.inbox.got(1_000).await.iter().map(|message| message.id.to_string()).collect();
    assert_eq!(got, ids);
    assert_eq!(end.frame().await["name"], "__status-ok");
}

#[tokio::test]
async fn what_came_and_found_no_room_outlives_its_connection() {
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
