//! Who the service at the other end of a socket is: nobody at first, then an instance of the role it registers under.

use std::sync::Arc;

use tokio::sync::Notify;
use uuid::Uuid;

use super::error::Error;
use super::handle::InstanceHandle;
use super::rules::InstanceKey;
use super::service::Broker;
use super::socket::Acks;
use super::wire::{Dialect, Hello};
use crate::message::{InstanceId, Message, Registration, Role, Verdict};

/// The socket's place on the roster. A socket that registers under another role gives up the one before.
pub(super) struct Member {
    broker: Broker,
    acks: Acks,
    wake: Arc<Notify>,
    seat: Option<Seat>,
    dialect: Dialect,
}

struct Seat {
    key: InstanceKey,
    role: Role,
    instance: InstanceId,
}

impl Seat {
    fn fits(&self, hello: &Hello) -> bool {
        self.role == hello.role && hello.instance.as_ref().is_none_or(|instance| *instance == self.instance)
    }
}

impl Member {
    pub(super) fn new(broker: Broker, acks: Acks, wake: Arc<Notify>) -> Self {
        Self { broker, acks, wake, seat: None, dialect: Dialect::ActivityId }
    }

    /// Registers, or renews what the broker knows. Errors: [`Error::Token`], [`Error::Full`], [`Error::InstanceTaken`],
    /// [`Error::Draining`].
    pub(super) fn register(&mut self, hello: Hello) -> Result<(), Error> {
        self.dialect = hello.dialect;
        let known = self.seat.as_ref().filter(|seat| seat.fits(&hello));
        let fresh = || InstanceId::from_uuid(Uuid::now_v7());
        let instance = hello.instance.or_else(|| known.map(|seat| seat.instance.clone())).unwrap_or_else(fresh);
        let registration = Registration {
            role: hello.role.clone(),
            instance: instance.clone(),
            receives: hello.receives,
            sends: hello.sends,
            namespace: hello.namespace,
            batch: self.acks == Acks::Each,
            token: hello.token,
        };
        if let Some(seat) = known {
            return self.broker.engine().renew(seat.key, registration);
        }
        self.leave(false);
        let handle = InstanceHandle::waking(Arc::clone(&self.wake));
        let key = self.broker.engine().connect(registration, handle)?;
        self.seat = Some(Seat { key, role: hello.role, instance });
        Ok(())
    }

    /// Whether a registration is about the place that the socket has.
    pub(super) fn stays(&self, hello: &Hello) -> bool {
        self.seat.as_ref().is_some_and(|seat| seat.fits(hello))
    }

    /// Publishes in the name of this service; an unregistered one speaks for itself.
    pub(super) fn publish(&self, message: Message) -> Verdict {
        self.broker.publish_with(self.seat.as_ref().map(|seat| &seat.instance), None, message)
    }

    /// Gives up a message for which its receivers never had room.
    pub(super) fn overflow(&self, message: Message) {
        self.broker.engine().overflow(self.seat.as_ref().map(|seat| &seat.instance), message);
    }

    /// Its place, once it has registered.
    pub(super) fn key(&self) -> Option<InstanceKey> {
        self.seat.as_ref().map(|seat| seat.key)
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Role and instance, for the log.
    pub(super) fn names(&self) -> (Option<Role>, Option<InstanceId>) {
        self.seat.as_ref().map(|seat| (seat.role.clone(), seat.instance.clone())).unzip()
    }

    /// Gives up its place; a delivery that is `out` counts as not delivered.
    pub(super) fn leave(&mut self, out: bool) {
        if let Some(Seat { key, role, instance }) = self.seat.take() {
            self.broker.engine().disconnect(key, (role, instance), out);
        }
    }
}
