//! kill -9 in the middle of traffic: what it costs, and what it does not.
//!
//! A broker keeps its queues in memory: what it has accepted and not delivered dies with it. So does what a sidecar has
//! accepted and not handed to its service. Everything else is somebody's to send again, and arrives.

use std::time::Duration;

use exorelay::Relay;
use reqwest::Method;
use serde_json::json;

use crate::eventually::{eventually, pause};
use crate::stage::{ORDER, Over, Process, Sender, Service, Traffic, call, get, handles, post, reserve};

/// How long a request may wait for a broker that is being started.
const PATIENCE: Duration = Duration::from_secs(60);

async fn relay(role: &str, broker: &Process) -> Relay {
    relay_over(Over::Http, role, broker).await
}

async fn relay_over(over: Over, role: &str, broker: &Process) -> Relay {
    Relay::builder(role).bus(broker.bus(over)).connect().await.unwrap()
}

/// The instances of a role that the broker knows.
async fn instances(broker: &Process, role: &str) -> Vec<serde_json::Value> {
    let services = get(&format!("{}/services", broker.url("broker"))).await.json();
    let rows = services["services"].as_array().unwrap();
    rows.iter().filter(|row| row["role"] == role).cloned().collect()
}

/// Waits until the broker knows so many instances of each role.
async fn knows(broker: &Process, roles: &[(&str, usize)]) {
    for (role, count) in roles {
        eventually((role, count), || async { (instances(broker, role).await.len() == *count).then_some(()) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_costs_nothing_that_was_still_with_its_senders() {
    check_killed_broker(Over::Http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_costs_nothing_that_was_still_with_its_senders_over_websockets() {
    check_killed_broker(Over::WebSocket).await;
}

async fn check_killed_broker(over: Over) {
    let mut broker = Process::start("broker", &[]).await;
    let bus = broker.bus(over);
    let (shipping, book) = handles("shipping", &bus).await;
    let sidecar = Process::start(&format!("run --role web --bus {bus}"), &[]).await;
    let (phone, mail) = (relay_over(over, "phone", &broker).await, relay_over(over, "mail", &broker).await);
    let traffic = [
        Traffic::start("web", Sender::Sidecar(sidecar.url("api"))),
        Traffic::start("phone", Sender::Relay(phone.clone())),
        Traffic::start("mail", Sender::Relay(mail.clone())),
    ];
    for kill in 0..3 {
        for sending in &traffic {
            let some = sending.more(50).await;
            book.has(&sending.sender, some.start..some.start + 1).await;
        }
        broker.kill().await;
        let mut kept = Vec::new();
        for sending in &traffic {
            kept.push(sending.more(50).await);
        }
        broker.revive().await;
        for (sending, numbers) in traffic.iter().zip(kept) {
            book.has(&sending.sender, numbers).await;
        }
        let counted = phone.request("order.count", "phone").timeout(PATIENCE).await;
        assert_eq!(counted.unwrap().name.as_str(), "order.counted", "after kill {kill}");
        let asked = post(&format!("{}/request/order.count?timeout=60s", sidecar.url("api")), &json!("web")).await;
        assert_eq!(asked.status, 200, "after kill {kill}: {asked:?}");
        knows(&broker, &[("web", 1), ("phone", 1), ("mail", 1), ("shipping", 1)]).await;
    }
    for sending in traffic {
        let (sender, from) = (sending.sender.clone(), sending.accepted());
        let all = sending.finish().await;
        book.has(&sender, from.saturating_sub(1)..all).await;
        book.is_in_order(&sender);
    }
    for relay in [shipping, phone, mail] {
        assert_eq!(relay.dead_letters().len(), 0, "{}", relay.role());
        relay.close().await;
    }
}

/// A short lease, so that what waits for a killed instance moves on soon; long enough for a busy machine to renew it.
const SHORT_LEASE: (&str, &str) = ("EXORELAY__BROKER__LEASE_MS", "2000");

/// Where a killed sidecar comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Back {
    SameAddress,
    AnotherAddress,
}

async fn check_killed_sidecar(over: Over, back: Back) {
    let broker = Process::start("broker", &[SHORT_LEASE]).await;
    let (url, bus) = (broker.url("broker"), broker.bus(over));
    let (billing, billed) = handles("billing", &bus).await;
    let service = Service::start("127.0.0.1:0");
    let line = format!("run --role shipping --receives {ORDER} --bus {bus} --forward {}", service.url());
    let mut shipping = Process::start(&line, &[]).await;
    let web = relay_over(over, "web", &broker).await;
    let traffic = Traffic::start("web", Sender::Relay(web.clone()));
    for _ in 0..2 {
        let before = traffic.more(50).await;
        service.book().has("web", before.start..before.start + 1).await;
        shipping.kill().await;
        let meanwhile = traffic.more(100).await;
        // The others go on as if nothing had happened.
        billed.has("web", 0..meanwhile.end).await;
        match back {
            Back::SameAddress => shipping.revive().await,
            Back::AnotherAddress => shipping = Process::start(&line, &[]).await,
        }
        service.book().has("web", meanwhile).await;
    }
    let from = traffic.accepted();
    let all = traffic.finish().await;
    service.book().has("web", from.saturating_sub(1)..all).await;
    billed.has("web", 0..all).await;
    billed.is_in_order("web");
    knows(&broker, &[("shipping", 1)]).await;
    assert_eq!(get(&format!("{url}/undelivered")).await.json(), json!({ "undelivered": [] }));
    for relay in [billing, web] {
        relay.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sidecar_gets_what_came_meanwhile_when_it_is_back() {
    check_killed_sidecar(Over::Http, Back::SameAddress).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sidecar_gets_what_came_meanwhile_at_another_address_too() {
    check_killed_sidecar(Over::Http, Back::AnotherAddress).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sidecar_gets_what_came_meanwhile_over_a_websocket_too() {
    check_killed_sidecar(Over::WebSocket, Back::SameAddress).await;
}

/// Keeps an instance of `shipping` registered that is no relay of ours, as a service with a relay of its own would.
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
async fn of_two_services_of_a_role_one_is_killed_and_no_message_is_missing() {
    let broker = Process::start("broker", &[SHORT_LEASE]).await;
    let url = broker.url("broker");
    let (one, other) = (Service::start(&reserve()), Service::start(&reserve()));
    let one_registers = tokio::spawn(keep_registered(url.clone(), "one", one.address().to_owned()));
    let other_registers = tokio::spawn(keep_registered(url.clone(), "other", other.address().to_owned()));
    knows(&broker, &[("shipping", 2)]).await;
    let web = relay("web", &broker).await;
    let traffic = Traffic::start("web", Sender::Relay(web.clone()));
    traffic.more(100).await;
    one_registers.abort();
    let taken = one.book().clone();
    drop(one);
    traffic.more(100).await;
    knows(&broker, &[("shipping", 1)]).await;
    traffic.more(100).await;
    let all = traffic.finish().await;
    assert!(!taken.numbers("web").is_empty(), "the killed one had its share before");
    let missing: Vec<u64> = (0..all).filter(|number| !taken.numbers("web").contains(number)).collect();
    for number in missing {
        other.book().has("web", number..number + 1).await;
    }
    assert_eq!(get(&format!("{url}/undelivered")).await.json(), json!({ "undelivered": [] }));
    other_registers.abort();
    web.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_killed_sidecar_goes_to_the_other_one_of_its_role() {
    let broker = Process::start("broker", &[SHORT_LEASE]).await;
    let url = broker.url("broker");
    let service = Service::start("127.0.0.1:0");
    let line = format!("run --role shipping --receives {ORDER} --bus {url} --forward {}", service.url());
    let (mut one, other) = (Process::start(&line, &[]).await, Process::start(&line, &[]).await);
    knows(&broker, &[("shipping", 2)]).await;
    let web = relay("web", &broker).await;
    let send = async |numbers: std::ops::Range<u64>| {
        for number in numbers {
            web.send(ORDER, json!({ "sender": "web", "number": number })).await.unwrap();
        }
    };
    send(0..100).await;
    service.book().has("web", 0..100).await;
    // Stopped like this it takes nothing more, and has nothing left that it took: what is lost now is the broker's fault.
    one.signal("STOP");
    send(100..200).await;
    eventually("messages that wait for the stopped one", || async {
        let rows = instances(&broker, "shipping").await;
        rows.iter().any(|row| row["queueLength"].as_u64() > Some(0)).then_some(())
    })
    .await;
    one.kill().await;
    send(200..300).await;
    service.book().has("web", 0..300).await;
    knows(&broker, &[("shipping", 1)]).await;
    assert_eq!(get(&format!("{url}/undelivered")).await.json(), json!({ "undelivered": [] }));
    web.close().await;
    drop(other);
}
