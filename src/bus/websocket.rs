//! Bus to an ExoCom broker over one WebSocket in both directions: ours, which acknowledges every message, or an original of
//! the WebSocket era (exo 3), which acknowledges nothing.
//!
//! With our broker this is as reliable as HTTP: a message counts as sent when the broker has accepted it, and as delivered
//! when the inbox has. With an original it counts as sent once it is written to the socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, watch};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use uuid::Uuid;

use super::{Bus, Close, Config, Error, Membership, Register, batch_len};
use crate::broker::{Dialect, Hello, sending_frame};
use crate::http::websocket::Ending;
use crate::message::{Message, MessageId, Registration, Verdict};

use connection::Connection;

use handshake::{Peer, Target};
use session::Setup;

mod connection;
mod handshake;
mod intake;
mod rules;
mod session;
#[cfg(test)]
mod tests;

/// Renewal interval. Long, since the connection itself is the lease.
const RENEWAL: Duration = Duration::from_secs(60);

/// Maximum number of messages sent before the first is acknowledged.
const BATCH_MESSAGES_MAX: usize = 1_024;

/// Bus to a broker over a WebSocket.
pub struct WebSocketBus {
    target: Target,
    register: Register,
    close: Close,
    connect_timeout: Duration,
    timeout: Duration,
    heartbeat: Duration,
    frame_bytes_max: usize,
    /// Connection between joining and leaving. May already be lost.
    current: watch::Sender<Option<Arc<Connection>>>,
    /// Registration last sent to the broker. Locked while one is being sent.
    registered: Mutex<Option<Registration>>,
    /// Number of messages to send one by one, to find the one that was too large for the broker.
    one_by_one: AtomicUsize,
}

impl WebSocketBus {
    /// Creates the bus. Opens no connection yet. Returns `None` if the URL is not a `ws` or `wss` URL.
    pub fn new(config: &Config) -> Option<Self> {
        Some(Self {
            target: Target::parse(&config.url)?.with_token(&config.token),
            register: config.register,
            close: config.close,
            connect_timeout: Duration::from_millis(config.connect_timeout_ms),
            timeout: Duration::from_millis(config.timeout_ms),
            heartbeat: Duration::from_millis(config.heartbeat_ms),
            frame_bytes_max: config.frame_bytes_max,
            current: watch::Sender::new(None),
            registered: Mutex::new(None),
            one_by_one: AtomicUsize::new(0),
        })
    }

    /// Returns the broker's port.
    pub fn port(&self) -> u16 {
        self.target.port
    }

    fn current(&self) -> Option<Arc<Connection>> {
        self.current.borrow().clone()
    }

    async fn connect(&self, membership: &Membership) -> Result<Connection, Error> {
        let (stream, peer) = self.target.open(self.connect_timeout, self.frame_bytes_max).await?;
        let setup = Setup {
            authority: self.target.authority.clone(),
            role: membership.registration.role.clone(),
            timeout: self.timeout,
            heartbeat: self.heartbeat,
            ending: ending(self.close, peer),
        };
        Ok(Connection::start(stream, peer, Arc::clone(&membership.inbox), setup))
    }

    async fn announce(&self, connection: &Connection, registration: &Registration) -> Result<(), Error> {
        let hello = hello(registration, self.register);
        let frame = hello.to_json(&MessageId::from_uuid(Uuid::now_v7()));
        let verdicts = connection.send(vec![frame], Vec::new()).await?;
        match verdicts.into_iter().next() {
            Some(Verdict::Accepted) => Ok(()),
            Some(Verdict::Refused { detail } | Verdict::Forbidden { detail }) => Err(Error::Registration(detail)),
            Some(Verdict::NoReceivers) => Err(Error::Registration("it does not know this role".into())),
            Some(Verdict::Busy { .. }) | None => Err(Error::Registration("it is busy".into())),
        }
    }

    async fn join_or_renew(&self, membership: &Membership) -> Result<Duration, Error> {
        let mut registered = self.registered.lock().await;
        let registration = &membership.registration;
        let open = self.current().filter(|connection| connection.is_open());
        if let Some(connection) = open {
            // An original is configured separately and would list the service once more for each registration.
            let can_update = connection.peer == Peer::Acknowledging && self.register == Register::Auto;
            if can_update && registered.as_ref() != Some(registration) {
                self.announce(&connection, registration).await?;
                *registered = Some(registration.clone());
            }
            return Ok(RENEWAL);
        }
        let connection = self.connect(membership).await?;
        self.announce(&connection, registration).await?;
        *registered = Some(registration.clone());
        self.current.send_replace(Some(Arc::new(connection)));
        Ok(RENEWAL)
    }

    async fn publish_batch(&self, batch: &[Message]) -> Result<Vec<Verdict>, Error> {
        let Some(connection) = self.current() else {
            return Err(Error::NotConnected { authority: self.target.authority.clone() });
        };
        let singly = self.one_by_one.load(Ordering::Relaxed);
        let messages_max = if singly > 0 { 1 } else { BATCH_MESSAGES_MAX };
        let mut frames = Vec::new();
        let mut conversations = Vec::new();
        for message in &batch[..batch_len(batch, messages_max)] {
            let frame = match connection.peer {
                Peer::Acknowledging => message.to_json(),
                Peer::Original => sending_frame(message),
            };
            if frame.len() > self.frame_bytes_max {
                if frames.is_empty() {
                    return Ok(vec![self.oversized(frame.len())]);
                }
                break;
            }
            frames.push(frame);
            if connection.peer == Peer::Original {
                conversations.push((message.conversation(), message.id.clone()));
            }
        }
        let sent = frames.len();
        let outcome = connection.send(frames, conversations).await;
        match &outcome {
            Err(Error::TooLarge { .. }) if sent == 1 => {
                self.one_by_one.store(0, Ordering::Relaxed);
                let detail = "the broker closed the connection because the message exceeds its size limit".to_owned();
                return Ok(vec![Verdict::Refused { detail }]);
            }
            Err(Error::TooLarge { .. }) => self.one_by_one.store(sent, Ordering::Relaxed),
            Ok(_) => self.one_by_one.store(singly.saturating_sub(1), Ordering::Relaxed),
            Err(_) => {}
        }
        outcome
    }

    fn oversized(&self, bytes: usize) -> Verdict {
        let bytes_max = self.frame_bytes_max;
        Verdict::Refused { detail: format!("its frame of {bytes} bytes exceeds bus.frame_bytes_max ({bytes_max})") }
    }
}

impl Bus for WebSocketBus {
    fn registers_names(&self) -> bool {
        let is_ours = |connection: Arc<Connection>| connection.peer == Peer::Acknowledging;
        self.register == Register::Auto && self.current().is_some_and(is_ours)
    }

    fn publish_now(&self, _message: &Message) -> Option<Verdict> {
        None
    }

    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Result<Vec<Verdict>, Error>> {
        async move {
            assert!(!batch.is_empty(), "an empty batch has no verdict");
            self.publish_batch(batch).await
        }
        .boxed()
    }

    fn join_now(&self, _membership: &Membership) -> Option<Result<Duration, Error>> {
        None
    }

    fn join<'a>(&'a self, membership: &'a Membership) -> BoxFuture<'a, Result<Duration, Error>> {
        self.join_or_renew(membership).boxed()
    }

    fn leave<'a>(&'a self, _membership: &'a Membership) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let mut registered = self.registered.lock().await;
            *registered = None;
            if let Some(connection) = self.current.send_replace(None) {
                connection.leave().await;
            }
            Ok(())
        }
        .boxed()
    }

    fn lost(&self) -> BoxFuture<'_, Error> {
        async move {
            let mut current = self.current.subscribe();
            loop {
                let connection = current.borrow_and_update().clone();
                if let Some(connection) = connection {
                    return connection.lost().await;
                }
                // The sender lives as long as this bus.
                drop(current.changed().await);
            }
        }
        .boxed()
    }
}

/// Builds the registration frame. With `Register::Off` it contains only the role, as in the originals.
fn hello(registration: &Registration, register: Register) -> Hello {
    let Registration { role, instance, receives, sends, namespace, batch: _, token, away } = registration.clone();
    let (role_only, dialect) = (register == Register::Off, Dialect::ActivityId);
    Hello {
        role,
        dialect,
        instance: Some(instance).filter(|_| !role_only),
        receives: if role_only { Vec::new() } else { receives },
        sends: if role_only { Vec::new() } else { sends },
        namespace: namespace.filter(|_| !role_only),
        token,
        away: away && !role_only,
    }
}

fn ending(close: Close, peer: Peer) -> Ending {
    match (close, peer) {
        (Close::Polite, _) | (Close::Auto, Peer::Acknowledging) => Ending::polite(CloseCode::Normal),
        (Close::Abrupt, _) | (Close::Auto, Peer::Original) => Ending::Abrupt,
    }
}
