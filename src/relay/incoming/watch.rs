//! Waiting for the next message of an activity, regardless of its name and sender.

use std::future::IntoFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::rules::{Full, Watchers};
use crate::message::{ActivityId, Message};
use crate::relay::Error;
use crate::sync::lock;
use crate::time::deadline_in;

/// Wait suggested to a caller that found the table full.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Callers that wait for the next message of an activity.
pub(in crate::relay) struct ActivityWatchers {
    table: Mutex<Watchers<oneshot::Sender<Message>>>,
    watchers_max: usize,
}

impl ActivityWatchers {
    pub(in crate::relay) fn new(watchers_max: usize) -> Self {
        Self { table: Mutex::new(Watchers::new(watchers_max)), watchers_max }
    }

    /// Starts to wait for the next message of `activity`. Errors: [`Error::Busy`].
    pub(in crate::relay) fn watch(self: &Arc<Self>, activity: ActivityId, timeout: Duration) -> Watching {
        let deadline = deadline_in(timeout);
        let (sender, message) = oneshot::channel();
        let number = lock(&self.table).insert(activity.clone(), sender).map_err(|Full| Error::Busy {
            what: "the table of watched activities",
            places: self.watchers_max,
            retry_after: RETRY_AFTER,
        });
        Watching(number.map(|number| {
            let guard = WatchGuard { watchers: Arc::clone(self), activity, number };
            Watch { guard, message, timeout, deadline }
        }))
    }

    /// Sends the message to each caller that waits for its activity. Returns true if there was one.
    pub(super) fn notify(&self, message: &Message) -> bool {
        let watchers = {
            let mut table = lock(&self.table);
            if table.len() == 0 {
                return false;
            }
            table.take(&message.conversation())
        };
        // A caller may give up at this very moment.
        watchers.into_iter().filter_map(|watcher| watcher.send(message.clone()).ok()).count() > 0
    }

    pub(super) fn contains(&self, message: &Message) -> bool {
        let table = lock(&self.table);
        table.len() > 0 && table.contains(&message.conversation())
    }

    pub(in crate::relay) fn len(&self) -> usize {
        lock(&self.table).len()
    }
}

/// A started watch: await it for the message. Dropping it ends the watch.
#[must_use = "it ends when it is dropped"]
pub struct Watching(Result<Watch, Error>);

impl Watching {
    pub(in crate::relay) fn failed(error: Error) -> Self {
        Self(Err(error))
    }
}

struct Watch {
    guard: WatchGuard,
    message: oneshot::Receiver<Message>,
    timeout: Duration,
    deadline: Instant,
}

/// Entry of a watch in the table. Dropping it removes the entry.
struct WatchGuard {
    watchers: Arc<ActivityWatchers>,
    activity: ActivityId,
    number: u64,
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        lock(&self.watchers.table).remove(&self.activity, self.number);
    }
}

impl IntoFuture for Watching {
    type Output = Result<Message, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let Watch { guard, message, timeout, deadline } = self.0?;
            match tokio::time::timeout_at(deadline, message).await {
                Ok(Ok(message)) => Ok(message),
                Ok(Err(_)) => Err(Error::Closed),
                Err(_) => Err(Error::NothingInActivity { activity: guard.activity.clone(), timeout }),
            }
        }
        .boxed()
    }
}
