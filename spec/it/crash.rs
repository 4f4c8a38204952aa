//! Tests of kill -9 under traffic.
//!
//! A broker keeps its queues in memory, so messages that it has accepted but not delivered are lost with it. So are
//! messages that a sidecar has accepted but not handed to its service. All other messages are sent again and arrive.

use std::time::Duration;

use exorelay::Relay;
use reqwest::Method;
use serde_json::json;

use crate::eventually::{eventually, pause};
use crate::stage::{
    ORDER, Process, Sender, Service, Traffic, Transport, call, get, instances, post, recording_relay, reserve_address,
    wait_until_registered,
};

/// Timeout of a request while the broker restarts.
const PATIENCE: Duration = Duration::from_secs(60);

async fn relay(role: &str, broker: &Process) -> Relay {
    relay_with(Transport::Http, role, broker).await
}

async fn relay_with(transport: Transport, role: &str, broker: &Process) -> Relay {
    Relay::builder(role).bus(broker.bus(transport)).connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_loses_no_message_it_had_not_accepted() {
    check_killed_broker(Transport::Http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_loses_no_message_it_had_not_accepted_over_websockets() {
    check_killed_broker(Transport::WebSocket).await;
}

async fn check_killed_broker(transport: Transport) {
    let mut broker = Process::start("broker", &[]).await;
    let bus = broker.bus(transport);
    let (shipping, book) = recording_relay("shipping", &bus).await;
    let sidecar = Process::start(&format!("run --role web --bus {bus}"), &[]).await;
    let (phone, mail) = (relay_with(transport, "phone", &broker).await, relay_with(transport, "mail", &broker).await);
    let traffic = [
        Traffic::start("web", Sender::Sidecar(sidecar.url("api"))),
        Traffic::start("phone", Sender::Relay(phone.clone())),
        Traffic::start("mail", Sender::Relay(mail.clone())),
    ];
    for kill in 0..3 {
        for sending in &traffic {
            let some = sending.more(50).await;
            book.wait_for(&sending.sender, some.start..some.start + 1).await;
        }
        broker.kill().await;
        let mut kept = Vec::new();
        for sending in &traffic {
            kept.push(sending.more(50).await);
        }
        broker.restart().await;
        for (sending, numbers) in traffic.iter().zip(kept) {
            book.wait_for(&sending.sender, numbers).await;
        }
        let counted = phone.request("order.count", "phone").timeout(PATIENCE).await;
        assert_eq!(counted.unwrap().name.as_str(), "order.counted", "after kill {kill}");
        let asked = post(&format!("{}/request/order.count?timeout=60s", sidecar.url("api")), &json!("web")).await;
        assert_eq!(asked.status, 200, "after kill {kill}: {asked:?}");
        wait_until_registered(&broker, &[("web", 1), ("phone", 1), ("mail", 1), ("shipping", 1)]).await;
    }
    for sending in traffic {
        let (sender, from) = (sending.sender.clone(), sending.accepted());
        let all = sending.finish().await;
        book.wait_for(&sender, from.saturating_sub(1)..all).await;
        book.assert_in_order(&sender);
    }
    for relay in [shipping, phone, mail] {
        assert_eq!(relay.dead_letters().len(), 0, "{}", relay.role());
        relay.close().await;
    }
}

/// A lease short enough that messages to a killed instance move on soon, and long enough to be renewed on a busy machine.
const SHORT_LEASE: (&str, &str) = ("EXORELAY__BROKER__LEASE_MS", "2000");

/// The address at which a killed sidecar restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RestartAt {
    SameAddress,
    AnotherAddress,
}

async fn check_killed_sidecar(transport: Transport, restart_at: RestartAt) {
    let broker = Process::start("broker", &[SHORT_LEASE]).await;
    let (url, bus) = (broker.url("broker"), broker.bus(transport));
    let (billing, billed) = recording_relay("billing", &bus).await;
    let service = Service::start("127.0.0.1:0");
    let line = format!("run --role shipping --receives {ORDER} --bus {bus} --forward {}", service.url());
    let mut shipping = Process::start(&line, &[]).await;
    let web = relay_with(transport, "web", &broker).await;
    let traffic = Traffic::start("web", Sender::Relay(web.clone()));
    for _ in 0..2 {
        let before = traffic.more(50).await;
        service.received().wait_for("web", before.start..before.start + 1).await;
        shipping.kill().await;
        let meanwhile = traffic.more(100).await;
        // Other receivers are not affected.
        billed.wait_for("web", 0..meanwhile.end).await;
        match restart_at {
            RestartAt::SameAddress => shipping.restart().await,
            RestartAt::AnotherAddress => shipping = Process::start(&line, &[]).await,
        }
        service.received().wait_for("web", meanwhile).await;
    }
    let from = traffic.accepted();
    let all = traffic.finish().await;
    service.received().wait_for("web", from.saturating_sub(1)..all).await;
    billed.wait_for("web", 0..all).await;
    billed.assert_in_order("web");
    wait_until_registered(&broker, &[("shipping", 1)]).await;
    assert_eq!(get(&format!("{url}/undelivered")).await.json(), json!({ "undelivered": [] }));
    for relay in [billing, web] {
        relay.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sidecar_gets_the_messages_sent_meanwhile_when_it_restarts() {
    check_killed_sidecar(Transport::Http, RestartAt::SameAddress).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sidecar_gets_the_messages_sent_meanwhile_at_another_address() {
    check_killed_sidecar(Transport::Http, RestartAt::AnotherAddress).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sidecar_gets_the_messages_sent_meanwhile_over_a_websocket() {
    check_killed_sidecar(Transport::WebSocket, RestartAt::SameAddress).await;
}

/// Keeps an instance of `shipping` registered, as a service with another relay implementation would.
async fn keep_registered(broker: String, instance: &'static str, address: String) {
    let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
    let registration = json!({ "instance": instance, "host": "127.0.0.1", "port": port, "receives": [ORDER] });
    let url = format!("{broker}/services/shipping");
    loop {
        assert_eq!(call(Method::PUT, &url, Some(&registration)).await.unwrap().status, 200);
        pause(100).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_one_of_two_services_of_a_role_loses_no_message() {
    let broker = Process::start("broker", &[SHORT_LEASE]).await;
    let url = broker.url("broker");
    let (one, other) = (Service::start(&reserve_address()), Service::start(&reserve_address()));
    let one_registers = tokio::spawn(keep_registered(url.clone(), "one", one.address().to_owned()));
    let other_registers = tokio::spawn(keep_registered(url.clone(), "other", other.address().to_owned()));
    wait_until_registered(&broker, &[("shipping", 2)]).await;
    let web = relay("web", &broker).await;
    let traffic = Traffic::start("web", Sender::Relay(web.clone()));
    traffic.more(100).await;
    one_registers.abort();
    let received_by_one = one.received().clone();
    drop(one);
    traffic.more(100).await;
    wait_until_registered(&broker, &[("shipping", 1)]).await;
    traffic.more(100).await;
    let all = traffic.finish().await;
    assert!(!received_by_one.numbers("web").is_empty(), "the killed service received messages before");
    let missing: Vec<u64> = (0..all).filter(|number| !received_by_one.numbers("web").contains(number)).collect();
    for number in missing {
        other.received().wait_for("web", number..number + 1).await;
    }
    assert_eq!(get(&format!("{url}/undelivered")).await.json(), json!({ "undelivered": [] }));
    other_registers.abort();
    web.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_waiting_for_a_killed_sidecar_go_to_another_of_its_role() {
    let broker = Process::start("broker", &[SHORT_LEASE]).await;
    let url = broker.url("broker");
    let service = Service::start("127.0.0.1:0");
    let line = format!("run --role shipping --receives {ORDER} --bus {url} --forward {}", service.url());
    let (mut one, other) = (Process::start(&line, &[]).await, Process::start(&line, &[]).await);
    wait_until_registered(&broker, &[("shipping", 2)]).await;
    let web = relay("web", &broker).await;
    let send = async |numbers: std::ops::Range<u64>| {
        for number in numbers {
            web.send(ORDER, json!({ "sender": "web", "number": number })).await.unwrap();
        }
    };
    send(0..100).await;
    service.received().wait_for("web", 0..100).await;
    // SIGSTOP: it accepts nothing more, and has delivered everything it accepted, so the broker must not lose a message.
    one.signal("STOP");
    send(100..200).await;
    eventually("messages waiting for the stopped sidecar", || async {
        let rows = instances(&broker, "shipping").await;
        rows.iter().any(|row| row["queueLength"].as_u64() > Some(0)).then_some(())
    })
    .await;
    one.kill().await;
    send(200..300).await;
    service.received().wait_for("web", 0..300).await;
    wait_until_registered(&broker, &[("shipping", 1)]).await;
    assert_eq!(get(&format!("{url}/undelivered")).await.json(), json!({ "undelivered": [] }));
    web.close().await;
    drop(other);
}
