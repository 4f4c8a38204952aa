//! One instance of a role: where it is, and which messages it exchanges.

use std::sync::Arc;
use std::time::Instant;

use crate::broker::wire::{Address, RoleRoutes, Translation};
use crate::message::{InstanceId, MessageName, Role};

/// The way an instance is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// In this process; it has no lease.
    Local,
    /// By HTTP; it has a lease.
    Remote(Address),
    /// Over the WebSocket it registered on, and as long as that is open.
    Socket,
}

/// The messages a service receives and sends, by its own names, and how those translate to public names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Interface {
    pub(crate) receives: Vec<MessageName>,
    pub(crate) sends: Vec<MessageName>,
    pub(crate) translation: Translation,
}

/// Memory that a name counts for besides its length: in the interface, and in the routing table.
const NAME_BYTES: usize = 128;

impl Interface {
    /// Returns the memory that the interface counts for: each name its length and 128 bytes.
    pub(crate) fn bytes(&self) -> usize {
        let Self { receives, sends, translation } = self;
        let pairs = translation.pairs().iter().flat_map(|pair| [&pair.public, &pair.internal]);
        Self::bytes_of(receives.iter().chain(sends).chain(pairs)) + translation.namespace().map_or(0, str::len)
    }

    /// Returns the same of names alone.
    pub(crate) fn bytes_of<'a>(names: impl Iterator<Item = &'a MessageName>) -> usize {
        NAME_BYTES + names.map(|name| NAME_BYTES + name.as_str().len()).sum::<usize>()
    }

    /// Returns the interface that a landscape declares for a role.
    pub(crate) fn of(routes: &RoleRoutes) -> Self {
        let RoleRoutes { receives, sends, translation, .. } = routes;
        Self { receives: receives.clone(), sends: sends.clone(), translation: translation.clone() }
    }
}

/// One instance of a role. `H` is the caller's handle for it.
pub(crate) struct Instance<H> {
    pub(crate) role: Role,
    /// `None` for a service of the posted landscape.
    pub(crate) id: Option<InstanceId>,
    pub(crate) endpoint: Endpoint,
    /// The interface in force.
    pub(crate) interface: Arc<Interface>,
    /// The interface it registered with. A landscape that declares its role overrides it.
    pub(crate) registered: Arc<Interface>,
    /// True if it takes several messages at once and answers for each.
    pub(crate) batch: bool,
    /// End of its lease, if it has one.
    pub(crate) expires: Option<Instant>,
    pub(crate) handle: H,
    /// True if the service behind it does not answer.
    pub(crate) away: bool,
    /// True if it has left; it is kept until the delivery in progress ends.
    pub(crate) gone: bool,
}

impl<H> Instance<H> {
    /// Returns a service of the posted landscape.
    pub(crate) fn posted(address: Address, routes: &RoleRoutes, handle: H) -> Self {
        let interface = Arc::new(Interface::of(routes));
        Self {
            role: routes.role.clone(),
            id: None,
            endpoint: Endpoint::Remote(address),
            registered: Arc::clone(&interface),
            interface,
            batch: false,
            expires: None,
            handle,
            away: false,
            gone: false,
        }
    }

    /// Returns true if it is in this process.
    pub(crate) fn is_local(&self) -> bool {
        self.endpoint == Endpoint::Local
    }

    /// Returns the address it listens on, if it does.
    pub(crate) fn address(&self) -> Option<&Address> {
        match &self.endpoint {
            Endpoint::Remote(address) => Some(address),
            Endpoint::Local | Endpoint::Socket => None,
        }
    }

    /// Returns true if one delivery may carry several messages.
    pub(crate) fn takes_batches(&self) -> bool {
        self.batch || !matches!(self.endpoint, Endpoint::Remote(_))
    }

    /// Returns true if it understands notices about the messages it has sent, as our relays do.
    pub(crate) fn takes_notices(&self) -> bool {
        self.is_local() || self.batch
    }

    /// Returns true if it gets replies to its requests without subscribing to them. Services of the WebSocket era do
    /// not.
    pub(crate) fn takes_replies(&self) -> bool {
        self.batch || self.endpoint != Endpoint::Socket
    }
}
