//! Test fixtures: a scripted broker, and a relay that records what it receives.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::HeaderValue;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{self, Message as RawFrame};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use crate::broker::ACKS_HEADER;
use crate::bus::websocket::handshake::Peer;
use crate::bus::{Bus, Config, Error, Membership, WebSocketBus};
use crate::message::{Delivery, Inbox, InstanceId, Message, MessageId, MessageName, Receipt, Registration, Role};

/// A scripted broker that accepts connections.
pub(super) struct FakeBroker {
    listener: TcpListener,
    peer: Peer,
}

impl FakeBroker {
    pub(super) async fn start(peer: Peer) -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), peer }
    }

    pub(super) fn authority(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    pub(super) fn config(&self) -> Config {
        Config { url: format!("ws://{}", self.authority()), ..Config::default() }
    }

    /// Accepts the next connection and performs the handshake.
    pub(super) async fn accept(&self) -> End {
        let (stream, _) = self.listener.accept().await.unwrap();
        let ours = self.peer == Peer::Acknowledging;
        #[expect(clippy::result_large_err, reason = "it is the library's own type")]
        let answer = move |request: &Request, mut answer: Response| {
            assert_eq!(request.uri().path(), "/services");
            assert_eq!(request.headers()[ACKS_HEADER], "1");
            if ours {
                answer.headers_mut().insert(ACKS_HEADER, HeaderValue::from_static("1"));
            }
            Ok(answer)
        };
        End { socket: accept_hdr_async(stream, answer).await.unwrap() }
    }

    /// Returns a relay that has joined, and the broker's end of its connection.
    pub(super) async fn joined(&self, config: Config) -> (Member, End) {
        let member = Member::new(config);
        let end = self.join(&member).await.unwrap();
        (member, end)
    }

    /// Lets `member` connect, and accepts its registration.
    pub(super) async fn join(&self, member: &Member) -> Result<End, Error> {
        let accept = async {
            let mut end = self.accept().await;
            assert_eq!(end.frame().await["name"], "exocom.register-service");
            if self.peer == Peer::Acknowledging {
                end.send(json!([{ "status": 200 }])).await;
            }
            end
        };
        let (joined, end) = tokio::join!(member.bus.join(&member.membership), accept);
        joined.map(|_| end)
    }
}

/// The broker's end of a connection.
pub(super) struct End {
    pub(super) socket: WebSocketStream<TcpStream>,
}

impl End {
    /// Returns the next frame that is neither ping nor pong, or an error at the end.
    pub(super) async fn raw(&mut self) -> Result<RawFrame, tungstenite::Error> {
        loop {
            match self.socket.next().await.unwrap_or(Err(tungstenite::Error::ConnectionClosed))? {
                RawFrame::Ping(_) | RawFrame::Pong(_) => {}
                frame => return Ok(frame),
            }
        }
    }

    /// Returns the next text frame, parsed.
    pub(super) async fn frame(&mut self) -> Value {
        let frame = self.raw().await.unwrap();
        serde_json::from_str(frame.to_text().unwrap()).unwrap()
    }

    pub(super) async fn frames(&mut self, count: usize) -> Vec<Value> {
        let mut frames = Vec::new();
        while frames.len() < count {
            frames.push(self.frame().await);
        }
        frames
    }

    pub(super) async fn send(&mut self, frame: Value) {
        self.text(&frame.to_string()).await;
    }

    pub(super) async fn text(&mut self, text: &str) {
        self.socket.send(RawFrame::text(text)).await.unwrap();
    }
}

/// The relay's end of the connection.
pub(super) struct Member {
    pub(super) bus: WebSocketBus,
    pub(super) membership: Membership,
    pub(super) inbox: Arc<Recorder>,
}

impl Member {
    pub(super) fn new(config: Config) -> Self {
        let inbox = Arc::new(Recorder::default());
        let registration = Registration {
            role: Role::parse("web").unwrap(),
            instance: InstanceId::parse("web-1").unwrap(),
            receives: vec![MessageName::parse("created").unwrap()],
            sends: vec![MessageName::parse("create").unwrap()],
            namespace: None,
            batch: true,
            token: Some(config.token.clone()).filter(|token| !token.is_empty()),
            away: false,
        };
        let membership = Membership { registration, endpoint: None, inbox: inbox.clone() };
        Self { bus: WebSocketBus::new(&config).unwrap(), membership, inbox }
    }
}

/// Records deliveries. Knows every message but "zonk", and is busy while `full`.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) messages: Mutex<Vec<Message>>,
    pub(super) errors: Mutex<Vec<String>>,
    pub(super) full: Mutex<bool>,
}

impl Inbox for Recorder {
    fn deliver(&self, message: Message) -> Receipt<Delivery> {
        if message.name.as_str() == "zonk" {
            return Receipt::Now(Delivery::Unknown);
        }
        if *self.full.lock().unwrap() {
            return Receipt::Now(Delivery::Busy { retry_after: Duration::from_millis(20) });
        }
        self.messages.lock().unwrap().push(message);
        Receipt::Now(Delivery::Accepted)
    }

    fn report_error(&self, detail: &str) {
        self.errors.lock().unwrap().push(detail.to_owned());
    }
}

impl Recorder {
    /// Waits for `count` messages.
    pub(super) async fn got(&self, count: usize) -> Vec<Message> {
        eventually(|| Some(self.messages.lock().unwrap().clone()).filter(|messages| messages.len() >= count)).await
    }

    /// Waits for as many errors as expected and compares them.
    pub(super) async fn check_errors(&self, expected: &[&str]) {
        let enough = || Some(self.errors.lock().unwrap().clone()).filter(|all| all.len() >= expected.len());
        assert_eq!(eventually(enough).await, expected);
    }
}

pub(super) async fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(value) = ask() {
            return value;
        }
        assert!(Instant::now() < deadline, "timed out");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(super) fn message(id: &str, name: &str) -> Message {
    let message = Message::new(MessageId::parse(id).unwrap(), MessageName::parse(name).unwrap());
    Message { sender: Some(Role::parse("web").unwrap()), ..message }
}
