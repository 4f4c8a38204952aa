//! Bus to a broker in the same process.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Bus, Error, Membership};
use crate::broker::Broker;
use crate::message::{HeldNames, InstanceId, Message, MessageName, Verdict};

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

    fn may_receive(&self, name: &MessageName) -> bool {
        self.broker.may_receive(&self.instance, name)
    }

    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Result<Vec<Verdict>, Error>> {
        let mut held = HeldNames::default();
        let mut publish = |message: &Message| {
            held.publish(&message.name, || self.broker.publish(Some(&self.instance), message.clone()))
        };
        let verdicts = batch.iter().map(&mut publish).collect();
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
