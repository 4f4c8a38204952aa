//! Classification of IP addresses as public or special-purpose. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the kind of a special-purpose address, such as "a private address"; `None` for a public one.
/// RFC 6890 and its registries.
pub(super) fn special_purpose(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_purpose_v4(address),
        IpAddr::V6(address) => match embedded_v4(IpAddr::V6(address)) {
            Some(embedded) => special_purpose_v4(embedded),
            None => special_purpose_v6(address),
        },
    }
}

/// Returns true for an address at which clouds give credentials to whatever runs on the machine: never to be called for others.
pub(super) fn is_metadata(address: IpAddr) -> bool {
    match effective(address) {
        // AWS, GCP, Azure and most others; AWS ECS and EKS; Azure's host; Alibaba; Oracle.
        IpAddr::V4(address) => matches!(
            address.octets(),
            [169, 254, 169, 254]
                | [169, 254, 170, 2 | 23]
                | [168, 63, 129, 16]
                | [100, 100, 100, 200]
                | [192, 0, 0, 192]
        ),
        IpAddr::V6(address) => matches!(
            address.segments(),
            [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23] | [0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe]
        ),
    }
}

/// Returns the address that traffic ends up at: the embedded IPv4 address, else the address itself.
pub(super) fn effective(address: IpAddr) -> IpAddr {
    embedded_v4(address).map_or(address, IpAddr::V4)
}

/// Returns the IPv4 address that traffic to an IPv6 address ends up at: mapped, compatible, translated (NAT64) or 6to4.
pub(super) fn embedded_v4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0] if g != 0 => Some(v4(g, h)),
        [0, 0, 0, 0, 0, 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(v4(g, h)),
        [0x2002, ..] => Some(v4(b, c)),
        _ => None,
    }
}

fn special_purpose_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (0, ..) => Some("an address of this network"),
        (127, ..) => Some("a loopback address"),
        (10, ..) | (192, 168, _) | (172, 16..=31, _) => Some("a private address"),
        (100, 64..=127, _) => Some("a carrier-grade NAT address"),
        (169, 254, _) => Some("a link-local address"),
        (192, 0, 0) => Some("a protocol assignment"),
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => Some("a documentation address"),
        (192, 88, 99) => Some("a 6to4 relay address"),
        (198, 18 | 19, _) => Some("a benchmarking address"),
        (224..=239, ..) => Some("a multicast address"),
        (240..=255, ..) => Some("a reserved address"),
        _ => None,
    }
}

fn special_purpose_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("the unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        [0x64, 0xff9b, 1, ..] => Some("a private address"),
        [0x100, 0, 0, 0, ..] => Some("a discard-only address"),
        [0x2001, 0..=0x1ff, ..] => Some("a protocol assignment"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("a documentation address"),
        [0x5f00, ..] => Some("a segment identifier"),
        [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfec0..=0xfeff, ..] => Some("a site-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        // Only 2000::/3 is assigned as global unicast. RFC 4291 2.4.
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}
