//! Identity of a relay, and its connection to the bus.

use std::sync::Arc;

use super::Config;
use crate::bus::{Bus, Endpoint};
use crate::message::{InstanceId, MessageName, Registration, Role};

/// Identity of a relay, and how it reaches the bus and is reached from it.
pub(crate) struct Identity {
    pub(crate) role: Role,
    pub(crate) instance: InstanceId,
    pub(crate) bus: Arc<dyn Bus>,
    /// Address that the broker delivers to; `None` if the relay has no listener.
    pub(crate) endpoint: Option<Endpoint>,
    /// Port reported by [`super::Event::Online`].
    pub(crate) online_port: u16,
    /// True if the broker may deliver several messages in one call.
    pub(crate) batch: bool,
    /// Credential for the role, if the broker requires one.
    pub(crate) token: Option<String>,
    /// Largest payload that it sends, so that every listener on the way accepts it.
    pub(crate) payload_bytes_max: usize,
}

impl Identity {
    /// Returns the registration of a relay that handles messages of the names `handled`.
    pub(super) fn registration(&self, config: &Config, handled: Vec<MessageName>) -> Registration {
        let mut receives = config.receives.clone();
        receives.extend(handled);
        receives.sort();
        receives.dedup();
        Registration {
            role: self.role.clone(),
            instance: self.instance.clone(),
            receives,
            sends: config.sends.clone(),
            namespace: Some(config.namespace.clone()).filter(|namespace| !namespace.is_empty()),
            batch: self.batch,
            token: self.token.clone(),
            away: false,
        }
    }
}
