//! The decision which addresses may be called. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

use super::public::{effective, is_metadata, special_purpose};

/// The addresses that may be called: the listed ones, and public ones if they may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Policy {
    networks: Vec<IpNet>,
    hosts: Vec<String>,
    public: bool,
}

impl Policy {
    /// Parses networks (`10.1.0.0/16`) and addresses; every other text is the name of a host.
    pub(super) fn new(allowed: &[String], public: bool) -> Self {
        let mut policy = Self { public, ..Self::default() };
        for text in allowed {
            let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
            match text.parse().ok().or_else(address) {
                Some(network) => policy.networks.push(network),
                None => policy.hosts.push(plain(text)),
            }
        }
        policy
    }

    /// Returns true if the host is listed by its name.
    pub(super) fn lists_host(&self, host: &str) -> bool {
        self.hosts.contains(&plain(host))
    }

    /// Returns true if the address is listed. Metadata services of clouds never are.
    pub(super) fn lists(&self, address: IpAddr) -> bool {
        let reached = effective(address);
        !is_metadata(address) && self.networks.iter().any(|net| net.contains(&address) || net.contains(&reached))
    }

    /// Returns the kind of an address that may not be called, such as "a private address"; `None` if it may. `host` is the
    /// name that it was found under.
    pub(super) fn refusal(&self, host: Option<&str>, address: IpAddr) -> Option<&'static str> {
        if is_metadata(address) {
            return Some("the address of a cloud's metadata, which is never called");
        }
        if self.lists(address) || host.is_some_and(|host| self.lists_host(host)) {
            return None;
        }
        match (special_purpose(address), self.public) {
            (None, true) => None,
            (None, false) => Some("a public address"),
            (Some(kind), _) => Some(kind),
        }
    }
}

/// Returns a host name as it is compared: in lower case and without the root's dot.
fn plain(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn policy(allowed: &[&str], public: bool) -> Policy {
        Policy::new(&allowed.iter().map(ToString::to_string).collect::<Vec<_>>(), public)
    }

    /// The networks that RFC 6890 and its registries keep from the public, read one by one.
    fn is_public_naively(address: Ipv4Addr) -> bool {
        let reserved = [
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ];
        !reserved.iter().any(|network| network.parse::<ipnet::Ipv4Net>().unwrap().contains(&address))
    }

    /// Addresses at which the interesting networks begin and end, and any others.
    fn v4() -> impl Strategy<Value = Ipv4Addr> {
        let firsts =
            prop::sample::select(vec![0_u8, 9, 10, 11, 100, 126, 127, 128, 168, 169, 172, 192, 198, 203, 224, 255]);
        let seconds = prop::sample::select(vec![0_u8, 15, 16, 18, 19, 31, 32, 51, 63, 64, 88, 127, 128, 168, 254, 255]);
        prop_oneof![
            any::<u32>().prop_map(Ipv4Addr::from),
            (firsts, seconds, any::<u8>(), any::<u8>()).prop_map(|(a, b, c, d)| Ipv4Addr::new(a, b, c, d))
        ]
    }

    proptest! {
        #[test]
        fn only_public_addresses_pass_without_a_list(address in v4()) {
            let passes = policy(&[], true).refusal(None, address.into()).is_none();
            let metadata = is_metadata(address.into());
            prop_assert_eq!(passes, is_public_naively(address) && !metadata, "{}", address);
        }

        #[test]
        fn an_address_in_another_spelling_gets_the_same_answer(address in v4(), public: bool) {
            let policy = policy(&["10.1.0.0/16", "127.0.0.0/8"], public);
            let plain = policy.refusal(None, address.into()).is_none();
            let [a, b, c, d] = address.octets().map(u16::from);
            let (high, low) = ((a << 8) | b, (c << 8) | d);
            let spellings = [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            ];
            for spelling in spellings {
                prop_assert_eq!(policy.refusal(None, spelling.into()).is_none(), plain, "{} for {}", spelling, address);
            }
        }

        #[test]
        fn a_closed_policy_passes_its_networks_and_nothing_else(address in v4(), prefix in 0_u8..=32, base in v4()) {
            let network = ipnet::Ipv4Net::new(base, prefix).unwrap();
            let passes = policy(&[&network.to_string()], false).refusal(None, address.into()).is_none();
            prop_assert_eq!(passes, network.contains(&address) && !is_metadata(address.into()));
        }

        #[test]
        fn no_list_lets_the_metadata_of_a_cloud_through(public: bool) {
            let open = policy(&["0.0.0.0/0", "::/0", "metadata", "169.254.169.254"], public);
            for address in ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "64:ff9b::a9fe:a9fe", "168.63.129.16"] {
                prop_assert!(open.refusal(Some("metadata"), address.parse().unwrap()).is_some(), "{}", address);
            }
        }
    }

    #[test]
    fn a_listed_host_is_found_in_every_spelling() {
        let policy = policy(&["Worker.internal"], true);
        let private = "10.0.0.1".parse().unwrap();
        for host in ["worker.internal", "WORKER.INTERNAL", "worker.internal."] {
            assert_eq!(policy.refusal(Some(host), private), None, "{host}");
        }
        assert_eq!(policy.refusal(Some("other.internal"), private), Some("a private address"));
    }
}
