//! Identity of a service that is connected by WebSocket: an instance of a role, once it has registered.

use std::sync::Arc;

use axum::http::Extensions;
use tokio::sync::Notify;
use uuid::Uuid;

use super::callers::check_registration;
use super::error::Error;
use super::handle::InstanceHandle;
use super::rules::{InstanceKey, Proof};
use super::service::Broker;
use super::wire::{Dialect, Hello};
use crate::http::access::{TokenDigest, is_in_force};
use crate::message::{InstanceId, Message, Registration, Role, Verdict};

/// Says if the two ends answer each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acks {
    /// They do, as relays and brokers of ours.
    Each,
    /// They do not, as originals.
    None,
}

/// Registration of the service behind one connection. A service that registers under another role gives up the role it
/// had.
pub(super) struct Member {
    broker: Broker,
    acks: Acks,
    wake: Arc<Notify>,
    registered: Option<Registered>,
    dialect: Dialect,
    /// The token of its handshake, and the digest of it.
    token: Option<(String, TokenDigest)>,
    /// The rights that rules gave the caller at its handshake.
    rights: Extensions,
}

/// The evidence of who connects, from the handshake.
pub(super) struct Evidence {
    pub(super) token: Option<String>,
    /// The rights of the caller, where rules are in force.
    pub(super) rights: Extensions,
}

struct Registered {
    key: InstanceKey,
    role: Role,
    instance: InstanceId,
}

impl Registered {
    /// Returns true if `hello` is from the same instance.
    fn matches(&self, hello: &Hello) -> bool {
        self.role == hello.role && hello.instance.as_ref().is_none_or(|instance| *instance == self.instance)
    }
}

impl Member {
    /// `evidence` is that of the handshake.
    pub(super) fn new(broker: Broker, acks: Acks, wake: Arc<Notify>, evidence: Evidence) -> Self {
        let Evidence { token, rights } = evidence;
        let token = token.map(|token| (token.clone(), TokenDigest::of(&token)));
        Self { broker, acks, wake, registered: None, dialect: Dialect::ActivityId, token, rights }
    }

    /// Registers the service, or updates its registration. Errors: [`Error::Rights`], [`Error::Token`], [`Error::Full`], [`Error::InstanceTaken`],
    /// [`Error::Draining`].
    pub(super) fn register(&mut self, hello: Hello) -> Result<(), Error> {
        self.dialect = hello.dialect;
        check_registration(&self.broker, &self.rights, &hello.role)
            .map_err(|refused| Error::Rights { role: hello.role.clone(), detail: refused.detail().to_owned() })?;
        let known = self.registered.as_ref().filter(|registered| registered.matches(&hello));
        let fresh = || InstanceId::from_uuid(Uuid::now_v7());
        let instance =
            hello.instance.or_else(|| known.map(|registered| registered.instance.clone())).unwrap_or_else(fresh);
        let registration = Registration {
            role: hello.role.clone(),
            instance: instance.clone(),
            receives: hello.receives,
            sends: hello.sends,
            namespace: hello.namespace,
            batch: self.acks == Acks::Each,
            token: hello.token.or_else(|| self.token.as_ref().map(|(token, _)| token.clone())),
            away: hello.away,
        };
        if let Some(registered) = known {
            return self.broker.engine().renew(registered.key, registration);
        }
        self.leave(false);
        let handle = InstanceHandle::waking(Arc::clone(&self.wake));
        let key = self.broker.engine().connect(registration, handle)?;
        self.registered = Some(Registered { key, role: hello.role, instance });
        Ok(())
    }

    /// Returns true if `hello` updates the current registration instead of replacing it.
    pub(super) fn is_renewed_by(&self, hello: &Hello) -> bool {
        self.registered.as_ref().is_some_and(|registered| registered.matches(hello))
    }

    /// Publishes a message of this service, registered or not.
    pub(super) fn publish(&self, message: Message) -> Verdict {
        let token = self.token.as_ref().map(|(_, digest)| digest);
        let is_known = self.registered.is_some() || self.broker.engine().tokens().know(token);
        if !is_known && is_in_force(&self.rights) {
            let detail = "only services that are registered may send over a WebSocket".to_owned();
            return Verdict::Forbidden { detail };
        }
        let proof = Proof::Connection(self.token.as_ref().map(|(_, digest)| digest));
        self.broker.publish_with(self.registered.as_ref().map(|registered| &registered.instance), proof, message)
    }

    /// Gives up a message whose receivers stayed full for too long.
    pub(super) fn overflow(&self, message: Message) {
        self.broker.engine().overflow(self.registered.as_ref().map(|registered| &registered.instance), message);
    }

    /// Returns the key of the registration.
    pub(super) fn key(&self) -> Option<InstanceKey> {
        self.registered.as_ref().map(|registered| registered.key)
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Returns role and instance, for the log.
    pub(super) fn names(&self) -> (Option<Role>, Option<InstanceId>) {
        self.registered.as_ref().map(|registered| (registered.role.clone(), registered.instance.clone())).unzip()
    }

    /// Gives up the registration. A delivery that is `in_flight` counts as not delivered.
    pub(super) fn leave(&mut self, in_flight: bool) {
        if let Some(Registered { key, role, instance }) = self.registered.take() {
            self.broker.engine().disconnect(key, (role, instance), in_flight);
        }
    }
}
