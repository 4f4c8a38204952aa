//! The number of connections of each client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use ipnet::IpNet;

use crate::http::Limits;
use crate::sync::lock;

/// The bits of an IPv6 address that one client has: the rest is its own to choose. RFC 4291 2.5.1.
const IPV6_NETWORK: u128 = !0 << 64;

/// Counts the connections of each address. Proxies that are trusted are not counted: they stand for many clients.
pub(super) struct Addresses {
    connections_max: usize,
    proxies: Vec<IpNet>,
    /// Addresses without a connection are not in it, so there are at most as many as connections.
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A client has as many connections as it may have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// A connection that counts until it is dropped.
pub(crate) struct AddressSlot {
    address: IpAddr,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Addresses {
    pub(super) fn new(limits: &Limits) -> Self {
        // The configuration has been checked.
        let network = |text: &String| text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let proxies = limits.trusted_proxies.iter().filter_map(network).collect();
        Self { connections_max: limits.connections_per_address_max, proxies, open: Arc::default() }
    }

    pub(super) fn connections_max(&self) -> usize {
        self.connections_max
    }

    /// Counts a connection; returns `None` for one that is not counted. Errors: [`TooMany`].
    pub(super) fn enter(&self, peer: IpAddr) -> Result<Option<AddressSlot>, TooMany> {
        let peer = peer.to_canonical();
        if self.proxies.iter().any(|network| network.contains(&peer)) {
            return Ok(None);
        }
        let address = client(peer);
        let mut open = lock(&self.open);
        let count = open.get(&address).copied().unwrap_or_default();
        if count >= self.connections_max {
            return Err(TooMany);
        }
        open.insert(address, count + 1);
        Ok(Some(AddressSlot { address, open: Arc::clone(&self.open) }))
    }
}

/// Returns the address under which a client is counted.
fn client(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & IPV6_NETWORK).into(),
    }
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        match open.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(open.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(connections_max: usize, proxies: &[&str]) -> Addresses {
        Addresses::new(&Limits {
            connections_per_address_max: connections_max,
            trusted_proxies: proxies.iter().map(|text| (*text).to_owned()).collect(),
            ..Limits::default()
        })
    }

    fn enter(addresses: &Addresses, peer: &str) -> Result<Option<AddressSlot>, TooMany> {
        addresses.enter(peer.parse().unwrap())
    }

    #[test]
    fn each_client_has_its_own_number_of_connections() {
        let addresses = addresses(2, &[]);
        let first = enter(&addresses, "192.0.2.1").unwrap();
        let _second = enter(&addresses, "::ffff:192.0.2.1").unwrap();
        assert_eq!(enter(&addresses, "192.0.2.1").err(), Some(TooMany));
        let _other = enter(&addresses, "192.0.2.2").unwrap();
        drop(first);
        drop(enter(&addresses, "192.0.2.1").unwrap());
        assert_eq!(lock(&addresses.open).len(), 2);
        drop((_second, _other));
        assert!(lock(&addresses.open).is_empty());
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_client() {
        let addresses = addresses(1, &[]);
        let _first = enter(&addresses, "2001:db8::1").unwrap();
        assert_eq!(enter(&addresses, "2001:db8::2:0:0:1").err(), Some(TooMany));
        assert!(enter(&addresses, "2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn proxies_that_are_trusted_are_not_counted() {
        let addresses = addresses(1, &["10.0.0.0/8", "127.0.0.1"]);
        for _ in 0..3 {
            assert!(enter(&addresses, "10.1.2.3").unwrap().is_none());
            assert!(enter(&addresses, "127.0.0.1").unwrap().is_none());
        }
        let _counted = enter(&addresses, "127.0.0.2").unwrap().unwrap();
        assert!(enter(&addresses, "127.0.0.2").is_err());
        assert!(lock(&addresses.open).len() == 1);
    }
}
