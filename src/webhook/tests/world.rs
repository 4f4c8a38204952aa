//! Test fixture: a relay with a webhook between a recording bus and a scripted service.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::service::{Reaction, Service};
use crate::bus::{self, Bus, Membership};
use crate::message::{ActivityId, InstanceId, Message, MessageId, MessageName, Payload, Role, TraceParent, Verdict};
use crate::relay::{self, Handlers, Identity, Relay};
use crate::webhook::{Config, Metrics, Webhook};

pub(super) const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A bus that accepts everything, except as its script says.
#[derive(Default)]
pub(super) struct RecordingBus {
    verdicts: Mutex<VecDeque<Verdict>>,
    sent: Mutex<Vec<Message>>,
}

impl Bus for RecordingBus {
    fn publish_now(&self, message: &Message) -> Option<Verdict> {
        let verdict = self.verdicts.lock().unwrap().pop_front().unwrap_or(Verdict::Accepted);
        if verdict == Verdict::Accepted {
            self.sent.lock().unwrap().push(message.clone());
        }
        Some(verdict)
    }

    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Result<Vec<Verdict>, bus::Error>> {
        ready(Ok(batch.iter().filter_map(|message| self.publish_now(message)).collect())).boxed()
    }

    fn join_now(&self, _membership: &Membership) -> Option<Result<Duration, bus::Error>> {
        Some(Ok(Duration::from_secs(3_600)))
    }

    fn join<'a>(&'a self, _membership: &'a Membership) -> BoxFuture<'a, Result<Duration, bus::Error>> {
        ready(Ok(Duration::from_secs(3_600))).boxed()
    }

    fn registers_names(&self) -> bool {
        false
    }

    fn leave<'a>(&'a self, _membership: &'a Membership) -> BoxFuture<'a, Result<(), bus::Error>> {
        ready(Ok(())).boxed()
    }
}

pub(super) struct World {
    pub(super) relay: Relay,
    pub(super) service: Service,
    pub(super) webhook: Webhook,
    pub(super) metrics: Metrics,
    bus: Arc<RecordingBus>,
}

/// Returns settings with short waits: at least four attempts fit into the deadline.
pub(super) fn quick() -> Config {
    Config {
        timeout_ms: 10_000,
        connect_timeout_ms: 10_000,
        deadline_ms: 30_000,
        retry_wait_max_ms: 10,
        answer_bytes_max: 1024,
        breaker_failures: 0,
        ..Config::default()
    }
}

impl World {
    pub(super) async fn start(config: Config, script: impl IntoIterator<Item = Reaction>) -> Self {
        let service = Service::start(script).await;
        let bus = Arc::new(RecordingBus::default());
        let identity = Identity {
            role: Role::parse("users").unwrap(),
            instance: InstanceId::parse("users-1").unwrap(),
            bus: Arc::clone(&bus) as Arc<dyn Bus>,
            endpoint: None,
            online_port: 0,
            batch: true,
            token: None,
            payload_bytes_max: 1024,
        };
        let forward = if config.forward.is_empty() { service.url.clone() } else { config.forward.clone() };
        let metrics = Metrics::default();
        let webhook = Webhook::start(&Config { forward, ..config }, metrics.clone()).unwrap();
        let mut handlers = Handlers::default();
        handlers.set_fallback(webhook.fallback());
        let (config, counters) = (relay::Config::default(), relay::Metrics::default());
        let relay = Relay::start(identity, config, counters, handlers);
        Self { relay, service, webhook, metrics, bus }
    }

    /// Makes the bus return these verdicts before it accepts anything.
    pub(super) fn bus_answers(&self, verdicts: impl IntoIterator<Item = Verdict>) {
        self.bus.verdicts.lock().unwrap().extend(verdicts);
    }

    /// Delivers one message and waits until it is handled or a dead letter. Errors: the reason of the dead letter.
    pub(super) async fn handle(&self, message: Message) -> Result<(), String> {
        let before = self.relay.dead_letters().len();
        let outcome = self.relay.receive_handled(message).await.unwrap().map_err(|failure| failure.reason);
        let letters = self.relay.dead_letters();
        let reason = letters.get(before).map(|letter| letter.reason.clone());
        assert_eq!(outcome.as_ref().err(), reason.as_ref());
        outcome
    }

    /// Returns what was sent to the bus, as `name payload`.
    pub(super) fn sent(&self) -> Vec<String> {
        let text = |message: &Message| match &message.payload {
            Some(payload) => format!("{} {payload}", message.name),
            None => message.name.to_string(),
        };
        self.bus.sent.lock().unwrap().iter().map(text).collect()
    }

    pub(super) fn sent_messages(&self) -> Vec<Message> {
        self.bus.sent.lock().unwrap().clone()
    }
}

pub(super) fn message(id: &str) -> Message {
    let mut message = Message::new(MessageId::parse(id).unwrap(), MessageName::parse("users.create").unwrap());
    message.payload = Some(Payload::parse("{ \"name\": \"Will\" }".into()).unwrap());
    message
}

/// Returns a message with every field set.
pub(super) fn full_message() -> Message {
    Message {
        sender: Some(Role::parse("web").unwrap()),
        activity_id: Some(ActivityId::parse("7").unwrap()),
        response_to: Some(MessageId::parse("6").unwrap()),
        trace: TraceParent::parse(TRACE),
        ..message("8")
    }
}
