//! The handle of a mock broker.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::record::{Record, Reply};
use super::routes::router;
use super::send::{deliver_replies, json_of, service_url};
use super::service::{Origin, Service, Target};
use super::shared::Shared;
use super::{Error, Sending};
use crate::http::{Limits, Listening, Serving};
use crate::message::{Message, MessageName, Role};
use crate::time::deadline_in;

/// Default timeout of waits, as in the original mock. exo 5.2.
const PATIENCE: Duration = Duration::from_secs(10);

/// Maximum time that [`MockBroker::close`] waits for connections to end.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// An ExoCom broker for tests: records the messages it receives and sends the messages a test asks for. Closing or
/// dropping it ends everything it runs.
pub struct MockBroker {
    shared: Arc<Shared>,
    address: SocketAddr,
    patience: Duration,
    serving: Mutex<Option<Serving>>,
}

impl MockBroker {
    /// Listens on a free port of the loopback address. Cancel-safe. Errors: [`Error::Listen`].
    pub async fn start() -> Result<Self, Error> {
        let listening = Listening::bind("the mock broker's port", "127.0.0.1:0").await?;
        let limits = Limits::default().for_envelopes();
        let (shared, replies) = Shared::new(limits.clone());
        shared.tasks.spawn(deliver_replies(Arc::downgrade(&shared), replies));
        let serving = listening.serve(router(shared.clone()), &limits);
        Ok(Self { shared, address: serving.address(), patience: PATIENCE, serving: Mutex::new(Some(serving)) })
    }

    /// Sets the timeout of the `wait_until_*` calls and of [`MockBroker::received_anything`]. The default is 10 s.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Returns the address it listens on, for a service's `EXOCOM_HOST` and `EXOCOM_PORT`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL for relays that use HTTP, such as `http://127.0.0.1:41234`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the URL for relays that use WebSockets, such as `ws://127.0.0.1:41234/services`.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/services", self.address)
    }

    /// Registers a service that listens over HTTP and does not register itself. `address` is `HOST:PORT` or an `http`
    /// URL; messages go to `POST {address}/run/{name}`. The service need not be running yet. Registering a role again
    /// replaces its address.
    ///
    /// Errors: [`Error::Text`], [`Error::Address`], [`Error::Full`] after 1,024 services.
    pub fn register(&self, role: &str, address: impl Display) -> Result<(), Error> {
        let role = Role::parse(role)?;
        let url = service_url(&address.to_string())?;
        self.shared.add(Service { role, instance: None, origin: Origin::Test, target: Target::Http { url } })
    }

    /// Returns true if a service of this role is registered or connected.
    pub fn knows(&self, role: &str) -> bool {
        self.shared.record().services().iter().any(|known| known.role.as_str() == role)
    }

    /// Waits until a service of this role is registered or connected. Cancel-safe. Errors: [`Error::Missing`].
    pub async fn wait_until_known(&self, role: &str) -> Result<(), Error> {
        let known = |record: &Record| record.services().iter().any(|known| known.role.as_str() == role).then_some(());
        self.wait_for(|| format!("no service of the role '{role}' registered"), known).await
    }

    /// Starts a message to a service; awaiting the returned builder sends it. If the role has several services, the
    /// newest one gets the message. Unlike the original mock, sending does not clear the received messages, because the
    /// reaction to an earlier message may just be arriving; use [`MockBroker::reset`] for that.
    ///
    /// ```no_run
    /// # async fn example(broker: exorelay::testing::MockBroker) -> Result<(), exorelay::testing::Error> {
    /// broker.send("users", "users.create").payload("Will").auth("session-1").await?;
    /// # Ok(()) }
    /// ```
    pub fn send<N>(&self, role: &str, name: N) -> Sending<'_>
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        Sending::new(&self.shared, role, name)
    }

    /// Returns the status of the response to the last message sent over HTTP since the last reset: 200 if the service
    /// took it, 404 if it does not know the message. `None` before the first one, and for services on a WebSocket, which
    /// do not respond.
    pub fn last_response_code(&self) -> Option<u16> {
        self.shared.record().last_response_code
    }

    /// Returns every message received since the start or the last reset, in order of arrival, without registrations and
    /// keep-alive frames. At most 10,000 are recorded; after that senders over HTTP get 503, and the error of a failed
    /// wait says so.
    pub fn received(&self) -> Vec<Message> {
        self.shared.record().received().to_vec()
    }

    /// Waits for a message of this name and returns the first one since the start or the last reset. Returns at once if
    /// it was received already. Cancel-safe. Errors: [`Error::Missing`], which lists what was received instead.
    pub async fn wait_until_received(&self, name: &str) -> Result<Message, Error> {
        Ok(self.wait_until_received_times(name, 1).await?.remove(0))
    }

    /// Like [`MockBroker::wait_until_received`], for the first `count` messages of this name. Cancel-safe.
    pub async fn wait_until_received_times(&self, name: &str, count: usize) -> Result<Vec<Message>, Error> {
        let what = || match count {
            1 => format!("the message '{name}' was not received"),
            _ => format!("the message '{name}' was not received {count} times"),
        };
        let find = |record: &Record| {
            let named = record.received().iter().filter(|message| message.name.as_str() == name);
            let found: Vec<Message> = named.take(count).cloned().collect();
            (found.len() == count).then_some(found)
        };
        self.wait_for(what, find).await
    }

    /// Waits for any message and returns the first one since the start or the last reset. Returns at once if one was
    /// received already. Cancel-safe. Errors: [`Error::Missing`].
    pub async fn received_anything(&self) -> Result<Message, Error> {
        let first = |record: &Record| record.received().first().cloned();
        self.wait_for(|| "no message was received".to_owned(), first).await
    }

    /// Forgets the received messages and the last response code. Services and replies stay.
    pub fn reset(&self) {
        self.shared.record().reset();
    }

    /// Replies to every message called `name` from now on with a message called `reply`, sent to the sender in the same
    /// activity and with the same `auth`. The message itself is recorded like any other. A second call for the same name
    /// replaces the reply; `()` and `null` mean no payload.
    ///
    /// Errors: [`Error::Text`], [`Error::Payload`], [`Error::Full`] after 1,024 names. exo 5.2, `AddMockReply`.
    pub fn reply_to<N, R>(&self, name: N, reply: R, payload: impl Serialize) -> Result<(), Error>
    where
        N: TryInto<MessageName>,
        R: TryInto<MessageName>,
        Error: From<N::Error> + From<R::Error>,
    {
        let (name, reply) = (name.try_into()?, reply.try_into()?);
        let payload = json_of(&reply, "the payload", &payload)?;
        self.shared.record().set_reply(name, Reply { name: reply, payload })
    }

    /// Cuts every WebSocket without a close frame and forgets the services that registered themselves, as if the broker
    /// had been killed and restarted. Relays notice and register again; a message that a relay writes to a WebSocket
    /// before it notices is lost, because this broker, like the original, acknowledges nothing there. Received messages,
    /// replies and services registered by the test stay.
    pub fn drop_connections(&self) {
        self.shared.cut_connections();
    }

    /// Stops listening, cuts every connection, and forgets every service. Received messages stay available. Closing twice
    /// does nothing. Takes at most 2 s. A dropped call has stopped and forgotten all, without waiting for the connections.
    pub async fn close(&self) {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.drop_connections();
        self.shared.record().forget_all();
        let Some(serving) = serving else { return };
        if !serving.drain(CLOSE_GRACE).await {
            tracing::warn!("connections to the mock broker did not end in time");
        }
    }

    async fn wait_for<T>(
        &self,
        what: impl Fn() -> String,
        mut find: impl FnMut(&Record) -> Option<T>,
    ) -> Result<T, Error> {
        let deadline = deadline_in(self.patience);
        let mut changes = self.shared.changes();
        loop {
            if let Some(found) = find(&self.shared.record()) {
                return Ok(found);
            }
            // This handle owns the sender, so `changed` cannot fail: only the deadline ends the wait without a change.
            if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                let (what, instead) = (what(), self.shared.record().summary());
                return Err(Error::Missing { what, waited: self.patience, instead });
            }
        }
    }
}

impl Drop for MockBroker {
    fn drop(&mut self) {
        self.drop_connections();
        if let Some(serving) = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take() {
            serving.stop();
        }
    }
}
