//! Addresses on this host.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

use uuid::Uuid;

/// Ports below those that systems give to outgoing connections, which begin at 32768 or 49152: nothing else takes the port of
/// a service while it restarts, and no connection to it can be one to itself.
const PORTS: Range<u16> = 20_000..32_000;

/// Replaces an unspecified host such as `0.0.0.0`, which a client cannot connect to, with loopback.
pub(crate) fn reachable(address: &str) -> String {
    match address.parse::<SocketAddr>() {
        Ok(any) if any.ip().is_unspecified() && any.is_ipv4() => format!("127.0.0.1:{}", any.port()),
        Ok(any) if any.ip().is_unspecified() => format!("[::1]:{}", any.port()),
        _ => address.to_owned(),
    }
}

/// Returns a port of this host without a listener; `None` if there is none.
pub(super) fn free_port() -> Option<u16> {
    let count = PORTS.end - PORTS.start;
    let first = u16::try_from(Uuid::new_v4().as_u128() % u128::from(count)).unwrap_or_default();
    let mut ports = (0..count).map(|step| PORTS.start + (first + step) % count);
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
}

/// Returns the addresses of a host that are addresses of this one; none if it is another host, or unknown.
pub(super) async fn local_addresses(host: &str) -> Vec<IpAddr> {
    let found = tokio::net::lookup_host((host, 0)).await;
    let addresses = found.into_iter().flatten().map(|found| found.ip());
    addresses.filter(|ip| ip.is_loopback() || TcpListener::bind((*ip, 0)).is_ok()).collect()
}

/// Returns true if a listener has this port.
pub(super) fn is_in_use(ip: IpAddr, port: u16) -> bool {
    TcpListener::bind((ip, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_interface_is_called_on_loopback() {
        assert_eq!(reachable("0.0.0.0:4001"), "127.0.0.1:4001");
        assert_eq!(reachable("[::]:4001"), "[::1]:4001");
        assert_eq!(reachable("relay:4001"), "relay:4001");
    }

    #[test]
    fn a_free_port_can_be_listened_on() {
        let port = free_port().unwrap();
        assert!(PORTS.contains(&port));
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    }
}
