//! The merged layers, as a command resolves them.

use std::io::Write;

use tempfile::NamedTempFile;

use super::*;

/// The three layers above the defaults.
#[derive(Default, Clone, Copy)]
struct Layers<'a> {
    file: &'a str,
    environment: &'a [(&'a str, &'a str)],
    flags: &'a [(&'static str, &'static str, &'a str)],
}

/// Resolves the layers, with file names in errors replaced by `FILE`.
fn resolve(layers: Layers<'_>, purpose: Purpose) -> Result<Resolved, String> {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(layers.file.as_bytes()).unwrap();
    let mut sources = Sources::of(Some(file.path().to_owned()), layers.environment);
    for (flag, key, text) in layers.flags {
        sources = sources.flag(flag, key, Some(text));
    }
    let name = file.path().display().to_string();
    sources.resolve(purpose).map_err(|errors| errors.to_string().replace(&name, "FILE"))
}

/// Checks the value of `key` and its origin.
fn check(layers: Layers<'_>, key: &str, value: &str, origin: &str) {
    let resolved = resolve(layers, Purpose::Other).unwrap();
    let leaf = &resolved.leaves[key];
    let (shown, from) = (leaf.value.to_string(), leaf.origin.to_string());
    assert_eq!((shown.as_str(), from.starts_with(origin)), (value, true), "{from}");
}

fn check_refused(layers: Layers<'_>, errors: &[&str]) {
    let refused = resolve(layers, Purpose::Other).unwrap_err();
    assert_eq!(refused.lines().collect::<Vec<_>>(), errors);
}

fn in_file(file: &str) -> Layers<'_> {
    Layers { file, ..Layers::default() }
}

fn in_environment<'a>(environment: &'a [(&'a str, &'a str)]) -> Layers<'a> {
    Layers { environment, ..Layers::default() }
}

const ALL: Layers<'_> = Layers {
    file: "[bus]\nurl = \"http://file:1\"\n",
    environment: &[("EXORELAY__BUS__URL", "http://environment:1"), ("EXOCOM_HOST", "original")],
    flags: &[("--bus", "bus.url", "http://flag:1")],
};

#[test]
fn without_any_layer_everything_is_a_default() {
    let resolved = resolve(Layers::default(), Purpose::Other).unwrap();
    assert_eq!(resolved.config, Config::default());
    assert!(resolved.leaves.values().all(|leaf| leaf.origin == Origin::Default));
}

#[test]
fn the_file_overrides_the_defaults() {
    let layers = Layers { environment: &[], flags: &[], ..ALL };
    check(layers, "bus.url", "\"http://file:1\"", "/");
    check(layers, "bus.register", "\"auto\"", "default");
    assert!(resolve(layers, Purpose::Other).unwrap().origin("bus.url").unwrap().to_string().ends_with(":2"));
}

#[test]
fn the_environment_overrides_the_file() {
    check(Layers { flags: &[], ..ALL }, "bus.url", "\"http://environment:1\"", "environment EXORELAY__BUS__URL");
}

#[test]
fn original_names_override_the_file_and_are_overridden_by_ours() {
    let layers = Layers { environment: &[("EXOCOM_HOST", "original")], flags: &[], ..ALL };
    check(layers, "bus.url", "\"http://original:3100\"", "environment EXOCOM_HOST");
}

#[test]
fn flags_override_everything() {
    check(ALL, "bus.url", "\"http://flag:1\"", "flag --bus");
}

#[test]
fn text_is_converted_to_the_type_of_the_default() {
    check(in_environment(&[("EXORELAY__BROKER__COMPAT", "true")]), "broker.compat", "true", "environment");
    check(in_environment(&[("EXORELAY__BUS__TIMEOUT_MS", "1_500")]), "bus.timeout_ms", "1500", "environment");
    check(in_environment(&[("EXORELAY__BUS__TIMEOUT_MS", "2m 1s")]), "bus.timeout_ms", "121000", "environment");
}

#[test]
fn lists_are_separated_by_commas_or_written_as_toml() {
    let expected = "[\"a\", \"b c\"]";
    check(in_environment(&[("EXORELAY__RELAY__RECEIVES", "a, b c,")]), "relay.receives", expected, "environment");
    check(in_environment(&[("EXORELAY__RELAY__RECEIVES", expected)]), "relay.receives", expected, "environment");
    check(in_environment(&[("EXORELAY__RELAY__RECEIVES", "")]), "relay.receives", "[]", "environment");
}

#[test]
fn an_address_without_a_host_is_on_loopback() {
    let layers = Layers { flags: &[("--api", "api.address", ":0")], ..Layers::default() };
    check(layers, "api.address", "\"127.0.0.1:0\"", "flag --api");
}

#[test]
fn an_empty_section_is_accepted() {
    check(in_file("[bus]\n[relay]\n"), "bus.register", "\"auto\"", "default");
}

#[test]
fn unknown_keys_are_named_with_their_origin_and_the_nearest_known_key() {
    check_refused(
        Layers { environment: &[("EXORELAY__BUS__URI", "x")], ..in_file("[webhook]\ntimout_ms = 5\n[webhok]\n") },
        &[
            "unknown key webhook.timout_ms (FILE:2): did you mean webhook.timeout_ms?",
            "unknown key webhok (FILE:3): did you mean webhook?",
            "unknown key bus.uri (environment EXORELAY__BUS__URI): did you mean bus.url?",
        ],
    );
}

#[test]
fn an_unknown_key_without_a_similar_one_lists_the_known_keys() {
    check_refused(
        in_file("[listen]\nreceives = \"x\"\ncolour = 1\n[garden]\n"),
        &[
            "unknown key listen.receives (FILE:2): did you mean relay.receives?",
            "unknown key listen.colour (FILE:3): [listen] has address, answer, cors_origins, token, token_file",
            "unknown key garden (FILE:4): the sections are access, api, broker, bus, drain, edge, http, listen, log, memory, ops, relay, streams, tls, webhook",
        ],
    );
}

#[test]
fn wrong_types_are_reported_with_the_expected_type() {
    check_refused(
        in_file("bus = 1\n[api]\naddress = 4001\n[relay]\nreceives = [\"a\", 2]\n[drain]\ngrace_ms = \"10s\"\n"),
        &[
            "bus (FILE:1) is 1: expected a section with the keys advertise, close, connect_timeout_ms, \
             frame_bytes_max, heartbeat_ms, register, timeout_ms, token, token_file, url",
            "api.address (FILE:3) is 4001: expected a string in quotes",
            "relay.receives (FILE:5) is [\"a\", 2]: expected a list of strings",
            "drain.grace_ms (FILE:7) is \"10s\": expected a whole number of milliseconds",
        ],
    );
}

#[test]
fn text_of_the_wrong_type_is_reported_with_its_variable_or_flag() {
    check_refused(
        Layers {
            environment: &[
                ("EXORELAY__BROKER__COMPAT", "yes"),
                ("EXORELAY__LISTEN__ANSWER", "later"),
                ("EXORELAY__WEBHOOK__BREAKER_FAILURES", "3s"),
            ],
            flags: &[("--drain-grace", "drain.grace_ms", "soon")],
            file: "",
        },
        &[
            "broker.compat (environment EXORELAY__BROKER__COMPAT) is \"yes\": expected true or false",
            "listen.answer (environment EXORELAY__LISTEN__ANSWER) is \"later\": expected `accepted` or `handled`",
            "webhook.breaker_failures (environment EXORELAY__WEBHOOK__BREAKER_FAILURES) is \"3s\": expected a whole number",
            "drain.grace_ms (flag --drain-grace) is \"soon\": expected milliseconds, or a duration such as 30s",
        ],
    );
}

#[test]
fn values_out_of_bounds_are_refused() {
    check_refused(
        Layers { environment: &[("EXORELAY_PORT", "http")], ..in_file("[relay]\nwaiters_max = 0\nsends = [\"\"]\n") },
        &[
            "relay.waiters_max (FILE:2) is 0: expected a number from 1 to 4294967295",
            "relay.sends (FILE:3) is [\"\"]: the message name is empty",
            "listen.address (environment EXORELAY_PORT) is \"127.0.0.1:http\": \
             expected HOST:PORT such as 127.0.0.1:4000 (port 0 takes a free one)",
        ],
    );
}

#[test]
fn a_bare_port_is_one_of_this_host() {
    let layers = Layers {
        environment: &[("EXORELAY__WEBHOOK__FORWARD", "3000")],
        flags: &[("--api", "api.address", "4011"), ("--bus", "bus.url", ":3111"), ("--listen", "listen.address", ":0")],
        file: "[broker]\naddress = \"3111\"\n",
    };
    let config = resolve(layers, Purpose::Other).unwrap().config;
    let addresses = [&config.api.address, &config.listen.address, &config.broker.address];
    assert_eq!(addresses, ["127.0.0.1:4011", "127.0.0.1:0", "127.0.0.1:3111"]);
    assert_eq!([config.bus.url, config.webhook.forward], ["http://127.0.0.1:3111", "http://127.0.0.1:3000"]);
}

#[test]
fn errors_never_show_a_secret() {
    check_refused(
        in_file("[webhook]\nsecret = \"open sesame\"\n[bus]\nurl = \"ftp://me:sesame@host\"\n"),
        &[
            "webhook.secret (FILE:2) is \"***\": expected whsec_ and 24 to 64 bytes in base64, a list of at most 8 of them, or an empty string",
            "bus.url (FILE:4) is \"ftp://***@host\": \
             expected embedded, or a URL such as http://127.0.0.1:3100 or ws://127.0.0.1:3100 without a query",
        ],
    );
    let broken = resolve(in_file("[webhook]\nsecret = \"open sesame\n"), Purpose::Other).unwrap_err();
    assert!(broken.starts_with("FILE:2: ") && !broken.contains("sesame"), "{broken}");
}

#[test]
fn only_a_file_named_by_the_user_must_exist() {
    let missing = Sources::of(Some("/nowhere/exorelay.toml".into()), &[]).resolve(Purpose::Other).unwrap_err();
    assert!(missing.to_string().starts_with("cannot read the configuration file /nowhere/exorelay.toml: "));
    assert!(Sources::of(None, &[]).resolve(Purpose::Other).is_ok());
}

#[test]
fn a_sidecar_requires_a_role() {
    assert!(resolve(Layers::default(), Purpose::Sidecar).unwrap_err().starts_with("relay.role is not set"));
    assert!(resolve(in_environment(&[("ROLE", "greeter")]), Purpose::Sidecar).is_ok());
}

#[test]
fn a_broker_address_requires_an_embedded_broker() {
    let flag = ("--broker", "broker.address", ":0");
    let elsewhere = Layers { environment: &[("ROLE", "greeter")], flags: &[flag], file: "" };
    let refused = resolve(elsewhere, Purpose::Sidecar).unwrap_err();
    assert_eq!(refused, "flag --broker needs --bus embedded: bus.url is \"http://127.0.0.1:3100\" (default)");
    let embedded = Layers { flags: &[flag, ("--bus", "bus.url", "embedded")], ..elsewhere };
    assert!(resolve(embedded, Purpose::Sidecar).is_ok());
}

#[test]
fn shown_settings_are_toml_with_origins_and_without_secrets() {
    let layers = Layers {
        environment: &[("EXORELAY__WEBHOOK__SECRET", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz")],
        flags: &[("--bus", "bus.url", "http://me:sesame@host")],
        file: "",
    };
    let resolved = resolve(layers, Purpose::Other).unwrap();
    for shown in [to_toml(&resolved), to_json(&resolved)] {
        assert!(!shown.contains("sesame") && !shown.contains("MDEyMz"), "{shown}");
    }
    let text = to_toml(&resolved);
    let unaligned = text.replace("  ", " ").replace("  ", "");
    let unaligned = unaligned.replace(" #", "#");
    assert!(unaligned.contains("\ngrace_ms = 10000# default\n"), "{text}");
    assert!(unaligned.contains("\nsecret = \"***\"# environment EXORELAY__WEBHOOK__SECRET\n"), "{text}");
    assert!(unaligned.contains("\nurl = \"http://***@host\"# flag --bus\n"), "{text}");
    assert!(toml::from_str::<Config>(&text).is_ok());
}
