//! The addresses that this process listens on itself.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use super::public::effective;
use crate::sync::lock;

/// Addresses of a process's own listeners, which nobody else may make it call. Cheap to clone; clones share the list.
#[derive(Debug, Clone, Default)]
pub struct OwnListeners(Arc<Mutex<Vec<SocketAddr>>>);

impl OwnListeners {
    /// Adds the bound address of a listener.
    pub fn add(&self, address: SocketAddr) {
        lock(&self.0).push(address);
    }

    /// Returns true if a connection to this address would reach one of the listeners. A port counts at every address of this
    /// machine, since a listener may have all of them.
    pub(super) fn covers(&self, address: IpAddr, port: u16) -> bool {
        self.has_port(port) && is_of_this_machine(effective(address))
    }

    /// Returns true if one of the listeners has this port.
    pub(super) fn has_port(&self, port: u16) -> bool {
        lock(&self.0).iter().any(|own| own.port() == port)
    }
}

impl PartialEq for OwnListeners {
    fn eq(&self, other: &Self) -> bool {
        let own = lock(&self.0).clone();
        let others = lock(&other.0).clone();
        own == others
    }
}

impl Eq for OwnListeners {}

/// Returns true for an address of one of this machine's interfaces: only to those can a socket be bound.
fn is_of_this_machine(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified() || UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_covered_at_every_address_of_this_machine() {
        let own = OwnListeners::default();
        own.clone().add("127.0.0.1:4001".parse().unwrap());
        for address in ["127.0.0.1", "127.3.2.1", "0.0.0.0", "::", "::1", "::ffff:127.0.0.1", "::127.0.0.1"] {
            assert!(own.covers(address.parse().unwrap(), 4001), "{address}");
            assert!(!own.covers(address.parse().unwrap(), 4002), "{address}");
        }
        for other in ["192.0.2.1", "2001:db8::1"] {
            assert!(!own.covers(other.parse().unwrap(), 4001), "{other}");
        }
    }
}
