//! Relays that lose their bus when the test says so, on a clock that the test drives.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::bus::{self, Bus, Membership};
use crate::message::{InstanceId, Message, Role, Verdict};
use crate::relay::{Config, Event, Events, Handlers, Identity, Metrics, Relay};

/// Accepts every relay, and drops it when the test says so.
struct FragileBus {
    joins: Mutex<Vec<Instant>>,
    /// Number of losses so far.
    losses: watch::Sender<usize>,
    /// Number of losses before the last join.
    known: Mutex<usize>,
    /// True if relays are dropped as soon as they have joined.
    always: bool,
}

impl Bus for FragileBus {
    fn publish_now(&self, _message: &Message) -> Option<Verdict> {
        None
    }

    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Result<Vec<Verdict>, bus::Error>> {
        async move { Ok(vec![Verdict::Accepted; batch.len()]) }.boxed()
    }

    fn join_now(&self, _membership: &Membership) -> Option<Result<Duration, bus::Error>> {
        None
    }

    fn join<'a>(&'a self, _membership: &'a Membership) -> BoxFuture<'a, Result<Duration, bus::Error>> {
        self.joins.lock().unwrap().push(Instant::now());
        *self.known.lock().unwrap() = *self.losses.borrow();
        async move { Ok(Duration::from_secs(60)) }.boxed()
    }

    fn leave<'a>(&'a self, _membership: &'a Membership) -> BoxFuture<'a, Result<(), bus::Error>> {
        async move { Ok(()) }.boxed()
    }

    fn lost(&self) -> BoxFuture<'_, bus::Error> {
        let known = *self.known.lock().unwrap();
        async move {
            if !self.always {
                self.losses.subscribe().wait_for(|losses| *losses > known).await.unwrap();
            }
            bus::Error::Lost { authority: "broker:3100".into(), cause: "it hung up".into() }
        }
        .boxed()
    }
}

fn fragile(always: bool) -> Arc<FragileBus> {
    let (joins, known) = (Mutex::default(), Mutex::default());
    Arc::new(FragileBus { joins, losses: watch::Sender::new(0), known, always })
}

fn relay(bus: &Arc<FragileBus>) -> Relay {
    let identity = Identity {
        role: Role::parse("web").unwrap(),
        instance: InstanceId::parse("web-1").unwrap(),
        bus: Arc::clone(bus) as Arc<dyn Bus>,
        endpoint: None,
        online_port: 3100,
        batch: true,
        token: None,
        payload_bytes_max: 1024,
    };
    Relay::start(identity, Config::default(), Metrics::default(), Handlers::default())
}

async fn check_next(events: &mut Events, expected: &str) {
    let text = match events.next().await.unwrap() {
        Event::Online { port } => format!("online {port}"),
        Event::Offline => "offline".to_owned(),
        Event::Error(error) => error.to_string(),
    };
    assert_eq!(text, expected);
}

#[tokio::test(start_paused = true)]
async fn a_lost_bus_is_reported_at_once_and_joined_again() {
    let bus = fragile(false);
    let relay = relay(&bus);
    relay.ready().await;
    let mut events = relay.events();
    check_next(&mut events, "online 3100").await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let lost = Instant::now();
        bus.losses.send_modify(|losses| *losses += 1);
        check_next(&mut events, "offline").await;
        assert_eq!(lost.elapsed(), Duration::ZERO);
        let error = relay.bus_error().unwrap();
        assert_eq!(error, "lost the connection to the broker at broker:3100: it hung up");
        check_next(&mut events, "online 3100").await;
        assert!(lost.elapsed() <= Duration::from_millis(101), "{:?}", lost.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn relays_that_lose_their_broker_return_at_different_moments() {
    let bus = fragile(false);
    let relays: Vec<_> = (0..50).map(|_| relay(&bus)).collect();
    for relay in &relays {
        relay.ready().await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let lost = Instant::now();
    bus.losses.send_modify(|losses| *losses += 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let joins = bus.joins.lock().unwrap().clone();
    assert_eq!(joins.len(), 100, "each has joined twice");
    let waits: BTreeSet<_> = joins[50..].iter().map(|join| join.duration_since(lost).as_millis()).collect();
    assert!(waits.len() > 20, "they returned at only {} different moments: {waits:?}", waits.len());
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_is_dropped_as_soon_as_it_has_joined_waits_longer_each_time() {
    let bus = fragile(true);
    let _relay = relay(&bus);
    tokio::time::sleep(Duration::from_secs(100)).await;
    let joins = bus.joins.lock().unwrap().len();
    assert!((50..200).contains(&joins), "it joined {joins} times in 100 s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_starts_as_a_relay_comes_online_gets_the_event_once() {
    for _ in 0..300 {
        let relay = Relay::builder("web").bus("embedded").connect().await.unwrap();
        relay.ready().await;
        let mut events = relay.events();
        relay.close().await;
        let mut received = Vec::new();
        while !matches!(received.last(), Some(Event::Offline)) {
            received.extend(events.next().await);
        }
        assert!(matches!(received[..], [Event::Online { .. }, Event::Offline]), "{received:?}");
    }
}

#[tokio::test]
async fn a_relay_that_has_left_does_not_come_back() {
    let relay = Relay::builder("web").bus("embedded").connect().await.unwrap();
    relay.ready().await;
    relay.close().await;
    relay.on("late", |_, _| async { Ok(()) }).unwrap();
    assert_eq!(relay.bus_error().unwrap(), "the relay is closed");
}
