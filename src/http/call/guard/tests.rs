//! Tests of the URLs and addresses that may be called.

use std::net::IpAddr;
use std::sync::Arc;

use super::{OwnListeners, SsrfGuard, SsrfGuardConfig, UrlRejected};

fn config(allowed: &[&str]) -> SsrfGuardConfig {
    SsrfGuardConfig {
        allowed: allowed.iter().map(ToString::to_string).collect(),
        public: true,
        loopback_http: true,
        own: OwnListeners::default(),
        rule: "only public addresses may be called",
    }
}

/// A guard as that of webhooks outside of development.
fn closed() -> SsrfGuard {
    SsrfGuard::new(&SsrfGuardConfig { loopback_http: false, ..config(&[]) })
}

fn guard(allowed: &[&str]) -> SsrfGuard {
    SsrfGuard::new(&config(allowed))
}

fn check(guard: &SsrfGuard, accepted: &[&str], rejected: &[&str]) {
    for url in accepted {
        assert!(guard.check(url).is_ok(), "{url}: {:?}", guard.check(url));
    }
    for url in rejected {
        assert!(guard.check(url).is_err(), "{url} is accepted");
    }
}

#[test]
fn only_public_https_urls_and_loopback_http_urls_are_accepted() {
    check(
        &guard(&[]),
        &[
            "https://example.com/hook?x=1",
            "https://8.8.8.8:8443/",
            "https://[2606:4700::1]/",
            "http://localhost:1/a",
            "http://127.0.0.1:1",
            "http://127.9.9.9",
            "http://app.localhost:3",
        ],
        &[
            "http://example.com",
            "ftp://example.com",
            "https://user@example.com",
            "https://u:p@example.com",
            "nothing",
            "https://",
            "http://8.8.8.8",
            "http://[::1]:1/",
            "https://localhost",
            "https://127.0.0.1",
            "http://localhost.example",
        ],
    );
}

#[test]
fn no_spelling_of_a_private_address_is_accepted() {
    let addresses = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "192.0.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "10.1",
        "[::]",
        "[::1]",
        "[fe80::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[fec0::1]",
        "[::ffff:10.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::10.0.0.1]",
        "[64:ff9b::10.0.0.1]",
        "[64:ff9b:1::1]",
        "[2002:a00:1::]",
        "[2001::1]",
        "[2001:db8::1]",
        "[100::1]",
        "[::ffff:0:10.0.0.1]",
        "[4000::1]",
    ];
    for address in addresses {
        check(&guard(&[]), &[], &[&format!("https://{address}/")]);
    }
    let public = ["[::ffff:8.8.8.8]", "[64:ff9b::8.8.8.8]", "172.32.0.1", "100.128.0.1", "169.253.0.1"];
    for address in public {
        check(&guard(&[]), &[&format!("https://{address}/")], &[]);
    }
}

#[test]
fn allowed_private_destinations_are_accepted_over_http_too() {
    check(
        &guard(&["10.1.0.0/16", "fd00::/8", "192.168.7.7", "worker.internal"]),
        &[
            "http://10.1.2.3/",
            "https://10.1.2.3/",
            "http://[fd00::1]/",
            "http://192.168.7.7",
            "http://WORKER.internal:80",
            "https://[::ffff:10.1.0.1]/",
        ],
        &["http://10.2.0.1", "https://10.2.0.1", "http://192.168.7.8", "http://other.internal"],
    );
    check(&closed(), &[], &["http://localhost:1", "http://127.0.0.1:1", "http://app.localhost", "https://localhost."]);
}

#[test]
fn the_error_names_the_reason() {
    let reason = |url| guard(&[]).check(url).unwrap_err().to_string();
    assert_eq!(reason("http://10.0.0.1/hook"), "10.0.0.1 is a private address; only public addresses may be called");
    assert!(reason("http://example.com").contains("is not https"));
    let loopback = |url| closed().check(url).unwrap_err().to_string();
    assert!(loopback("http://127.0.0.1:3000/").starts_with("127.0.0.1 is a loopback address; only public"));
    assert!(loopback("http://localhost:3000/").starts_with("localhost is this host; only public"));
    assert_eq!(guard(&[]).check("https://a:b@example.com"), Err(UrlRejected::Credentials));
}

#[tokio::test]
async fn a_name_resolves_only_to_addresses_that_may_be_called() {
    let config = config(&["10.1.0.0/16", "inner"]);
    let resolve = async |name: &str, addresses: &[&str]| {
        let found: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let lookup = Arc::new(move |_| -> futures_util::future::BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
            let found = found.clone();
            Box::pin(async move { Ok(found) })
        });
        let resolved = SsrfGuard::with_lookup(&config, lookup).resolve(name, 443).await;
        resolved
            .map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())
            .map_err(|error| error.to_string())
    };
    assert_eq!(resolve("a", &["8.8.8.8", "127.0.0.1", "::1", "10.0.0.1"]).await.unwrap(), ["8.8.8.8"]);
    assert_eq!(resolve("a", &["10.1.2.3"]).await.unwrap(), ["10.1.2.3"]);
    assert_eq!(resolve("inner", &["192.168.0.1"]).await.unwrap(), ["192.168.0.1"]);
    assert_eq!(resolve("localhost", &["127.0.0.1", "::1", "10.0.0.1"]).await.unwrap(), ["127.0.0.1", "::1"]);
    for private in ["127.0.0.1", "::1", "169.254.169.254", "0.0.0.0", "64:ff9b::7f00:1", "::ffff:10.0.0.1", "fe80::1"] {
        let refused = resolve("a", &[private]).await.unwrap_err();
        assert!(refused.contains("only public addresses may be called"), "{refused}");
    }
}

/// A guard for addresses of services, as that of a broker, which lets only listed networks through.
fn listed(networks: &[&str], own: &OwnListeners) -> SsrfGuard {
    let rule = "broker.instance_networks lists the networks";
    SsrfGuard::new(&SsrfGuardConfig { public: false, loopback_http: false, own: own.clone(), rule, ..config(networks) })
}

#[test]
fn an_address_outside_of_the_listed_networks_is_refused() {
    let own = OwnListeners::default();
    let guard = listed(&["127.0.0.0/8", "::1/128", "10.0.0.0/8"], &own);
    for host in ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "10.1.2.3", "::ffff:10.1.2.3", "users", "users.internal"] {
        assert_eq!(guard.check_address(host, 80), Ok(()), "{host}");
    }
    for host in
        ["8.8.8.8", "192.168.0.1", "169.254.169.254", "::ffff:8.8.8.8", "fe80::1", "2606:4700::1", "0.0.0.0", "::"]
    {
        assert!(guard.check_address(host, 80).is_err(), "{host}");
    }
    let refused = guard.check_address("8.8.8.8", 80).unwrap_err().to_string();
    assert_eq!(refused, "8.8.8.8 is a public address; broker.instance_networks lists the networks");
    let open = listed(&["0.0.0.0/0", "::/0"], &own);
    assert_eq!(open.check_address("8.8.8.8", 80), Ok(()));
    for host in ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254"] {
        assert!(open.check_address(host, 80).is_err(), "{host}");
    }
}

#[tokio::test]
async fn a_listener_of_this_process_is_called_in_no_spelling() {
    let own = OwnListeners::default();
    own.add("127.0.0.1:4001".parse().unwrap());
    let allowed = ["127.0.0.0/8", "::1/128", "::/0", "0.0.0.0/0", "worker.internal"];
    let guard = SsrfGuard::new(&SsrfGuardConfig { own: own.clone(), ..config(&allowed) });
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.2",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "[::1]",
        "[::]",
        "0.0.0.0",
        "0",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
    ] {
        let refused = guard.check(&format!("http://{host}:4001/send/x"));
        assert!(matches!(refused, Err(UrlRejected::Own { port: 4001, .. })), "{host}: {refused:?}");
        assert!(guard.check(&format!("http://{host}:4003/")).is_ok(), "{host}: another port");
    }
    // A name shows its address only when it is resolved, just before the connection is made.
    let lookup = Arc::new(|_| -> futures_util::future::BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        Box::pin(async { Ok(vec!["127.0.0.1".parse().unwrap(), "::ffff:127.0.0.1".parse().unwrap()]) })
    });
    let guard = SsrfGuard::with_lookup(&SsrfGuardConfig { own, ..config(&allowed) }, lookup);
    assert!(guard.check("http://worker.internal:4001/").is_ok());
    let refused = guard.resolve("worker.internal", 4001).await.unwrap_err().to_string();
    assert_eq!(refused, "worker.internal with port 4001 is a listener of this server itself, which it never calls");
    assert_eq!(guard.resolve("worker.internal", 4003).await.unwrap().len(), 2);
}
