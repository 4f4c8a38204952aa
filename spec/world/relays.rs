//! Relays in this process, as a Rust user makes them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use exorelay::broker::{self, Broker};
use exorelay::bus::{self, Register};
use exorelay::http::{Limits, Listening, Serving};
use exorelay::message::{Message, MessageId};
use exorelay::{Config, Error, Event, Relay};
use tokio::task::JoinHandle;

use super::eventually::eventually;
use super::service::{Behaviour, Service};

/// A relay, and the messages its handlers have handled.
#[derive(Clone)]
pub struct Member {
    pub relay: Relay,
    pub handled: Arc<Mutex<Vec<Message>>>,
    pub address: String,
}

/// Relays and brokers of this process.
#[derive(Default)]
pub struct Relays {
    pub local: Option<Broker>,
    /// A broker that listens, and where.
    pub listening: Option<(Broker, Serving)>,
    pub broker_address: String,
    /// Records what it is sent.
    pub recorder: Option<Service>,
    pub members: Vec<(String, Member)>,
    /// A relay that is in no list yet.
    pub made: Option<Relay>,
    pub sent: Vec<MessageId>,
    pub failure: Option<Error>,
    pub outcome: Option<JoinHandle<Result<Message, Error>>>,
    pub outcomes: Vec<JoinHandle<Result<Message, Error>>>,
    pub streamed: Vec<Result<String, String>>,
    pub callbacks: Arc<Mutex<Vec<Message>>>,
    pub events: Arc<Mutex<Vec<Event>>>,
    /// Errors in the background, in words.
    pub failures: Arc<Mutex<Vec<String>>>,
}

impl std::fmt::Debug for Relays {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let members: HashMap<_, _> = self.members.iter().map(|(name, member)| (name, &member.handled)).collect();
        write!(formatter, "failure: {:?}, members: {members:?}", self.failure)
    }
}

impl Relays {
    pub fn member(&self, role: &str) -> Member {
        let found = self.members.iter().find(|(name, _)| name == role);
        found.unwrap_or_else(|| panic!("there is no relay {role:?}")).1.clone()
    }

    pub fn relay(&self, role: &str) -> Relay {
        self.member(role).relay
    }

    pub fn recorder(&self) -> &Service {
        self.recorder.as_ref().expect("there is a recording broker")
    }

    /// A relay on the bus of this process.
    pub async fn join_local(&mut self, role: &str, config: Config) {
        let broker = self.local.as_ref().expect("there is a bus");
        let relay = Relay::builder(role).config(config).broker(broker).listen("127.0.0.1:0").connect().await;
        self.add(role, relay.expect("it can connect"));
    }

    /// A relay that uses the broker at `url`.
    pub async fn join(&mut self, role: &str, url: &str, register: Register, config: Config) {
        let builder = Relay::builder(role).config(config).bus(url).register(register).listen("127.0.0.1:0");
        self.add(role, builder.connect().await.expect("it can connect"));
    }

    /// A relay that opens a connection to the broker, and listens nowhere.
    pub async fn join_with(&mut self, role: &str, config: bus::Config) {
        let relay = Relay::builder(role).bus_config(config).connect().await;
        self.add(role, relay.expect("it can connect"));
    }

    fn add(&mut self, role: &str, relay: Relay) {
        let address = relay.address().map(|address| address.to_string()).unwrap_or_default();
        self.members.push((role.to_owned(), Member { relay, handled: Arc::default(), address }));
    }

    pub fn record(&mut self) {
        self.recorder = Some(Service::up(Behaviour::Accept));
    }

    /// Reserves a port for a broker that is not running yet.
    pub fn reserve(&mut self) {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        self.broker_address = free.local_addr().expect("it is bound").to_string();
    }

    pub async fn start_broker(&mut self) {
        self.start_broker_with(broker::Config::default()).await;
    }

    pub async fn start_broker_with(&mut self, config: broker::Config) {
        if self.broker_address.is_empty() {
            self.reserve();
        }
        let broker = Broker::start(config);
        let listening = Listening::bind("test", &self.broker_address).await.expect("the port is free");
        let limits = Limits::default();
        let serving = listening.serve(broker::routes::router(broker.clone(), &limits), &limits);
        self.listening = Some((broker, serving));
    }

    pub async fn stop_broker(&mut self) {
        let (broker, serving) = self.listening.take().expect("a broker listens");
        serving.drain(Duration::ZERO).await;
        broker.close(Duration::ZERO).await;
    }

    /// A relay of the listening broker that handles messages of this name.
    pub async fn serve(&mut self, role: &str, name: &str) {
        if self.members.iter().any(|(known, _)| known == role) {
            return;
        }
        let url = format!("http://{}", self.broker_address);
        // One handler at a time keeps the order of arrival.
        let config = Config { handlers_concurrent_max: 1, ..Config::default() };
        self.join(role, &url, Register::Auto, config).await;
        let member = self.member(role);
        let handled = member.handled.clone();
        let handler = move |message, _| {
            let handled = handled.clone();
            async move {
                handled.lock().unwrap().push(message);
                Ok(())
            }
        };
        member.relay.on(name, handler).expect("it has no handler yet");
        member.relay.ready().await;
    }

    /// The messages of this name that `role` has handled, once there are `count`.
    pub async fn handled(&self, role: &str, name: &str, count: usize) -> Vec<Message> {
        let member = self.member(role);
        eventually((role.to_owned(), name.to_owned(), count), || async {
            let handled = member.handled.lock().unwrap();
            let named: Vec<_> = handled.iter().filter(|message| message.name.as_str() == name).cloned().collect();
            (named.len() >= count).then_some(named)
        })
        .await
    }

    pub fn keep(&mut self, outcome: Result<MessageId, Error>) {
        match outcome {
            Ok(id) => self.sent.push(id),
            Err(error) => self.failure = Some(error),
        }
    }
}
