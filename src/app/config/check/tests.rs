use super::*;

const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn check_all(key: &str, good: &[&str], bad: &[&str]) {
    for text in good {
        assert_eq!(check(key, &Value::String((*text).to_owned())), Ok(()), "{key} {text:?}");
    }
    for text in bad {
        assert!(check(key, &Value::String((*text).to_owned())).is_err(), "{key} {text:?}");
    }
}

fn check_range(key: &str, good: &[i64], bad: &[i64]) {
    for number in good {
        assert_eq!(check(key, &Value::Integer(*number)), Ok(()), "{key} {number}");
    }
    for number in bad {
        assert!(check(key, &Value::Integer(*number)).is_err(), "{key} {number}");
    }
}

#[test]
fn the_bus_is_embedded_or_the_url_of_a_broker() {
    check_all(
        "bus.url",
        &[
            "embedded",
            "http://exocom",
            "https://u:p@exocom:443/base",
            "http://[::1]:3100",
            "ws://exocom",
            "wss://exocom:3100/services",
        ],
        &[
            "",
            "localhost:3100",
            "ftp://exocom",
            "http://",
            "http://exocom:abc",
            "http://exocom:70000",
            "http://a?b",
            "ws://exocom:abc",
        ],
    );
    check_all(
        "webhook.forward",
        &["", "http://service", "http://user:p%40ss^@service"],
        &["ws://service", "http://user:p/ss@service", "http://user:p?ss@service", "http://user:pass@"],
    );
    check_all("streams.public_url", &["", "https://streams.example"], &["https://user:pass@streams.example"]);
}

#[test]
fn a_token_can_be_sent_in_a_header() {
    check_all("bus.token", &["", "s3cret.~+/="], &["two words", "über", "line\nbreak"]);
}

#[test]
fn an_address_has_a_host_and_a_port() {
    check_all(
        "listen.address",
        &["127.0.0.1:0", "localhost:4000", "[::]:4000", "0.0.0.0:65535"],
        &["", "4000", ":4000", "localhost", "localhost:", "localhost:65536", "localhost:http"],
    );
    check_all("edge.address", &["", "127.0.0.1:0"], &["4002", "localhost:http"]);
}

#[test]
fn only_the_api_may_be_a_unix_socket() {
    check_all("api.address", &["127.0.0.1:0", "unix:/run/exorelay.sock", "unix:api.sock"], &["unix:", "/run/a.sock"]);
    check_all("broker.address", &[], &["unix:/run/exorelay.sock"]);
    check_all("api.socket_mode", &["0600", "660", "0777"], &["", "6", "0888", "1777", "rw-------"]);
}

#[test]
fn an_advertised_address_needs_a_port() {
    check_all("bus.advertise", &["", "greeter:4000"], &["greeter", "greeter:0"]);
}

#[test]
fn a_secret_has_its_prefix_and_24_to_64_bytes() {
    let secret = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
    check_lists(
        "webhook.secret",
        &[&secret(24), &secret(64), &[secret(24), secret(25)].join(" "), &vec![secret(24); 8].join(" ")],
        &["", "whsec_", "open", &secret(23), &secret(65), &format!("{} x", secret(24)), &vec![secret(24); 9].join(" ")],
    );
}

#[test]
fn a_level_is_a_level_or_directives() {
    check_all(
        "log.level",
        &["info", "WARN", "off", "info,exorelay::bus=debug", "exorelay=trace"],
        &["", "loud", "info,loud", "exorelay=loud"],
    );
}

/// Checks lists; entries are separated by a blank.
fn check_lists(key: &str, good: &[&str], bad: &[&str]) {
    let list = |text: &str| Value::Array(text.split(' ').map(|entry| Value::String(entry.to_owned())).collect());
    for text in good {
        assert_eq!(check(key, &list(text)), Ok(()), "{key} {text:?}");
    }
    for text in bad {
        assert!(check(key, &list(text)).is_err(), "{key} {text:?}");
    }
    assert_eq!(check(key, &Value::Array(Vec::new())), Ok(()), "{key}");
}

#[test]
fn an_allowed_webhook_target_is_a_network_an_address_or_a_host() {
    check_lists(
        "streams.subscriptions_webhook_allowed",
        &["10.1.0.0/16 fd00::/8 192.168.0.1 ::1 worker.internal"],
        &["", "10.1.0.0/16 10.0.0.0/33", "host:80", "http://host"],
    );
}

#[test]
fn a_token_belongs_to_a_role_of_its_own() {
    check_lists(
        "broker.tokens",
        &["users=s3cret", "users=a web=b", "users=a=b", "users=a users=b", "*=a", &format!("users=sha256:{DIGEST}")],
        &["users", "", "=s3cret", "users=", "users=a web", "users=a users=a", "users=über", "users=sha256:abc"],
    );
    check_lists("broker.operator_tokens", &["s3cret", &format!("a sha256:{DIGEST}")], &["", "über", "sha256:abc"]);
}

#[test]
fn services_listen_in_networks() {
    check_lists(
        "broker.instance_networks",
        &["10.1.0.0/16 fd00::/8 192.168.0.1 0.0.0.0/0"],
        &["", "10.0.0.0/33", "users.internal"],
    );
}

#[test]
fn an_origin_is_written_as_browsers_send_it() {
    check_lists(
        "http.hosts",
        &["*", "app.example localhost:8080 [::1]:80"],
        &["", "* app.example", "https://app.example", "app.example/", "a@b"],
    );
    for key in ["api", "listen", "broker", "streams", "ops"].map(|section| format!("{section}.cors_origins")) {
        check_lists(
            &key,
            &["*", "https://app.example http://localhost:8080", "null", "loopback https://app.example"],
            &["", "* https://a", "app.example", "https://app.example/", "https://App.example", "https://a/b", "://a"],
        );
    }
}

#[test]
fn a_trusted_proxy_is_a_network_or_an_address_and_a_header_has_a_name() {
    let check_list = |key: &str, text: &str| check(key, &Value::Array(vec![Value::String(text.to_owned())]));
    for (key, good, bad) in [
        ("http.trusted_proxies", ["10.1.0.0/16", "::1", "0.0.0.0/0"], ["", "10.0.0.0/33", "proxy.internal"]),
        ("streams.cors_headers", ["*", "x-api-key", "Traceparent"], ["", "two words", "a:b"]),
    ] {
        good.iter().for_each(|text| assert_eq!(check_list(key, text), Ok(()), "{key} {text}"));
        bad.iter().for_each(|text| assert!(check_list(key, text).is_err(), "{key} {text}"));
    }
}

#[test]
fn a_namespace_has_no_dot() {
    check_all("relay.namespace", &["", "mongo"], &["mongo.users", "a\nb"]);
}

#[test]
fn limits_are_at_least_one_and_times_at_most_a_year() {
    check_range("relay.waiters_max", &[1, COUNT_MAX], &[0, -1, COUNT_MAX + 1]);
    check_range("webhook.timeout_ms", &[1, TIME_MS_MAX], &[0, TIME_MS_MAX + 1]);
    check_range("drain.grace_ms", &[0], &[-1]);
    check_range("broker.settle_ms", &[0], &[-1]);
    check_range("webhook.breaker_failures", &[0, 5], &[-1, COUNT_MAX + 1]);
}
