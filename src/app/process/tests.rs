//! The end of a process whose parts all have work that does not end, on a clock that the test drives.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::{BrokerPart, Deadline, Process};
use crate::broker::{self, Broker};
use crate::message::{InstanceId, MessageName, Registration, Role};
use crate::relay::Relay;

/// A relay whose handler of the message `name` never ends.
async fn stuck(broker: &Broker, name: &'static str) -> Relay {
    let handler = |_, _| std::future::pending();
    Relay::builder(name).broker(broker).on(name, handler).connect().await.unwrap()
}

/// Registers a service at a port where nothing listens.
fn register_unreachable(broker: &Broker, name: &str) {
    let registration = Registration {
        role: Role::parse(name).unwrap(),
        instance: InstanceId::parse(name).unwrap(),
        receives: vec![MessageName::parse(name).unwrap()],
        sends: Vec::new(),
        namespace: None,
        batch: false,
        token: None,
        away: false,
    };
    broker.register(registration, SocketAddr::from(([127, 0, 0, 1], 9))).unwrap();
}

async fn check(grace: Duration) {
    let broker = Broker::start(broker::Config { settle_ms: 0, lease_ms: 600_000, ..Default::default() });
    let relays = vec![stuck(&broker, "first").await, stuck(&broker, "second").await];
    register_unreachable(&broker, "third");
    for name in ["first", "second", "third"] {
        relays[0].send(name, ()).await.unwrap();
    }
    let broker = Some(BrokerPart { broker, serving: None, closes_port_first: false });
    let mut process = Process { relays, broker, ..Process::default() };
    assert_eq!(process.unfinished(), 3);
    let (start, deadline) = (Instant::now(), Deadline::of(grace));
    process.drain(deadline).await;
    assert_eq!(process.unfinished(), 3);
    process.end(deadline).await;
    assert_eq!(process.unfinished(), 3);
    // Handlers learn of the end also without any grace time.
    let slack = Duration::from_millis(100);
    assert!(start.elapsed() <= grace.max(slack), "{:?} with a grace of {grace:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn all_parts_of_a_process_end_within_one_grace_time() {
    for grace in [0, 500, 2_000, 10_000] {
        check(Duration::from_millis(grace)).await;
    }
}
