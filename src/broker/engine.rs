//! Runs the rules and performs their effects.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::error::Error;
use super::handle::InstanceHandle;
use super::journal::Style;
use super::message_log::MessageLog;
use super::metrics::Metrics;
use super::note_log::log_note;
use super::notice::notice;
use super::recent::Recent;
use super::rules::{
    Attempt, Effect, Endpoint, Envelope, Exchange, FailedDelivery, InstanceKey, Lanes, Note, Proof, Reason, Tokens,
    Work,
};
use super::traffic::Traffic;
use super::wire::{Landscape, Undelivered};
use crate::http::SsrfGuard;
use crate::message::{Delivery, InstanceId, Message, Pending, Receipt, Registration, Role, Verdict};
use crate::sync::lock;

/// Interval at which leases, delivery windows and conversations are checked.
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);

type Effects = Vec<Effect<InstanceHandle>>;

/// The rules behind a lock, and everything their effects need.
pub(crate) struct Engine {
    config: Config,
    tokens: Arc<Tokens>,
    guard: SsrfGuard,
    exchange: Mutex<Exchange<InstanceHandle>>,
    metrics: Metrics,
    traffic: Traffic,
    log: MessageLog,
    /// Notifies [`Engine::idle`] of every message that is delivered or given up.
    progress: Notify,
    /// Number of messages that were given up before the drain.
    given_up_before: OnceLock<u64>,
    recent: Mutex<Recent>,
    stop: CancellationToken,
}

impl Engine {
    /// `seed` determines the ids of the broker's own messages; `stop` ends the tasks that use the engine.
    pub(crate) fn new(config: Config, seed: u128, log: MessageLog, stop: CancellationToken) -> Self {
        let tokens = Arc::new(Tokens::new(&config.tokens, &config.operator_tokens));
        Self {
            exchange: Mutex::new(Exchange::new(config.clone(), Arc::clone(&tokens), seed)),
            tokens,
            guard: config.guard(),
            metrics: Metrics::new(),
            traffic: Traffic::new(config.traffic_messages_max, config.undelivered_max),
            log,
            progress: Notify::new(),
            given_up_before: OnceLock::new(),
            recent: Mutex::default(),
            stop,
            config,
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Returns the guard of calls to services.
    pub(crate) fn guard(&self) -> &SsrfGuard {
        &self.guard
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Returns the token that is cancelled when the broker stops.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Locks the rules, for queries and for steps without effects.
    pub(crate) fn exchange(&self) -> MutexGuard<'_, Exchange<InstanceHandle>> {
        lock(&self.exchange)
    }

    /// Runs one step of the rules and, after the lock is released, performs its effects.
    fn run<T>(&self, step: impl FnOnce(&mut Exchange<InstanceHandle>, Instant, &mut Effects) -> T) -> T {
        let mut effects = Vec::new();
        let result = step(&mut self.exchange(), Instant::now(), &mut effects);
        self.perform(effects);
        self.progress.notify_waiters();
        result
    }

    /// Publishes a message from `origin`, as far as `proof` shows that.
    pub(crate) fn publish(&self, origin: Option<&InstanceId>, proof: Proof<'_>, mut message: Message) -> Verdict {
        if let Err(error) = message.check_bounds(self.config.payload_bytes_max)
            && !self.exchange().registry().is_original_socket(origin)
        {
            self.metrics.refused.inc();
            return Verdict::Refused { detail: error.to_string() };
        }
        let mut effects = Vec::new();
        let verdict = {
            let mut exchange = self.exchange();
            match exchange.registry().sign(origin, proof, &mut message) {
                Err(error) => {
                    let (sender, name) = (message.sender.clone(), message.name.clone());
                    effects.push(Effect::Note(Note::Forbidden { sender, name }));
                    exchange.forbid(Instant::now(), origin, &message, error.to_string(), &mut effects)
                }
                Ok(()) => exchange.publish(Instant::now(), origin, message, &mut effects),
            }
        };
        match &verdict {
            Verdict::Accepted => self.metrics.accepted.inc(),
            Verdict::NoReceivers => self.metrics.unrouted.inc(),
            Verdict::Busy { .. } | Verdict::Forbidden { .. } | Verdict::Refused { .. } => self.metrics.refused.inc(),
        };
        self.perform(effects);
        verdict
    }

    /// Registers an instance that is not behind a WebSocket, or renews the one of this id. Returns the key of a new one.
    /// Errors: [`Error::Token`], [`Error::Full`], [`Error::InstanceTaken`], [`Error::Draining`].
    pub(crate) fn register(
        &self,
        registration: Registration,
        endpoint: Endpoint,
        handle: InstanceHandle,
    ) -> Result<Option<InstanceKey>, Error> {
        let (role, instance) = (registration.role.clone(), registration.instance.clone());
        let mut effects = Vec::new();
        let added = self.exchange().register(Instant::now(), registration, endpoint, handle, &mut effects)?;
        // Before the effects, so the log has the registration before the messages that it brings.
        if added.is_some() {
            self.note(&Note::Registered { role, instance });
            self.log_configuration();
        }
        self.perform(effects);
        Ok(added)
    }

    /// Registers an instance behind a WebSocket; replaces the one of this id. Errors: as [`Engine::register`].
    pub(crate) fn connect(&self, registration: Registration, handle: InstanceHandle) -> Result<InstanceKey, Error> {
        let (role, instance) = (registration.role.clone(), registration.instance.clone());
        let mut effects = Vec::new();
        let endpoint = Endpoint::Socket;
        let added = self.exchange().register(Instant::now(), registration, endpoint, handle, &mut effects)?;
        self.note(&Note::Registered { role, instance });
        self.perform(effects);
        Ok(added.expect("an instance with a new socket is not renewed but replaced"))
    }

    /// Updates an instance behind a WebSocket. Errors: [`Error::Token`].
    pub(crate) fn renew(&self, key: InstanceKey, registration: Registration) -> Result<(), Error> {
        let (role, instance) = (registration.role.clone(), registration.instance.clone());
        let mut effects = Vec::new();
        self.exchange().renew(Instant::now(), key, registration, &mut effects)?;
        // The program's log has it only if something has changed.
        self.log.write(|journal| journal.noted(&Note::Registered { role, instance }));
        self.perform(effects);
        Ok(())
    }

    /// Takes an instance off the roster. Returns true if it was there.
    pub(crate) fn leave(&self, role: &Role, instance: &InstanceId) -> bool {
        let left = self.run(|exchange, now, effects| exchange.leave(now, role, instance, effects));
        if left {
            self.note(&Note::Disconnected { role: role.clone(), instance: instance.clone() });
        }
        left
    }

    /// Takes an instance behind a WebSocket off the roster. `is_delivering` if a delivery is in progress, which has
    /// failed then.
    pub(crate) fn disconnect(&self, key: InstanceKey, (role, instance): (Role, InstanceId), is_delivering: bool) {
        if !self.stop.is_cancelled() {
            self.note(&Note::Disconnected { role, instance });
        }
        self.run(|exchange, now, effects| exchange.disconnect(now, key, effects));
        if is_delivering {
            self.record_outcome(key, Attempt::Unreachable { cause: "the connection ended".into() });
        }
    }

    /// Replaces the posted landscape. Returns its new services. Errors: [`Error::Full`], [`Error::Draining`]; then
    /// nothing has changed.
    pub(crate) fn configure(&self, landscape: &Landscape) -> Result<Vec<(InstanceKey, InstanceHandle)>, Error> {
        let mut effects = Vec::new();
        let added = self.exchange().configure(Instant::now(), landscape, InstanceHandle::remote, &mut effects)?;
        self.log.set_style(Style::from(landscape.form));
        self.perform(effects);
        self.log_configuration();
        Ok(added)
    }

    /// Returns the next step of an instance's task, see [`Exchange::take`].
    pub(crate) fn take(&self, key: InstanceKey, lanes: Lanes) -> Work {
        self.run(|exchange, now, effects| exchange.take(now, key, lanes, effects))
    }

    /// Ends a delivery, see [`Exchange::record_outcome`].
    pub(crate) fn record_outcome(&self, key: InstanceKey, attempt: Attempt) {
        let delivered = self.run(|exchange, now, effects| exchange.record_outcome(now, key, attempt, effects));
        self.metrics.delivered(&delivered);
    }

    /// Ends a single delivery, see [`Exchange::record_single`].
    pub(crate) fn record_single(&self, delivery: (InstanceKey, u64), attempt: Attempt) {
        let delivered = self.run(|exchange, now, effects| exchange.record_single(now, delivery, attempt, effects));
        self.metrics.delivered(&delivered);
    }

    /// Ends a delivery that was left to the instance's task, see [`InstanceHandle::push_unanswered`].
    pub(crate) fn complete_deferred(&self, key: InstanceKey, sequence: u64, delivery: Delivery) {
        let outcome = delivery.into();
        let delivered =
            self.run(|exchange, now, effects| exchange.complete_deferred(now, (key, sequence), outcome, effects));
        self.metrics.delivered(delivered.as_slice());
    }

    /// Gives up a message that none of its receivers had capacity for.
    pub(crate) fn overflow(&self, origin: Option<&InstanceId>, message: Message) {
        self.run(|exchange, now, effects| exchange.overflow(now, origin, message, effects));
    }

    /// Refuses messages and new instances from now on, and waits until everything accepted is delivered or given up.
    pub(crate) async fn drain(&self) {
        self.given_up_before.get_or_init(|| self.metrics.undelivered.get());
        self.run(|exchange, _, effects| exchange.drain(effects));
        loop {
            let progress = self.progress.notified();
            if self.exchange().load().messages == 0 {
                return;
            }
            progress.await;
        }
    }

    /// Returns the number of messages that wait, and of those given up since the drain began.
    pub(crate) fn unfinished(&self) -> usize {
        let waiting = self.exchange().unfinished();
        let now = self.metrics.undelivered.get();
        let before = self.given_up_before.get().copied().unwrap_or(now);
        waiting + usize::try_from(now - before).unwrap_or(usize::MAX)
    }

    /// Gives up everything that is not delivered, and ends log and traffic. Returns the number of messages given up since the
    /// drain began. Call when no task uses the engine any more.
    pub(crate) async fn close(&self) -> usize {
        self.given_up_before.get_or_init(|| self.metrics.undelivered.get());
        self.run(|exchange, _, effects| exchange.close(effects));
        let left = self.unfinished();
        self.log.close().await;
        self.traffic.close();
        left
    }

    /// Keeps time for the rules until the broker stops.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.stop.cancelled() => return,
            }
            let mut effects = Vec::new();
            let ended = self.exchange().sweep(Instant::now(), &mut effects);
            for (role, instance) in ended {
                tracing::warn!(%role, ?instance, "service dropped: its lease ended");
            }
            self.perform(effects);
            self.progress.notify_waiters();
        }
    }

    /// Informs the operator, in the message log and the program's log.
    pub(crate) fn note(&self, note: &Note) {
        self.log.write(|journal| journal.noted(note));
        log_note(note, &self.recent);
    }

    fn log_configuration(&self) {
        self.log.write(|journal| journal.configured(self.exchange().registry().configuration()));
    }

    fn perform(&self, effects: Effects) {
        for effect in effects {
            match effect {
                Effect::Deliver { handle, key, envelope } => self.deliver(&handle, key, envelope),
                Effect::Wake { handle } => handle.wake(),
                Effect::Undelivered { envelope, reason } => self.report(envelope, &reason),
                Effect::Note(note) => self.note(&note),
                Effect::Routed(routed) => self.log.write(|journal| journal.routed(routed)),
                Effect::Traced(trace) => self.traffic.record(trace),
            }
        }
    }

    /// Gives a message to an instance in this process, on the publisher's thread.
    fn deliver(&self, handle: &InstanceHandle, key: InstanceKey, envelope: Envelope) {
        let Some(inbox) = handle.inbox() else { return };
        match inbox.deliver(envelope.message.clone()) {
            Receipt::Now(Delivery::Accepted) => self.metrics.delivered(&[envelope]),
            Receipt::Now(Delivery::Busy { .. }) => self.put_back(key, envelope),
            Receipt::Now(Delivery::Unknown) => self.report(envelope, &Reason::Unknown),
            Receipt::Now(Delivery::Refused { detail }) => self.report(envelope, &Reason::Refused(detail)),
            Receipt::Later(answer) => self.defer(handle, key, envelope, answer),
        }
    }

    /// Leaves it to the instance's task to wait for the answer.
    fn defer(&self, handle: &InstanceHandle, key: InstanceKey, envelope: Envelope, answer: Pending<Delivery>) {
        let sequence = envelope.sequence;
        let mut exchange = self.exchange();
        match exchange.defer(key, envelope) {
            // Still under the lock, so the task does not end before it has seen this one.
            None => handle.push_unanswered(sequence, answer),
            // The instance has left; the message goes to another one of its role.
            Some(envelope) => {
                drop(exchange);
                self.put_back(key, envelope);
            }
        }
    }

    fn put_back(&self, key: InstanceKey, envelope: Envelope) {
        self.run(|exchange, now, effects| exchange.put_back(now, key, envelope, effects));
    }

    /// Records, counts and logs a failed delivery, and notifies the sender if it is known.
    fn report(&self, envelope: Envelope, reason: &Reason) {
        let receiver = Some(envelope.role.clone()).filter(|_| !matches!(reason, Reason::NoReceivers));
        // The log has a note about these already.
        let is_noted = matches!(reason, Reason::Unauthorized | Reason::NoReceivers);
        self.metrics.given_up(&envelope, reason);
        let reason = reason.to_string();
        tracing::warn!(
            message_id = envelope.message.id.as_str(),
            name = envelope.public.as_str(),
            receiver = envelope.role.as_str(),
            reason,
            "message not delivered",
        );
        let row = Undelivered {
            id: envelope.message.id.clone(),
            name: envelope.public.clone(),
            sender: envelope.message.sender.clone(),
            receiver,
            reason,
            at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            activity_id: envelope.message.conversation(),
        };
        if !is_noted {
            self.log.write(|journal| journal.given_up(&row));
        }
        if let Some(origin) = &envelope.origin {
            self.run(|exchange, now, effects| {
                let sent_as = exchange.registry().internal_name_of(origin, &row.name);
                let sender = (origin, envelope.message.sender.as_ref());
                exchange.notify(now, sender, notice(&envelope, &row, sent_as), effects);
            });
        }
        let (at, payload_bytes) = (Instant::now(), envelope.bytes());
        let Message { name: receiver_name, response_to, .. } = envelope.message;
        self.traffic.record_failure(FailedDelivery { at, row, receiver_name, response_to, payload_bytes });
        self.progress.notify_waiters();
    }
}
