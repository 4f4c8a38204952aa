//! Being on the bus: joining, renewing, noticing that the bus went away, and leaving.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Error, Event, Events, Relay};
use crate::bus::{self, Membership};
use crate::http::Backoff;
use crate::message::Registration;

/// How a relay stands with the bus.
pub(super) struct Presence {
    standing: watch::Sender<Standing>,
    /// Counts changes of what the relay wants to be told; the bus knows it up to `standing.told`.
    wanted: AtomicU64,
    renew: Notify,
    leaving: AtomicBool,
    left: CancellationToken,
}

#[derive(Debug, Clone, Default)]
struct Standing {
    online: bool,
    told: u64,
    trouble: Option<String>,
}

impl Presence {
    pub(super) fn new() -> Self {
        Self {
            standing: watch::Sender::new(Standing::default()),
            wanted: AtomicU64::new(1),
            renew: Notify::new(),
            leaving: AtomicBool::new(false),
            left: CancellationToken::new(),
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }
}

impl Relay {
    /// Waits until the relay is on the bus, and the bus knows of every handler registered so far. Cancel-safe.
    pub async fn ready(&self) {
        let wanted = self.presence().wanted.load(Ordering::Acquire);
        self.wait_until(|standing| standing.online && standing.told >= wanted).await;
    }

    /// Why the relay is not on the bus; `None` if it is.
    pub(crate) fn bus_trouble(&self) -> Option<String> {
        let standing = self.presence().standing.borrow();
        if standing.online {
            return None;
        }
        Some(standing.trouble.clone().unwrap_or_else(|| "not registered with the bus yet".into()))
    }

    /// Whether the relay is shutting down.
    pub(crate) fn is_leaving(&self) -> bool {
        self.presence().is_leaving()
    }

    /// Why the service behind the webhook cannot be reached, if that is known.
    pub(crate) fn service_trouble(&self) -> Option<String> {
        self.fallback().and_then(|fallback| (fallback.trouble)())
    }

    /// Waits for the first try to join to end, well or not.
    pub(crate) async fn first_try(&self) {
        self.wait_until(|standing| standing.online || standing.trouble.is_some()).await;
    }

    pub(super) async fn online(&self) {
        self.wait_until(|standing| standing.online).await;
    }

    async fn wait_until(&self, reached: impl FnMut(&Standing) -> bool) {
        let mut standing = self.presence().standing.subscribe();
        // The sender lives as long as this relay, so waiting can only end by reaching it.
        drop(standing.wait_for(reached).await);
    }

    /// Tells the bus anew what the relay wants: at once if the bus is in this process, else soon.
    pub(super) fn renew_membership(&self) {
        let wanted = self.presence().wanted.fetch_add(1, Ordering::AcqRel) + 1;
        match self.bus().join_now(&self.membership()) {
            Some(Ok(_)) => self.came_online(wanted),
            Some(Err(_)) | None => self.presence().renew.notify_one(),
        }
    }

    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.config().retry_wait_max())
    }

    /// A call to the bus failed: joining again is what finds out when it is back.
    pub(super) fn lost_bus(&self, error: &bus::Error) {
        self.went_offline(error.to_string());
        self.presence().renew.notify_one();
    }

    /// Joins, renews, and joins again, until the relay has left.
    pub(super) async fn keep_membership(self) {
        let presence = self.presence();
        let mut failures = self.backoff();
        let mut online_since = None;
        loop {
            let wanted = presence.wanted.load(Ordering::Acquire);
            let membership = self.membership();
            let joined = tokio::select! {
                joined = self.bus().join(&membership) => joined,
                () = presence.left.cancelled() => return,
            };
            let wait = match joined {
                Ok(renewal) => {
                    online_since.get_or_insert_with(Instant::now);
                    self.came_online(wanted);
                    renewal
                }
                Err(error) => {
                    self.went_offline(error.to_string());
                    self.announce_error(Error::Bus(error));
                    self.wait_before_retry(&mut failures, online_since.take())
                }
            };
            let online = presence.standing.borrow().online;
            let lost = tokio::select! {
                biased;
                () = presence.left.cancelled() => return,
                error = self.bus().lost(), if online => error,
                () = tokio::time::sleep(wait) => continue,
                // While the bus is away, its backoff is not cut short by anything that wants to be told.
                () = presence.renew.notified(), if online => continue,
            };
            self.went_offline(lost.to_string());
            // Of a broker that has gone, all relays learn at the same moment: they come back one after the other.
            let wait = self.wait_before_retry(&mut failures, online_since.take());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = presence.left.cancelled() => return,
            }
        }
    }

    /// The waits begin anew for a relay that has been online for some time. One that is sent away as soon as it has
    /// joined is as good as refused.
    fn wait_before_retry(&self, failures: &mut Backoff, online_since: Option<Instant>) -> Duration {
        let longest = self.config().retry_wait_max();
        if online_since.is_some_and(|since| since.elapsed() >= longest) {
            failures.reset();
        }
        failures.next()
    }

    fn membership(&self) -> Membership {
        let identity = self.identity();
        let namespace = Some(self.config().namespace.clone()).filter(|namespace| !namespace.is_empty());
        let registration = Registration {
            role: identity.role.clone(),
            instance: identity.instance.clone(),
            receives: self.receives(),
            sends: self.config().sends.clone(),
            namespace,
            batch: identity.batch,
            token: identity.token.clone(),
        };
        Membership { registration, endpoint: identity.endpoint.clone(), inbox: std::sync::Arc::new(self.clone()) }
    }

    fn came_online(&self, told: u64) {
        // Announced while the standing is locked, so that whoever begins to listen hears it once.
        self.presence().standing.send_modify(|standing| {
            let before = std::mem::replace(standing, Standing { online: true, told, trouble: None });
            if !before.online {
                tracing::info!(role = %self.role(), "online");
                self.announce(self.online_event());
            }
        });
    }

    /// The events from now on; the first tells that it is online, if it is.
    pub(super) fn listen(&self) -> Events {
        let standing = self.presence().standing.borrow();
        self.announcer().listen(standing.online.then(|| self.online_event()))
    }

    pub(super) fn online_event(&self) -> Event {
        Event::Online { port: self.identity().online_port }
    }

    fn went_offline(&self, trouble: String) {
        self.presence().standing.send_modify(|standing| {
            if std::mem::take(&mut standing.online) {
                tracing::warn!(role = %self.role(), %trouble, "offline");
                self.announce(Event::Offline);
            }
            standing.trouble = Some(trouble);
        });
    }

    /// Refuses new messages from now on.
    pub(super) fn start_leaving(&self) {
        let _gate = self.gate();
        self.presence().leaving.store(true, Ordering::Relaxed);
    }

    /// Leaves the bus; gives up at the deadline.
    pub(super) async fn leave(&self, deadline: Instant) {
        if self.presence().left.is_cancelled() {
            return;
        }
        self.presence().left.cancel();
        let online = self.presence().standing.borrow().online;
        if online {
            match tokio::time::timeout_at(deadline, self.bus().leave(&self.membership())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "could not tell the bus that this relay leaves"),
                Err(_) => tracing::warn!("the bus did not answer in time that this relay leaves"),
            }
        }
        self.went_offline("the relay is closed".into());
    }
}

#[cfg(test)]
mod tests;
