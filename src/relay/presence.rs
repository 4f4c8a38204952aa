//! Presence on the bus: joining, renewing, noticing the loss of the bus, and leaving.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::events::EventSender;
use super::identity::Identity;
use super::{Error, Event, Events};
use crate::bus::{self, Membership};
use crate::chain::chain;
use crate::http::Backoff;

/// Time to withdraw a registration that has no answer yet.
const JOINING_GRACE: Duration = Duration::from_millis(500);

/// Time after which a broker that has not answered yet is reported.
const SLOW: Duration = Duration::from_millis(800);

/// Time for which a relay has to be online until its trouble is over: one that is dropped as soon as it has joined is refused.
const SETTLED: Duration = Duration::from_secs(1);

/// The trouble with a broker that takes long to answer.
const NO_ANSWER: &str = "the broker has not answered yet";

/// Presence of one relay on the bus.
pub(super) struct Presence {
    identity: Arc<Identity>,
    events: EventSender,
    retry_wait_max: Duration,
    state: watch::Sender<State>,
    /// Version of the registration, incremented with each change. The bus knows versions up to `state.registered`.
    version: AtomicU64,
    renew: Notify,
    left: CancellationToken,
    /// True while a call to join has no answer yet.
    joining: AtomicBool,
}

#[derive(Debug, Clone, Default)]
struct State {
    online: bool,
    has_been_online: bool,
    /// Time at which it came online last.
    online_since: Option<Instant>,
    registered: u64,
    /// Failure of the last call to the bus.
    error: Option<bus::Error>,
    /// The trouble with the bus that was logged last, until it is over.
    trouble: Option<String>,
    left: bool,
}

impl State {
    /// See [`Presence::bus_error`].
    fn bus_error(&self) -> Option<&bus::Error> {
        let error = self.error.as_ref().filter(|_| !self.online);
        error.filter(|error| !matches!(error, bus::Error::Unregistered { .. }))
    }

    /// Records a trouble. Returns true if it is another one than the last and has to be logged. A broker that was reported
    /// because it is slow is not reported again when the time for its answer is over.
    fn is_news(&mut self, trouble: &str) -> bool {
        let last = self.trouble.replace(trouble.to_owned());
        let is_known = |last: String| last == trouble || last == NO_ANSWER && trouble.contains("within ");
        !last.is_some_and(is_known)
    }
}

impl Presence {
    pub(super) fn new(identity: Arc<Identity>, events: EventSender, retry_wait_max: Duration) -> Self {
        Self {
            identity,
            events,
            retry_wait_max,
            state: watch::Sender::new(State::default()),
            version: AtomicU64::new(1),
            renew: Notify::new(),
            left: CancellationToken::new(),
            joining: AtomicBool::new(false),
        }
    }

    /// Waits until the relay is online and the bus knows the registration as it is now. Cancel-safe.
    pub(super) async fn ready(&self) {
        let version = self.version.load(Ordering::Acquire);
        self.wait_until(|state| state.online && state.registered >= version).await;
    }

    /// Waits until the first attempt to join has succeeded or failed. Cancel-safe.
    pub(super) async fn first_attempt(&self) {
        self.wait_until(|state| state.online || state.error.is_some()).await;
    }

    /// Waits until the relay is online. Cancel-safe.
    pub(super) async fn online(&self) {
        self.wait_until(|state| state.online).await;
    }

    /// Waits until the relay is online, or has a [`Presence::bus_error`]. Cancel-safe.
    pub(super) async fn decided(&self) {
        self.wait_until(|state| state.online || state.bus_error().is_some()).await;
    }

    async fn wait_until(&self, reached: impl FnMut(&State) -> bool) {
        let mut state = self.state.subscribe();
        // Fails only if the sender is dropped, which `self` prevents.
        drop(state.wait_for(reached).await);
    }

    /// Returns the reason why the relay is not online, or `None` if it is.
    pub(super) fn error(&self) -> Option<String> {
        let state = self.state.borrow();
        if state.online {
            return None;
        }
        Some(match &state.error {
            _ if state.left => "the relay is closed".into(),
            Some(error) => chain(error),
            None => "not registered with the bus yet".into(),
        })
    }

    /// Returns the failure because of which the bus cannot be reached. `None` if it can, or if the relay is only about to
    /// join: for the first time, or a broker that has restarted.
    pub(super) fn bus_error(&self) -> Option<bus::Error> {
        self.state.borrow().bus_error().cloned()
    }

    pub(super) fn is_online(&self) -> bool {
        self.state.borrow().online
    }

    /// Subscribes to the events from now on, preceded by [`Event::Online`] if the relay is online.
    pub(super) fn subscribe(&self) -> Events {
        let state = self.state.borrow();
        self.events.subscribe(state.online.then(|| self.online_event()))
    }

    /// Updates the registration: at once if the bus is in this process, else in the background. Does nothing once the relay
    /// has left.
    pub(super) fn renew(&self, membership: &Membership) {
        if self.left.is_cancelled() {
            return;
        }
        let version = self.version.fetch_add(1, Ordering::AcqRel) + 1;
        match self.identity.bus.join_now(membership) {
            Some(Ok(_)) => self.set_online(version),
            Some(Err(_)) | None => self.renew.notify_one(),
        }
    }

    /// Records that a call to the bus failed, and starts to join again.
    pub(super) fn lost(&self, error: &bus::Error) {
        self.set_offline(error.clone());
        self.renew.notify_one();
    }

    /// Joins, renews, and joins again after a loss, until the relay has left. `membership` returns the current one.
    pub(super) async fn maintain(&self, membership: impl Fn() -> Membership) {
        let mut backoff = Backoff::new(self.retry_wait_max);
        let mut online_since = None;
        loop {
            let version = self.version.load(Ordering::Acquire);
            let current = membership();
            self.joining.store(true, Ordering::Release);
            let joined = tokio::select! {
                biased;
                () = self.left.cancelled() => return,
                joined = self.reporting_slowness(self.identity.bus.join(&current)) => joined,
            };
            self.joining.store(false, Ordering::Release);
            // Not the state: a sender may report the end of the last connection after this relay has joined again.
            let (has_joined, wait) = match joined {
                Ok(renewal) => {
                    online_since.get_or_insert_with(Instant::now);
                    self.set_online(version);
                    (true, renewal)
                }
                Err(error) => {
                    self.set_offline(error.clone());
                    self.events.error(Error::Bus(error));
                    (false, self.next_wait(&mut backoff, online_since.take()))
                }
            };
            let lost = tokio::select! {
                biased;
                () = self.left.cancelled() => return,
                error = self.identity.bus.lost(), if has_joined => error,
                () = self.settled(wait) => continue,
                // While the bus is away, a changed registration does not cut the backoff short.
                () = self.renew.notified(), if has_joined => continue,
            };
            self.set_offline(lost);
            // All relays notice the loss of their broker at the same moment; the jitter spreads their return.
            let wait = self.next_wait(&mut backoff, online_since.take());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.left.cancelled() => return,
            }
        }
    }

    /// Waits for `joining`, and reports a broker that takes long for the answer.
    async fn reporting_slowness<T>(&self, joining: impl Future<Output = T>) -> T {
        let mut joining = pin!(joining);
        if let Ok(joined) = timeout(SLOW, &mut joining).await {
            return joined;
        }
        self.state.send_if_modified(|state| {
            if !state.online && state.is_news(NO_ANSWER) {
                self.warn(state, NO_ANSWER);
            }
            false
        });
        joining.await
    }

    /// Waits for `wait`. Meanwhile it reports that the trouble is over, if the relay stays online.
    async fn settled(&self, wait: Duration) {
        let end = Instant::now() + wait;
        let settled_at = self.state.borrow().online_since.map(|since| since + SETTLED);
        if let Some(settled_at) = settled_at.filter(|settled_at| *settled_at < end) {
            tokio::time::sleep_until(settled_at).await;
            self.state.send_if_modified(|state| {
                if state.online && state.trouble.take().is_some() {
                    tracing::info!(role = %self.identity.role, "online again");
                }
                false
            });
        }
        tokio::time::sleep_until(end).await;
    }

    /// The backoff starts again only for a relay that has been online for a while: one that is dropped as soon as it has
    /// joined is in effect refused.
    fn next_wait(&self, backoff: &mut Backoff, online_since: Option<Instant>) -> Duration {
        if online_since.is_some_and(|since| since.elapsed() >= self.retry_wait_max) {
            backoff.reset();
        }
        backoff.next()
    }

    /// Waits until the relay leaves the bus. Cancel-safe.
    pub(super) async fn left(&self) {
        self.left.cancelled().await;
    }

    /// Leaves the bus, waiting for its answer until `deadline`. Leaving twice does nothing.
    pub(super) async fn leave(&self, membership: &Membership, deadline: Instant) {
        if self.left.is_cancelled() {
            return;
        }
        self.left.cancel();
        let online = self.state.borrow().online;
        // A registration without an answer may have arrived. It is given less time, since the bus may be away.
        let joining = !online && self.joining.load(Ordering::Acquire);
        let deadline = if joining { deadline.min(Instant::now() + JOINING_GRACE) } else { deadline };
        if online || joining {
            match tokio::time::timeout_at(deadline, self.identity.bus.leave(membership)).await {
                Ok(Ok(())) => {}
                // It is gone or going, and forgets this relay with its lease at the latest.
                Ok(Err(error @ (bus::Error::Away(_) | bus::Error::Lost { .. } | bus::Error::NotConnected { .. }))) => {
                    tracing::info!(error = chain(&error), "left a bus that is away");
                }
                Ok(Err(error)) => tracing::warn!(error = chain(&error), "could not deregister from the bus"),
                Err(_) => tracing::warn!("the bus did not confirm the deregistration in time"),
            }
        }
        self.state.send_modify(|state| {
            if std::mem::take(&mut state.online) {
                tracing::info!(role = %self.identity.role, "left the bus");
                self.events.send(Event::Offline);
            }
            state.left = true;
        });
    }

    fn set_online(&self, version: u64) {
        if self.left.is_cancelled() {
            return;
        }
        // Sent while the state is locked, so that a new subscriber receives `Online` exactly once.
        self.state.send_modify(|state| {
            let was_online = std::mem::replace(&mut state.online, true);
            (state.registered, state.error, state.left) = (version, None, false);
            if !was_online {
                (state.has_been_online, state.online_since) = (true, Some(Instant::now()));
                // After a trouble it is logged once it lasts.
                if state.trouble.is_none() {
                    tracing::info!(role = %self.identity.role, "online");
                }
                self.events.send(self.online_event());
            }
        });
    }

    fn warn(&self, state: &State, error: &str) {
        let role = &self.identity.role;
        match state.has_been_online {
            true => tracing::warn!(%role, error, "offline, retrying"),
            false => tracing::warn!(%role, error, "not on the bus yet, retrying"),
        }
    }

    fn online_event(&self) -> Event {
        Event::Online { port: self.identity.online_port }
    }

    fn set_offline(&self, error: bus::Error) {
        let trouble = chain(&error);
        self.state.send_modify(|state| {
            state.online_since = None;
            if std::mem::take(&mut state.online) {
                self.events.send(Event::Offline);
            }
            // A broker that has restarted asks for the registration, which takes a moment.
            if matches!(error, bus::Error::Unregistered { .. }) {
                tracing::info!(role = %self.identity.role, reason = trouble, "registering again");
            } else if !state.left && state.is_news(&trouble) {
                self.warn(state, &trouble);
            }
            state.error = Some(error);
        });
    }
}

#[cfg(test)]
mod tests;
