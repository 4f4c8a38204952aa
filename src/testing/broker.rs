//! The mock broker as a test holds it.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::record::{Known, Origin, Record, Reply, Way};
use super::{Error, Sending, routes, send};
use crate::http::{Client, ClientLimits, Limits, Listening, Serving};
use crate::message::{Message, MessageId, MessageName, Role};

/// How long a test waits for something unless it says otherwise, as the originals had it. exo 5.2.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one call to a service may take, its handler included if it answers after that.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest answer of a service that is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// How long `close` waits for connections to end.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// Answers that may wait for services over HTTP.
const ANSWERS_WAITING_MAX: usize = 1_024;

/// An ExoCom broker for tests: records what it receives, and sends what it is told to. Everything it runs ends when it is
/// closed or dropped.
pub struct MockBroker {
    shared: Arc<Shared>,
    address: SocketAddr,
    patience: Duration,
    serving: Mutex<Option<Serving>>,
}

/// What the mock's handle, its listener and its connections share.
pub(super) struct Shared {
    record: Mutex<Record>,
    /// Counts changes of the record, for those who wait for one.
    changes: watch::Sender<u64>,
    pub(super) limits: Limits,
    pub(super) client: Client,
    /// Answers on their way to services that listen over HTTP.
    answers: mpsc::Sender<(Known, Message)>,
    /// Ends the connections of now; replaced for those that come after.
    cut: Mutex<CancellationToken>,
    pub(super) tasks: TaskTracker,
}

impl MockBroker {
    /// Listens on a free port of the loopback address. Errors: [`Error::Listen`].
    pub async fn start() -> Result<Self, Error> {
        let listening = Listening::bind("the mock broker's port", "127.0.0.1:0").await?;
        let (answers, waiting) = mpsc::channel(ANSWERS_WAITING_MAX);
        let limits = Limits::default().for_envelopes();
        let shared = Arc::new(Shared {
            record: Mutex::default(),
            changes: watch::Sender::new(0),
            limits: limits.clone(),
            client: Client::new(ClientLimits {
                connect_timeout: CALL_TIMEOUT,
                timeout: CALL_TIMEOUT,
                answer_bytes_max: ANSWER_BYTES_MAX,
            }),
            answers,
            cut: Mutex::default(),
            tasks: TaskTracker::new(),
        });
        // It ends when the last sender is gone, so it must not hold one itself.
        shared.tasks.spawn(send::deliver_answers(Arc::downgrade(&shared), waiting));
        let serving = listening.serve(routes::router(shared.clone()), &limits);
        Ok(Self { shared, address: serving.address(), patience: PATIENCE, serving: Mutex::new(Some(serving)) })
    }

    /// How long its waits take at most; 10 s unless said.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Where it listens: what a service's `EXOCOM_HOST` and `EXOCOM_PORT` should say.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for relays that use HTTP, such as `http://127.0.0.1:41234`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL for relays that use WebSockets, such as `ws://127.0.0.1:41234/services`.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/services", self.address)
    }

    /// Tells the mock of a service that listens over HTTP and does not register itself. `address` is `HOST:PORT` or an
    /// `http` URL; messages go to `POST {address}/run/{name}`. The service need not be up yet. A role that is
    /// registered again is reached at its new address.
    ///
    /// Errors: [`Error::Text`], [`Error::Address`], [`Error::Full`] after 1,024 services.
    pub fn register(&self, role: &str, address: impl Display) -> Result<(), Error> {
        let role = Role::parse(role)?;
        let url = send::service_url(&address.to_string())?;
        self.shared.add(Known { role, instance: None, origin: Origin::Test, way: Way::Http { url } })
    }

    /// Whether a service of this role has registered or is connected.
    pub fn knows(&self, role: &str) -> bool {
        self.shared.record().services().iter().any(|known| known.role.as_str() == role)
    }

    /// Waits until a service of this role is there; at once if it is. Cancel-safe. Errors: [`Error::Missing`].
    pub async fn wait_until_known(&self, role: &str) -> Result<(), Error> {
        let known = |record: &Record| record.services().iter().any(|known| known.role.as_str() == role).then_some(());
        self.wait_for(|| format!("no service of the role '{role}' registered"), known).await
    }

    /// Sends a message to a service: await it, after having said more about the message. To a role with several
    /// services it goes to the one that came last. Unlike the originals' mock, sending forgets nothing that was
    /// received, because the reaction to an earlier message may just be arriving; [`MockBroker::reset`] does.
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

    /// The status with which a service answered the last message sent to it over HTTP since the last reset: 200 it took
    /// it, 404 it knows no such message. `None` before, and for services on a WebSocket, which do not answer.
    pub fn last_response_code(&self) -> Option<u16> {
        self.shared.record().last_response_code
    }

    /// Every message received since the start or the last reset, in order of arrival. Registrations and signs of life
    /// are not among them. At most 10,000 are kept; then senders over HTTP get 503, and failing waits tell.
    pub fn received(&self) -> Vec<Message> {
        self.shared.record().received().to_vec()
    }

    /// Waits for a message of this name and answers the first one since the start or the last reset; at once if it is
    /// there already. Cancel-safe. Errors: [`Error::Missing`], which lists what came instead.
    pub async fn wait_until_received(&self, name: &str) -> Result<Message, Error> {
        Ok(self.wait_until_received_times(name, 1).await?.remove(0))
    }

    /// As [`MockBroker::wait_until_received`], for the first `count` messages of this name.
    pub async fn wait_until_received_times(&self, name: &str, count: usize) -> Result<Vec<Message>, Error> {
        let what = || match count {
            1 => format!("the message '{name}' was not received"),
            _ => format!("the message '{name}' was not received {count} times"),
        };
        let named = |record: &Record| {
            let named = record.received().iter().filter(|message| message.name.as_str() == name);
            let found: Vec<Message> = named.take(count).cloned().collect();
            (found.len() == count).then_some(found)
        };
        self.wait_for(what, named).await
    }

    /// Waits for any message and answers the first one since the start or the last reset; at once if something is there
    /// already. Cancel-safe. Errors: [`Error::Missing`].
    pub async fn received_anything(&self) -> Result<Message, Error> {
        let first = |record: &Record| record.received().first().cloned();
        self.wait_for(|| "no message was received".to_owned(), first).await
    }

    /// Forgets what was received and the last response code. Services and answers stay.
    pub fn reset(&self) {
        self.shared.record().reset();
    }

    /// Answers every message called `name` from now on: with a message called `reply`, in the same activity and on the
    /// same behalf, to whoever sent it. The message itself is recorded as any other. A name has one answer, the last one
    /// that was set; `()` and `null` as payload mean none.
    ///
    /// Errors: [`Error::Text`], [`Error::Payload`], [`Error::Full`] after 1,024 names. exo 5.2, `AddMockReply`.
    pub fn reply_to<N, R>(&self, name: N, reply: R, payload: impl Serialize) -> Result<(), Error>
    where
        N: TryInto<MessageName>,
        R: TryInto<MessageName>,
        Error: From<N::Error> + From<R::Error>,
    {
        let (name, reply) = (name.try_into()?, reply.try_into()?);
        let payload = send::json_of(&reply, "the payload", &payload)?;
        self.shared.record().answer(name, Reply { name: reply, payload })
    }

    /// Cuts every WebSocket without a close frame, and forgets who registered over HTTP, as if the broker had been
    /// killed and started again. Who is a relay notices and registers once more; what it puts into a WebSocket before it
    /// notices is lost, since this broker acknowledges nothing there, as the originals did not. What was received, the
    /// answers, and the services that the test registered stay.
    pub fn drop_connections(&self) {
        let mut record = self.shared.record();
        let mut cut = self.shared.cut.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *cut).cancel();
        record.forget_registered();
    }

    /// Stops listening, cuts every connection, and forgets every service. What was received can still be looked at.
    /// Closing twice does nothing. Takes at most 2 s.
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
        mut look: impl FnMut(&Record) -> Option<T>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + self.patience;
        let mut changes = self.shared.changes.subscribe();
        loop {
            if let Some(found) = look(&self.shared.record()) {
                return Ok(found);
            }
            // The sender lives as long as this handle, so only time can end this without a change.
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

impl Shared {
    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a service and tells those who wait for it.
    pub(super) fn add(&self, service: Known) -> Result<(), Error> {
        self.record().add(service)?;
        self.changed();
        Ok(())
    }

    /// Adds a service that is connected, unless its connection is cut by now.
    pub(super) fn add_connected(&self, service: Known, cut: &CancellationToken) -> Result<(), Error> {
        let mut record = self.record();
        if !cut.is_cancelled() {
            record.add(service)?;
        }
        drop(record);
        self.changed();
        Ok(())
    }

    /// Records a message, and answers it if it has an answer. `find` names its sender's place. `false` if the record is
    /// full.
    pub(super) fn receive(&self, message: Message, find: impl FnOnce(&Record) -> Option<Known>) -> bool {
        let mut record = self.record();
        let answer = record.answer_to(&message.name).map(|reply| compose(reply, &message));
        let name = message.name.clone();
        let taken = record.receive(message);
        if let Some(answer) = answer.filter(|_| taken) {
            match find(&record) {
                Some(service) => self.send_answer(&mut record, service, answer),
                None => record.complain(format!("the answer to '{name}' has no receiver: its sender is not known")),
            }
        }
        drop(record);
        self.changed();
        taken
    }

    fn send_answer(&self, record: &mut Record, service: Known, answer: Message) {
        let (role, name) = (service.role.clone(), answer.name.clone());
        let sent = match &service.way {
            Way::Socket { .. } => send::push(&service, &answer).is_ok(),
            Way::Http { .. } => self.answers.try_send((service, answer)).is_ok(),
        };
        if !sent {
            record.complain(format!("the answer '{name}' had no place on its way to '{role}'"));
        }
    }

    /// Notes something that a test should hear of when it fails.
    pub(super) fn complain(&self, complaint: String) {
        tracing::debug!(complaint, "mock broker");
        self.record().complain(complaint);
    }

    /// What ends a connection that is made now.
    pub(super) fn cut(&self) -> CancellationToken {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

fn compose(reply: &Reply, request: &Message) -> Message {
    let mut message = Message::new(MessageId::from_uuid(Uuid::now_v7()), reply.name.clone());
    message.payload = reply.payload.clone();
    message.response_to = Some(request.id.clone());
    message.activity_id = Some(request.conversation());
    message.auth = request.auth.clone();
    message.is_security = request.is_security;
    message
}
