//! Absence of a service, and who may try to give a message back while it lasts.

use std::sync::Mutex;

use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until};

use crate::sync::lock;

/// Time between two attempts to give a message back when there was no other instance.
const RETRY: Duration = Duration::from_secs(1);

/// True while a service is away. Only one waiting message at a time finds out whether another instance takes it.
pub(super) struct Absence {
    away: watch::Sender<bool>,
    /// Time of the next attempt; `None` if every message may try at once.
    next: Mutex<Option<Instant>>,
}

impl Absence {
    pub(super) fn new() -> Self {
        Self { away: watch::Sender::new(false), next: Mutex::new(None) }
    }

    pub(super) fn is_away(&self) -> bool {
        *self.away.borrow()
    }

    pub(super) fn set(&self, is_away: bool) {
        *lock(&self.next) = None;
        self.away.send_if_modified(|away| std::mem::replace(away, is_away) != is_away);
    }

    /// Waits until the service is away and this caller may try to give its message back. Cancel-safe.
    pub(super) async fn is_due(&self) {
        let mut away = self.away.subscribe();
        loop {
            // Fails only if the sender is dropped, which `self` prevents.
            drop(away.wait_for(|away| *away).await);
            let wait = {
                let (mut next, now) = (lock(&self.next), Instant::now());
                match *next {
                    Some(at) if now < at => at,
                    Some(_) => {
                        *next = Some(now + RETRY);
                        return;
                    }
                    None => return,
                }
            };
            sleep_until(wait).await;
        }
    }

    /// Records an attempt: after a success all others may follow at once.
    pub(super) fn tried(&self, is_given_back: bool) {
        *lock(&self.next) = (!is_given_back).then(|| Instant::now() + RETRY);
    }
}
