//! Waiting for the next message of a conversation, whoever sends it and whatever it answers.

use std::future::IntoFuture;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::rules::Full;
use super::{Error, Relay};
use crate::message::{ActivityId, Message};

/// When a caller that found no place should try again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// The longest watch: what is meant by "for ever", and a clock can still add.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A watch that has begun: await it for the message. Dropping it frees its place.
#[must_use = "it ends when it is dropped"]
pub struct Watching(Result<Watch, Error>);

struct Watch {
    place: Place,
    message: oneshot::Receiver<Message>,
    timeout: Duration,
    deadline: Instant,
}

struct Place {
    relay: Relay,
    activity: ActivityId,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.relay.watchers().remove(&self.activity, self.number);
    }
}

impl IntoFuture for Watching {
    type Output = Result<Message, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let Watch { place, message, timeout, deadline } = self.0?;
            match tokio::time::timeout_at(deadline, message).await {
                Ok(Ok(message)) => Ok(message),
                Ok(Err(_)) => Err(Error::Closed),
                Err(_) => Err(Error::NothingInActivity { activity: place.activity.clone(), timeout }),
            }
        }
        .boxed()
    }
}

impl Relay {
    /// Waits, from now on and for `timeout`, for the first message of the conversation `activity` that comes to this
    /// relay. The watch begins with the call, not when it is awaited: start it before what it waits for can come. Whoever
    /// else the message is for gets it too; a message that is for nobody else counts as taken. exo 4.3.
    ///
    /// Errors: [`Error::NothingInActivity`] when the time is over, [`Error::Busy`] when `waiters_max` watches have begun
    /// and not ended, [`Error::Name`] for what is no activity's id.
    ///
    /// ```no_run
    /// # async fn example(relay: exorelay::Relay) -> Result<(), exorelay::Error> {
    /// let answer = relay.wait_for_activity("signup-7", std::time::Duration::from_secs(1));
    /// relay.send("search", "x").activity("signup-7").await?;
    /// println!("{}", answer.await?.name);
    /// # Ok(()) }
    /// ```
    pub fn wait_for_activity<A>(&self, activity: A, timeout: Duration) -> Watching
    where
        A: TryInto<ActivityId>,
        Error: From<A::Error>,
    {
        let activity: Result<ActivityId, Error> = activity.try_into().map_err(Error::from);
        Watching(activity.and_then(|activity| self.watch(activity, timeout)))
    }

    fn watch(&self, activity: ActivityId, timeout: Duration) -> Result<Watch, Error> {
        let deadline = Instant::now() + timeout.min(LONGEST);
        let (sender, message) = oneshot::channel();
        let number = self.watchers().insert(activity.clone(), sender).map_err(|Full| Error::Busy {
            what: "the table of watched activities",
            places: self.config().waiters_max,
            retry_after: RETRY_AFTER,
        })?;
        let place = Place { relay: self.clone(), activity, number };
        Ok(Watch { place, message, timeout, deadline })
    }

    /// Shows the message to those who wait for one of its conversation. Answers whether there was somebody.
    pub(super) fn show_watchers(&self, message: &Message) -> bool {
        if self.watchers().len() == 0 {
            return false;
        }
        let watchers = self.watchers().take(&message.conversation());
        // One that goes away this very moment does not want it any more.
        watchers.into_iter().filter_map(|watcher| watcher.send(message.clone()).ok()).count() > 0
    }
}
