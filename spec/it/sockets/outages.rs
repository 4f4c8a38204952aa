//! Tests of hanging connections, restarting brokers, and killed services.

use std::collections::BTreeMap;
use std::process::Stdio;

use exorelay::Relay;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::broker;
use crate::stage::{
    ORDER, Peer, Process, Proxy, Sender, Service, Traffic, Transport, get, recording_relay, wait_until_registered,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_lost_instance_goes_to_another_of_its_role() {
    let broker = broker(&[]).await;
    let mut asking = Peer::open(&broker, "web").await;
    let (mut other, mut users) = (Peer::open(&broker, "web").await, Peer::open(&broker, "users").await);
    asking.send_message("create user", "1", "a", 1).await;
    users.expect_message("1").await;
    drop(asking);
    wait_until_registered(&broker, &[("web", 1)]).await;
    users.send_message("user created", "2", "a", 2).await;
    let answer = other.expect_message("2").await;
    assert_eq!(answer["activityId"], "a");
}

/// Environment variable that makes the test process the service to be killed; its value is the address of the broker.
const VICTIM: &str = "EXORELAY_SPEC_VICTIM";

/// Messages that are read before the kill.
const READ: usize = 5;

const STREAM: usize = 400;

/// Reads some messages, prints their ids, and hangs.
async fn be_killed(address: &str) {
    let mut users = Peer::connect(address, "users").await;
    users.register("users").await;
    for _ in 0..READ {
        let message = users.next().await.unwrap();
        println!("victim read {}", message["id"].as_str().unwrap());
    }
    std::future::pending().await
}

/// Returns the number of deliveries counted by the broker.
async fn delivered(broker: &Process) -> usize {
    let metrics = get(&format!("{}/metrics", broker.url("broker"))).await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("exorelay_broker_deliveries_total ")).unwrap();
    line.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_service_loses_only_messages_already_written_to_it() {
    if let Ok(address) = std::env::var(VICTIM) {
        return be_killed(&address).await;
    }
    // All messages fit into the queue of the role, which is half of this while it has no instance.
    let settings = [
        ("EXORELAY__BROKER__HEARTBEAT_MS", "600000"),
        ("EXORELAY__BROKER__QUEUE_BYTES_MAX", "268435456"),
        ("EXORELAY__MEMORY__QUEUES_BYTES_MAX", "536870912"),
    ];
    let broker = broker(&settings).await;
    let name = "a_killed_service_loses_only_messages_already_written_to_it";
    let mut victim = Command::new(std::env::current_exe().unwrap());
    victim.args(["--exact", &format!("sockets::outages::{name}"), "--nocapture"]).kill_on_drop(true);
    let victim = victim.env(VICTIM, broker.address("broker")).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut victim = victim.unwrap();
    let mut output = BufReader::new(victim.stdout.take().unwrap()).lines();
    wait_until_registered(&broker, &[("users", 1)]).await;
    let mut web = Peer::open(&broker, "web").await;
    let large = "x".repeat(100_000);
    for number in 0..STREAM {
        web.send_message("create user", &number.to_string(), "a", large.as_str()).await;
    }
    let mut read = Vec::new();
    while read.len() < READ {
        let line = output.next_line().await.unwrap().expect("the victim lives");
        read.extend(line.rsplit_once("victim read ").map(|(_, id)| id.to_owned()));
    }
    assert_eq!(read, (0..READ).map(|number| number.to_string()).collect::<Vec<_>>());
    victim.kill().await.unwrap();
    wait_until_registered(&broker, &[("users", 0)]).await;
    let written = delivered(&broker).await;
    assert!(written < STREAM, "all messages were written before the kill");
    let mut successor = Peer::open(&broker, "users").await;
    for number in written..STREAM {
        successor.expect_message(&number.to_string()).await;
    }
    web.send_message("create user", "last", "a", 1).await;
    successor.expect_message("last").await;
}

const RELAYS: usize = 50;

/// Interval in which not all relays may reconnect.
const SLOT_US: i128 = 20_000;

/// Returns the times at which services connected, from the log.
fn connections(broker: &Process) -> Vec<i128> {
    let log = broker.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let connected = lines.filter(|line| line["message"] == "service registered");
    let time = |line: Value| {
        let time = humantime::parse_rfc3339(line["timestamp"].as_str().unwrap()).unwrap();
        i128::try_from(time.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros()).unwrap()
    };
    connected.map(time).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_relays_reconnect_to_a_restarted_broker_spread_over_time() {
    let mut broker = Process::start("broker", &[]).await;
    let bus = broker.bus(Transport::WebSocket);
    let (shipping, book) = recording_relay("shipping", &bus).await;
    let connect = |number: usize| {
        let bus = bus.clone();
        async move { Relay::builder(format!("relay {number}")).bus(bus).connect().await.unwrap() }
    };
    let relays = join_all((0..RELAYS).map(connect)).await;
    let send = async |numbers: std::ops::Range<u64>| {
        for (relay, number) in relays.iter().flat_map(|relay| numbers.clone().map(move |number| (relay, number))) {
            relay.send(ORDER, json!({ "sender": relay.role(), "number": number })).await.unwrap();
        }
    };
    send(0..5).await;
    for relay in &relays {
        book.wait_for(relay.role().as_str(), 0..5).await;
    }
    broker.kill().await;
    send(5..10).await;
    broker.restart().await;
    send(10..15).await;
    for relay in &relays {
        book.wait_for(relay.role().as_str(), 0..15).await;
        book.assert_in_order(relay.role().as_str());
    }
    let known: Vec<(&str, usize)> = relays.iter().map(|relay| (relay.role().as_str(), 1)).collect();
    wait_until_registered(&broker, &known).await;
    let mut slots: BTreeMap<i128, usize> = BTreeMap::new();
    let times = connections(&broker);
    for time in &times {
        *slots.entry(time / SLOT_US).or_default() += 1;
    }
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    let fullest = slots.values().max().unwrap();
    println!("{} connections within {} ms, {fullest} in the fullest 20 ms", times.len(), (last - first) / 1_000);
    assert!(times.len() > RELAYS, "all of them, and shipping");
    assert!(*fullest < RELAYS, "{fullest} connected within 20 ms: {slots:?}");
    join_all(relays.into_iter().chain([shipping]).map(|relay| async move { relay.close().await })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_messages_arrive_after_a_silent_network_outage() {
    // Short heartbeats at both ends, so that the test is fast.
    let broker = Process::start("broker", &[("EXORELAY__BROKER__HEARTBEAT_MS", "400")]).await;
    let network = Proxy::start(broker.address("broker")).await;
    let service = Service::start("127.0.0.1:0");
    let settings = [("EXORELAY__BUS__HEARTBEAT_MS", "400"), ("EXORELAY__BUS__CONNECT_TIMEOUT_MS", "500")];
    let bus = format!("ws://{}", network.address());
    let line = format!("run --role shipping --receives {ORDER} --bus {bus} --forward {}", service.url());
    let _shipping = Process::start(&line, &settings).await;
    let web = Process::start(&format!("run --role web --bus {bus}"), &settings).await;
    let phone = Relay::builder("phone").bus(broker.bus(Transport::WebSocket)).connect().await.unwrap();
    let traffic =
        [Traffic::start("web", Sender::Sidecar(web.url("api"))), Traffic::start("phone", Sender::Relay(phone.clone()))];
    for _ in 0..2 {
        for sending in &traffic {
            let some = sending.more(20).await;
            service.received().wait_for(&sending.sender, some.start..some.start + 1).await;
        }
        network.cut();
        for sending in &traffic {
            sending.more(20).await;
        }
        // Both ends detect the outage by themselves.
        wait_until_registered(&broker, &[("shipping", 0), ("web", 0), ("phone", 1)]).await;
        let mut meanwhile = Vec::new();
        for sending in &traffic {
            meanwhile.push(sending.more(20).await);
        }
        network.heal();
        for (sending, numbers) in traffic.iter().zip(meanwhile) {
            service.received().wait_for(&sending.sender, numbers).await;
        }
        wait_until_registered(&broker, &[("shipping", 1), ("web", 1)]).await;
    }
    for sending in traffic {
        let sender = sending.sender.clone();
        let all = sending.finish().await;
        service.received().wait_for(&sender, 0..all).await;
    }
    let given_up = get(&format!("{}/undelivered", broker.url("broker"))).await.json();
    assert_eq!(given_up, json!({ "undelivered": [] }));
    assert!(broker.log().contains("it shows no sign of life"), "{}", broker.log());
    phone.close().await;
}
