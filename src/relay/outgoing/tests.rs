//! Sends through an outbox whose log confirms when the test says so.

mod callbacks;
mod closing;
mod keys;
mod notices;

use std::collections::VecDeque;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::outbox::Log;
use crate::bus::{self, Bus, Membership};
use crate::message::{Completion, InstanceId, Message, Receipt, Role, Verdict};
use crate::relay::{Config, Error, Handlers, Identity, Metrics, Relay};

/// A log that stores nothing before the test confirms it.
#[derive(Default)]
struct SlowLog(Mutex<VecDeque<Completion<Result<(), Error>>>>);

impl Log for SlowLog {
    fn append(&self, _message: &Message) -> Receipt<Result<(), Error>> {
        let (completion, receipt) = Receipt::later(Err(Error::Closed));
        self.0.lock().unwrap().push_back(completion);
        receipt
    }
}

impl SlowLog {
    /// Answers the oldest message that is not confirmed.
    fn answer(&self, outcome: Result<(), Error>) {
        self.0.lock().unwrap().pop_front().expect("a message waits for the log").complete(outcome);
    }
}

/// A bus that records the names of published messages, and refuses those whose receiver is busy.
#[derive(Default)]
struct RecordingBus {
    published: Mutex<Vec<Message>>,
    busy: Mutex<Option<&'static str>>,
    /// Names that nobody receives.
    unknown: Mutex<Vec<&'static str>>,
    /// The failure of every call while it is set.
    away: Mutex<Option<bus::Error>>,
    joining_time: Mutex<Duration>,
}

impl RecordingBus {
    fn judge(&self, message: &Message) -> Verdict {
        if *self.busy.lock().unwrap() == Some(message.name.as_str()) {
            return Verdict::Busy { retry_after: Duration::from_millis(100) };
        }
        if self.unknown.lock().unwrap().contains(&message.name.as_str()) {
            return Verdict::NoReceivers;
        }
        self.published.lock().unwrap().push(message.clone());
        Verdict::Accepted
    }

    fn check_away(&self) -> Result<(), bus::Error> {
        self.away.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

impl Bus for RecordingBus {
    fn publish_now(&self, _message: &Message) -> Option<Verdict> {
        None
    }

    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Result<Vec<Verdict>, bus::Error>> {
        let outcome = self.check_away().map(|()| batch.iter().map(|message| self.judge(message)).collect());
        async move { outcome }.boxed()
    }

    fn join_now(&self, _membership: &Membership) -> Option<Result<Duration, bus::Error>> {
        None
    }

    fn join<'a>(&'a self, _membership: &'a Membership) -> BoxFuture<'a, Result<Duration, bus::Error>> {
        let outcome = self.check_away().map(|()| Duration::from_secs(60));
        let time = *self.joining_time.lock().unwrap();
        async move {
            tokio::time::sleep(time).await;
            outcome
        }
        .boxed()
    }

    fn leave<'a>(&'a self, _membership: &'a Membership) -> BoxFuture<'a, Result<(), bus::Error>> {
        async move { Ok(()) }.boxed()
    }
}

struct World {
    relay: Relay,
    log: Arc<SlowLog>,
    bus: Arc<RecordingBus>,
}

/// A relay whose outbox has that many places, and a log.
fn world(outbox_messages_max: usize) -> World {
    start(Config { outbox_messages_max, ..Config::default() }, true)
}

fn start(config: Config, logged: bool) -> World {
    let (log, bus) = (Arc::new(SlowLog::default()), Arc::new(RecordingBus::default()));
    let identity = Identity {
        role: Role::parse("web").unwrap(),
        instance: InstanceId::parse("web-1").unwrap(),
        bus: Arc::clone(&bus) as Arc<dyn Bus>,
        endpoint: None,
        online_port: 0,
        batch: true,
        token: None,
        payload_bytes_max: 1024,
    };
    let storing = logged.then(|| Arc::clone(&log) as Arc<dyn Log>);
    let relay = Relay::start_with_log(identity, config, Metrics::default(), Handlers::default(), storing);
    World { relay, log, bus }
}

impl World {
    /// Starts to send a message. The send is pending.
    async fn start(&self, name: &str) -> BoxFuture<'static, Result<(), Error>> {
        let mut sending = self.relay.send(name, ()).into_future().map(|outcome| outcome.map(drop)).boxed();
        assert!(futures_util::poll!(&mut sending).is_pending(), "accepted before the log has confirmed");
        self.run_tasks().await;
        assert!(futures_util::poll!(&mut sending).is_pending(), "accepted before the log has confirmed");
        sending
    }

    async fn run_tasks(&self) {
        // On a paused clock this returns once all tasks are idle.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn check_published(&self, names: &[&str]) {
        let published = self.published();
        assert_eq!(published.iter().map(|message| message.name.as_str()).collect::<Vec<_>>(), names);
    }

    fn published(&self) -> Vec<Message> {
        self.bus.published.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_is_pending_until_the_log_has_stored_its_message() {
    let world = world(9);
    let (first, second) = (world.start("first").await, world.start("second").await);
    world.check_published(&[]);
    world.log.answer(Ok(()));
    first.await.unwrap();
    world.log.answer(Ok(()));
    second.await.unwrap();
    world.run_tasks().await;
    world.check_published(&["first", "second"]);
    assert_eq!(world.relay.close_within(Duration::from_secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_stored_is_refused_and_not_sent() {
    let world = world(9);
    let (first, second) = (world.start("first").await, world.start("second").await);
    world.log.answer(Err(Error::Incoming("the disk is full".into())));
    assert_eq!(first.await.unwrap_err().to_string(), "the disk is full");
    world.log.answer(Ok(()));
    second.await.unwrap();
    world.run_tasks().await;
    world.check_published(&["second"]);
    assert_eq!(world.relay.close_within(Duration::from_secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn messages_that_wait_for_the_log_count_towards_the_limit_of_the_outbox() {
    let world = world(1);
    let first = world.start("first").await;
    let error = world.relay.send("second", ()).await.unwrap_err();
    assert!(matches!(error, Error::Busy { places: 1, .. }), "{error}");
    world.log.answer(Ok(()));
    first.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_fails_when_its_message_cannot_be_stored() {
    let world = world(9);
    let mut replies = world.relay.request("ask", ()).replies().unwrap();
    world.log.answer(Err(Error::Incoming("the disk is full".into())));
    assert_eq!(replies.next().await.unwrap().unwrap_err().to_string(), "the disk is full");
    assert!(replies.next().await.is_none());
    drop(replies);
    assert_eq!(world.relay.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_callback_is_registered_once_its_message_is_accepted() {
    let world = world(9);
    let mut sending = world.relay.send("ask", ()).on_reply(|_, _| async {}).into_future();
    assert!(futures_util::poll!(&mut sending).is_pending());
    world.log.answer(Ok(()));
    sending.await.unwrap();
    assert_eq!(world.relay.waiting(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_busy_receiver_holds_up_only_its_own_messages() {
    let world = start(Config { outbox_messages_max: 8, ..Config::default() }, false);
    world.relay.ready().await;
    *world.bus.busy.lock().unwrap() = Some("slow");
    for name in ["slow", "slow", "slow", "other"] {
        world.relay.send(name, ()).await.unwrap();
    }
    world.run_tasks().await;
    world.check_published(&["other"]);
    world.relay.send("slow", ()).await.unwrap();
    world.run_tasks().await;
    let error = world.relay.send("slow", ()).await.unwrap_err().to_string();
    assert_eq!(error, "the outbox's share for one busy receiver is full (limit 4): try again in 1000 ms");
    let error = world.relay.request("slow", ()).await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    world.relay.send("other", ()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let problem = world.relay.outbox_error().unwrap();
    assert_eq!(problem, "4 messages wait, the oldest, 'slow', for 30 s: its receiver is busy");
    *world.bus.busy.lock().unwrap() = None;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.check_published(&["other", "other", "slow", "slow", "slow", "slow"]);
    assert_eq!(world.relay.outbox_error(), None);
    assert_eq!(world.relay.close_within(Duration::from_secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_fails_at_once_while_the_bus_cannot_be_reached() {
    let world = start(Config::default(), false);
    world.relay.ready().await;
    let away = bus::Error::NotConnected { authority: "localhost:3100".into() };
    *world.bus.away.lock().unwrap() = Some(away);
    for _ in 0..2 {
        let error = world.relay.request("ask", ()).timeout(Duration::MAX).await.unwrap_err();
        assert_eq!(error.to_string(), "not connected to the broker at localhost:3100");
    }
    world.relay.send("note", ()).await.unwrap();
    *world.bus.away.lock().unwrap() = None;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.check_published(&["note"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_made_while_the_relay_joins_fails_when_that_fails() {
    let world = start(Config::default(), false);
    *world.bus.joining_time.lock().unwrap() = Duration::from_secs(5);
    *world.bus.away.lock().unwrap() = Some(bus::Error::NotConnected { authority: "localhost:3100".into() });
    let start = tokio::time::Instant::now();
    let error = world.relay.request("ask", ()).await.unwrap_err();
    assert_eq!(error.to_string(), "not connected to the broker at localhost:3100");
    assert_eq!(start.elapsed().as_secs(), 5);
}
