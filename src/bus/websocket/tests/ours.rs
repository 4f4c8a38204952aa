//! Our own broker: every message is acknowledged in both directions.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::peer::{FakeBroker, Member, message};
use crate::bus::websocket::handshake::Peer::Acknowledging;
use crate::bus::{Bus, Config, Error, Register};
use crate::message::{ActivityId, MessageName, Payload, TraceParent, Verdict};

fn statuses(codes: &[u16]) -> Value {
    codes.iter().map(|code| json!({ "status": code })).collect()
}

#[tokio::test]
async fn a_relay_registers_and_waits_for_the_acknowledgement() {
    let broker = FakeBroker::start(Acknowledging).await;
    let member = Member::new(Config { token: "s3cret".into(), ..broker.config() });
    let accept = async {
        let mut end = broker.accept().await;
        let hello = end.frame().await;
        assert_eq!((&hello["name"], &hello["sender"]), (&json!("exocom.register-service"), &json!("web")));
        let expected = json!({
            "clientName": "web", "instance": "web-1", "receives": ["created"], "sends": ["create"], "token": "s3cret",
        });
        assert_eq!(hello["payload"], expected);
        assert!(!member.bus.current().is_some_and(|connection| connection.is_open()), "not acknowledged yet");
        end.send(statuses(&[200])).await;
        end
    };
    let (joined, _end) = tokio::join!(member.bus.join(&member.membership), accept);
    joined.unwrap();
}

#[tokio::test]
async fn a_relay_with_register_off_announces_only_its_role() {
    let broker = FakeBroker::start(Acknowledging).await;
    let member = Member::new(Config { register: Register::Off, ..broker.config() });
    let accept = async {
        let mut end = broker.accept().await;
        let expected = json!({ "clientName": "web", "receives": [], "sends": [] });
        assert_eq!(end.frame().await["payload"], expected);
        end.send(statuses(&[200])).await;
    };
    tokio::join!(async { member.bus.join(&member.membership).await.unwrap() }, accept);
}

#[tokio::test]
async fn a_refused_registration_is_reported_with_the_brokers_reason() {
    let broker = FakeBroker::start(Acknowledging).await;
    let member = Member::new(broker.config());
    for by_answer in [true, false] {
        let accept = async {
            let mut end = broker.accept().await;
            end.frame().await;
            if by_answer {
                end.send(json!([{ "status": 403, "detail": "wrong token" }])).await;
            } else {
                let frame = CloseFrame { code: CloseCode::Policy, reason: "wrong token".into() };
                end.socket.close(Some(frame)).await.unwrap();
            }
        };
        let (joined, ()) = tokio::join!(member.bus.join(&member.membership), accept);
        let error = joined.unwrap_err().to_string();
        assert_eq!(error, "the broker refused the registration: wrong token");
    }
    let error = member.bus.publish(&[message("1", "create")]).await.unwrap_err();
    assert!(matches!(error, Error::NotConnected { .. }), "{error}");
}

#[tokio::test]
async fn a_second_join_sends_nothing_unless_the_registration_changed() {
    let broker = FakeBroker::start(Acknowledging).await;
    let (mut member, mut end) = broker.joined(broker.config()).await;
    member.bus.join(&member.membership).await.unwrap();
    member.membership.registration.receives.push(MessageName::parse("deleted").unwrap());
    let answer = async {
        let again = end.frame().await;
        assert_eq!(again["payload"]["receives"], json!(["created", "deleted"]));
        end.send(statuses(&[200])).await;
    };
    tokio::join!(async { member.bus.join(&member.membership).await.unwrap() }, answer);
}

#[tokio::test]
async fn each_message_is_sent_as_an_envelope_and_gets_its_verdict() {
    let broker = FakeBroker::start(Acknowledging).await;
    let (member, mut end) = broker.joined(broker.config()).await;
    let mut first = message("1", "create");
    first.payload = Some(Payload::of(&json!({ "name": "Will" })).unwrap());
    first.activity_id = ActivityId::parse("a").ok();
    first.trace = TraceParent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let batch = [first.clone(), message("2", "zonk"), message("3", "create")];
    let judge = async {
        let frames = end.frames(3).await;
        assert_eq!(frames[0], serde_json::from_slice::<Value>(&first.to_json()).unwrap());
        // Acknowledgements may be spread over several frames.
        end.send(statuses(&[200])).await;
        end.send(json!([{ "status": 404, "detail": "no service receives this message" }, { "status": 200 }])).await;
    };
    let (verdicts, ()) = tokio::join!(member.bus.publish(&batch), judge);
    assert_eq!(verdicts.unwrap(), [Verdict::Accepted, Verdict::NoReceivers, Verdict::Accepted]);
}

#[tokio::test]
async fn messages_behind_a_busy_one_are_sent_again() {
    let broker = FakeBroker::start(Acknowledging).await;
    let (member, mut end) = broker.joined(broker.config()).await;
    let batch = [message("1", "create"), message("2", "create"), message("3", "create")];
    let judge = async {
        end.frames(3).await;
        end.send(json!([{ "status": 200 }, { "status": 503, "retryAfterMs": 7 }, { "status": 503 }])).await;
    };
    let (verdicts, ()) = tokio::join!(member.bus.publish(&batch), judge);
    let busy = Verdict::Busy { retry_after: std::time::Duration::from_millis(7) };
    let also_busy = Verdict::Busy { retry_after: std::time::Duration::from_millis(100) };
    assert_eq!(verdicts.unwrap(), [Verdict::Accepted, busy, also_busy]);
    let judge = async {
        assert_eq!(end.frame().await, json!([]), "it announces that the refused messages follow again");
        assert_eq!(end.frame().await["id"], "2");
        end.frame().await;
        end.send(statuses(&[200, 200])).await;
    };
    let (verdicts, ()) = tokio::join!(member.bus.publish(&batch[1..]), judge);
    assert_eq!(verdicts.unwrap(), [Verdict::Accepted, Verdict::Accepted]);
}

#[tokio::test]
async fn deliveries_are_acknowledged_in_order() {
    let broker = FakeBroker::start(Acknowledging).await;
    let (member, mut end) = broker.joined(broker.config()).await;
    for frame in [json!({ "id": "1", "name": "created" }), json!({ "id": "2", "name": "zonk" }), json!({ "name": "a" })]
    {
        end.send(frame).await;
    }
    end.text(r#"{"id":"3","name":"created""#).await;
    let mut answers = Vec::new();
    while answers.len() < 4 {
        answers.extend(end.frame().await.as_array().unwrap().clone());
    }
    assert_eq!(answers[0], json!({ "status": 200 }));
    assert_eq!(answers[1], json!({ "status": 404, "detail": "unknown message" }));
    assert_eq!(answers[2], json!({ "status": 400, "detail": "missing message id" }));
    assert_eq!(answers[3]["status"], 400);
    member.inbox.check_errors(&["missing message id", answers[3]["detail"].as_str().unwrap()]).await;
}

#[tokio::test]
async fn a_response_to_from_the_broker_is_kept() {
    let broker = FakeBroker::start(Acknowledging).await;
    let (member, mut end) = broker.joined(broker.config()).await;
    end.send(json!({ "id": "1", "name": "created", "activityId": "a", "responseTo": "0" })).await;
    end.send(json!({ "id": "2", "name": "created", "activityId": "a" })).await;
    let messages = member.inbox.got(2).await;
    let answered: Vec<_> = messages.iter().map(|message| message.response_to.as_ref().map(|id| id.as_str())).collect();
    assert_eq!(answered, [Some("0"), None]);
}

#[tokio::test]
async fn invalid_acknowledgements_close_the_connection() {
    for (answers, expected) in [
        (json!([{ "status": 200 }]), "it gave more answers than it was sent messages"),
        (json!([5]), "its answers cannot be read"),
    ] {
        let broker = FakeBroker::start(Acknowledging).await;
        let (member, mut end) = broker.joined(broker.config()).await;
        end.send(answers).await;
        let error = member.bus.lost().await.to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn an_oversized_message_is_refused_without_being_sent_and_others_are_sent() {
    let broker = FakeBroker::start(Acknowledging).await;
    let (member, mut end) = broker.joined(Config { frame_bytes_max: 1_000, ..broker.config() }).await;
    let mut large = message("2", "create");
    large.payload = Some(Payload::of(&"x".repeat(1_000)).unwrap());
    let batch = [message("1", "create"), large, message("3", "create")];
    let judge = async {
        assert_eq!(end.frame().await["id"], "1");
        end.send(statuses(&[200])).await;
    };
    let (verdicts, ()) = tokio::join!(member.bus.publish(&batch), judge);
    assert_eq!(verdicts.unwrap(), [Verdict::Accepted]);
    let verdicts = member.bus.publish(&batch[1..]).await.unwrap();
    let detail = "its frame of 1054 bytes exceeds bus.frame_bytes_max (1000)".to_owned();
    assert_eq!(verdicts, [Verdict::Refused { detail }]);
}
