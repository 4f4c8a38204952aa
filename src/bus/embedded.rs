//! Bus to a broker in the same process.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Bus, Error, Membership};
use crate::broker::Broker;
use crate::message::{InstanceId, Message, MessageName, Verdict};

/// Renewal interval. Long, since the broker lives as long as the process.
const RENEWAL: Duration = Duration::from_secs(60);

/// Bus to a broker in this process.
pub struct EmbeddedBus {
    broker: Broker,
    instance: InstanceId,
}

impl EmbeddedBus {
    /// Connects the relay `instance` to `broker`.
    pub fn new(broker: Broker, instance: InstanceId) -> Self {
        Self { broker, instance }
    }

    fn join_local(&self, membership: &Membership) -> Result<Duration, Error> {
        let joined = self.broker.join_local(membership.registration.clone(), membership.inbox.clone());
        joined.map(|_| RENEWAL).map_err(|error| Error::Registration(error.to_string()))
    }
}

impl Bus for EmbeddedBus {
    fn publish_now(&self, message: &Message) -> Option<Verdict> {
        Some(self.broker.publish(Some(&self.instance), message.clone()))
    }

    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Result<Vec<Verdict>, Error>> {
        let mut busy: HashMap<&MessageName, Verdict> = HashMap::new();
        let mut verdicts = Vec::with_capacity(batch.len());
        for message in batch {
            if let Some(verdict) = busy.get(&message.name) {
                verdicts.push(verdict.clone());
                continue;
            }
            let verdict = self.broker.publish(Some(&self.instance), message.clone());
            if matches!(verdict, Verdict::Busy { .. }) {
                busy.insert(&message.name, verdict.clone());
            }
            verdicts.push(verdict);
        }
        async move { Ok(verdicts) }.boxed()
    }

    fn join_now(&self, membership: &Membership) -> Option<Result<Duration, Error>> {
        Some(self.join_local(membership))
    }

    fn join<'a>(&'a self, membership: &'a Membership) -> BoxFuture<'a, Result<Duration, Error>> {
        async move { self.join_local(membership) }.boxed()
    }

    fn leave<'a>(&'a self, membership: &'a Membership) -> BoxFuture<'a, Result<(), Error>> {
        self.broker.leave(&membership.registration.role, &membership.registration.instance);
        async move { Ok(()) }.boxed()
    }
}
