//! Settings that have no effect together with others. Giving one is an error: its author expects an effect.

use std::collections::BTreeMap;

use toml::Value;

use super::merge::Leaf;
use super::{Error, Origin, Purpose};
use crate::http::socket_path;

/// The settings that let a listener use TLS.
pub(super) const TLS_SWITCHES: [&str; 5] = ["api.tls", "broker.tls", "edge.tls", "streams.tls", "ops.tls"];

type Leaves = BTreeMap<String, Leaf>;

/// The part of a process that a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Sidecar,
    /// A sidecar whose service is started by others.
    Forwarding,
    Broker,
    Streams,
    /// The listeners of every server, that for operators included.
    Listeners,
}

impl Part {
    fn is_used_for(self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Check | Purpose::Dev => true,
            Purpose::Sidecar => matches!(self, Self::Sidecar | Self::Forwarding | Self::Listeners),
            Purpose::SidecarOfChild => matches!(self, Self::Sidecar | Self::Listeners),
            Purpose::Broker => matches!(self, Self::Broker | Self::Listeners),
            Purpose::Streams => matches!(self, Self::Streams | Self::Listeners),
            Purpose::Other => false,
        }
    }
}

/// Settings, and the reason why they have no effect while it applies.
struct Rule {
    part: Part,
    /// Keys, or the beginnings of keys if they end with `*`.
    keys: &'static [&'static str],
    applies: fn(&Values<'_>) -> bool,
    because: &'static str,
}

/// The values that rules ask for.
struct Values<'a>(&'a Leaves);

impl Values<'_> {
    fn get(&self, key: &str) -> &Value {
        &self.0.get(key).expect("rules ask for keys of Config").value
    }

    fn text(&self, key: &str) -> &str {
        self.get(key).as_str().unwrap_or_default()
    }

    fn is_on(&self, key: &str) -> bool {
        self.get(key).as_bool().unwrap_or_default()
    }

    fn number(&self, key: &str) -> i64 {
        self.get(key).as_integer().unwrap_or_default()
    }

    fn origins(&self) -> &[Value] {
        self.get("streams.cors_origins").as_array().map_or(&[], Vec::as_slice)
    }

    fn api_is_socket(&self) -> bool {
        socket_path(self.text("api.address")).is_some()
    }

    fn bus_is(&self, schemes: &[&str]) -> bool {
        let scheme = self.text("bus.url").split("://").next().unwrap_or_default();
        schemes.contains(&scheme)
    }
}

const RULES: &[Rule] = &[
    Rule {
        part: Part::Streams,
        keys: &["streams.durability", "streams.disk_free_bytes_min", "streams.disk_cache_bytes_max"],
        applies: |values| values.text("streams.store") == "memory",
        because: "streams.store is \"memory\"; set a folder with --data-dir DIR or data_dir = \"DIR\" under [streams]",
    },
    Rule {
        part: Part::Streams,
        keys: &["streams.data_dir"],
        applies: |values| values.text("streams.store") == "memory" && !values.text("streams.data_dir").is_empty(),
        because: "streams.store is \"memory\"; leave it out, or use \"disk\"",
    },
    Rule {
        part: Part::Streams,
        keys: &["streams.content_bytes_max"],
        applies: |values| values.text("streams.store") == "disk",
        because: "it bounds the memory store, and streams.store is \"disk\", which streams.disk_free_bytes_min bounds",
    },
    Rule {
        part: Part::Streams,
        keys: &["streams.cors_credentials"],
        applies: |values| {
            let allows_all = values.origins().iter().any(|origin| origin.as_str() == Some("*"));
            allows_all && values.is_on("streams.cors_credentials")
        },
        because: "streams.cors_origins allows all origins; list those that may send credentials",
    },
    Rule {
        part: Part::Streams,
        keys: &["streams.cors_credentials", "streams.cors_max_age_ms"],
        applies: |values| values.origins().is_empty(),
        because: "streams.cors_origins is empty, so no page may use the streams",
    },
    Rule {
        part: Part::Streams,
        keys: &["streams.registry_*"],
        applies: |values| !values.is_on("streams.registry"),
        because: "streams.registry is false",
    },
    Rule {
        part: Part::Sidecar,
        keys: &[
            "bus.register",
            "bus.advertise",
            "bus.connect_timeout_ms",
            "bus.timeout_ms",
            "bus.heartbeat_ms",
            "bus.close",
            "bus.frame_bytes_max",
        ],
        applies: |values| values.bus_is(&["embedded"]),
        because: "bus.url is \"embedded\": the broker is in the same process",
    },
    Rule {
        part: Part::Sidecar,
        keys: &["bus.heartbeat_ms", "bus.close", "bus.frame_bytes_max"],
        applies: |values| values.bus_is(&["http", "https"]),
        because: "it is for a WebSocket, and bus.url is no ws:// or wss:// URL",
    },
    Rule {
        part: Part::Sidecar,
        keys: &[
            "bus.advertise",
            "listen.address",
            "listen.cors_origins",
            "listen.answer",
            "listen.token",
            "listen.token_file",
        ],
        applies: |values| values.bus_is(&["ws", "wss"]),
        because: "the broker delivers over the WebSocket of bus.url, so there is no listener for it",
    },
    Rule {
        part: Part::Sidecar,
        keys: &["bus.advertise", "relay.namespace"],
        applies: |values| values.text("bus.register") == "off",
        because: "bus.register is \"off\": another process configures the broker",
    },
    Rule {
        part: Part::Forwarding,
        keys: &[
            "webhook.format",
            "webhook.secret",
            "webhook.secret_file",
            "webhook.connect_timeout_ms",
            "webhook.timeout_ms",
            "webhook.deadline_ms",
            "webhook.retry_wait_max_ms",
            "webhook.concurrent_max",
            "webhook.answer_bytes_max",
            "webhook.answer_replies_max",
            "webhook.breaker_*",
            "webhook.hang_ms",
        ],
        applies: |values| values.text("webhook.forward").is_empty(),
        because: "there is no webhook; set the URL of the service with --forward URL or forward = \"URL\" under [webhook]",
    },
    Rule {
        part: Part::Sidecar,
        keys: &["webhook.breaker_open_ms", "webhook.breaker_open_max_ms"],
        applies: |values| values.number("webhook.breaker_failures") == 0,
        because: "webhook.breaker_failures is 0, which disables the circuit breaker",
    },
    Rule {
        part: Part::Sidecar,
        keys: &["webhook.breaker_open_max_ms"],
        applies: |values| values.number("webhook.breaker_open_max_ms") < values.number("webhook.breaker_open_ms"),
        because: "it is less than webhook.breaker_open_ms, the time before the first probe",
    },
    Rule {
        part: Part::Listeners,
        keys: &["ops.cors_origins"],
        applies: |values| values.text("ops.address").is_empty(),
        because: "there is no listener for operators; set one with --ops HOST:PORT or address = \"HOST:PORT\" under [ops]",
    },
    Rule {
        part: Part::Broker,
        keys: &["broker.delivery_overlap_ms"],
        applies: |values| values.is_on("broker.compat"),
        because: "broker.compat is true, and the original did not wait for answers",
    },
    Rule {
        part: Part::Sidecar,
        keys: &["api.socket_mode"],
        applies: |values| !values.api_is_socket(),
        because: "api.address is not a Unix socket such as unix:/run/exorelay.sock",
    },
    Rule {
        part: Part::Sidecar,
        keys: &["api.tls"],
        applies: |values| values.api_is_socket() && values.is_on("api.tls"),
        because: "api.address is a Unix socket, which needs no TLS",
    },
    Rule {
        part: Part::Listeners,
        keys: &["tls.key_file"],
        applies: |values| values.text("tls.cert_file").is_empty(),
        because: "tls.cert_file, the certificate of that key, is not set",
    },
    Rule {
        part: Part::Listeners,
        keys: &["tls.client_required"],
        applies: |values| values.text("tls.client_ca_file").is_empty() && values.is_on("tls.client_required"),
        because: "tls.client_ca_file is not set, so no certificate of a client could be checked",
    },
    Rule {
        part: Part::Listeners,
        keys: &["tls.client_ca_file", "tls.client_required"],
        applies: |values| !TLS_SWITCHES.iter().any(|key| values.is_on(key)),
        because: "no listener uses TLS; set tls = true under [api], [broker], [edge], [streams] or [ops]",
    },
];

/// The original names of variables, which containers may get from links and not from their owner.
const LINKED: &[&str] = &["EXORELAY_PORT"];

/// Returns an error for each setting that was given and has no effect.
pub(super) fn idle(leaves: &Leaves, purpose: Purpose) -> Vec<Error> {
    let rules = RULES.iter().filter(|rule| rule.part.is_used_for(purpose) && (rule.applies)(&Values(leaves)));
    let mut errors: BTreeMap<&str, Error> = BTreeMap::new();
    for rule in rules {
        for (key, leaf) in leaves.iter().filter(|(key, leaf)| rule.is_about(key) && is_given(&leaf.origin)) {
            let (because, origin) = (rule.because, leaf.origin.clone());
            errors.entry(key).or_insert_with(|| Error::NoEffect { key: key.clone(), origin, because });
        }
    }
    errors.into_values().collect()
}

/// Returns true if the key has no effect as long as all others have their defaults.
pub(super) fn is_idle_by_default(key: &str, defaults: &BTreeMap<String, Value>) -> bool {
    let leaf = |(key, value): (&String, &Value)| (key.clone(), Leaf { value: value.clone(), origin: Origin::Default });
    let leaves: Leaves = defaults.iter().map(leaf).collect();
    RULES.iter().any(|rule| rule.is_about(key) && (rule.applies)(&Values(&leaves)))
}

impl Rule {
    fn is_about(&self, key: &str) -> bool {
        self.keys.iter().any(|about| match about.strip_suffix('*') {
            Some(beginning) => key.starts_with(beginning),
            None => key == *about,
        })
    }
}

fn is_given(origin: &Origin) -> bool {
    match origin {
        // The setting that names the file of a secret is given, and stands for it.
        Origin::Default | Origin::SecretFile(_) => false,
        Origin::Environment(variable) => !LINKED.contains(&variable.as_str()),
        Origin::File { .. } | Origin::Flag(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Purpose, Sources};
    use super::*;

    /// Checks a configuration file for all parts. `expected` is the beginning of the only error; empty for none.
    fn check(text: &str, expected: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let resolved = Sources::of(Some(file.path().to_owned()), &[]).resolve(Purpose::Check);
        let found = resolved.map_or_else(|errors| errors.to_string(), |_| String::new());
        let found = found.replace(&format!(" ({}:", file.path().display()), " (");
        assert_eq!(found.lines().count(), usize::from(!expected.is_empty()), "{text}: {found}");
        assert!(found.starts_with(expected), "{text}: {found}");
    }

    #[test]
    fn a_setting_without_effect_is_an_error_that_says_why() {
        for (text, expected) in [
            ("[streams]\ndurability = \"sync\"", "streams.durability (2) has no effect: streams.store is \"memory\""),
            ("[streams]\ndurability = \"sync\"\ndata_dir = \"/d\"", ""),
            ("[streams]\ndisk_free_bytes_min = 1", "streams.disk_free_bytes_min (2) has no effect: streams.store is"),
            ("[streams]\nstore = \"memory\"\ndata_dir = \"/d\"", "streams.data_dir (3) has no effect"),
            ("[streams]\ndata_dir = \"/d\"\ncontent_bytes_max = 1", "streams.content_bytes_max (3) has no effect"),
            (
                "[streams]\ncors_origins = [\"*\"]\ncors_credentials = true",
                "streams.cors_credentials (3) has no effect: streams.cors_origins",
            ),
            ("[streams]\ncors_credentials = true", ""),
            ("[streams]\ncors_credentials = false", ""),
            ("[streams]\ncors_origins = []\ncors_max_age_ms = 1", "streams.cors_max_age_ms (3) has no effect"),
            ("[bus]\nurl = \"embedded\"\nadvertise = \"a:1\"", "bus.advertise (3) has no effect: bus.url is"),
            ("[bus]\nclose = \"polite\"", "bus.close (2) has no effect: it is for a WebSocket"),
            ("[bus]\nurl = \"ws://a\"\nclose = \"polite\"", ""),
            ("[bus]\nurl = \"ws://a\"\n[listen]\nanswer = \"handled\"", "listen.answer (4) has no effect"),
            ("[ops]\ncors_origins = [\"*\"]", "ops.cors_origins (2) has no effect: there is no listener for operators"),
            ("[ops]\naddress = \"a:1\"\ncors_origins = [\"*\"]", ""),
            ("[bus]\nregister = \"off\"\nadvertise = \"a:1\"", "bus.advertise (3) has no effect: bus.register is"),
            ("[webhook]\ntimeout_ms = 1", "webhook.timeout_ms (2) has no effect: there is no webhook"),
            ("[webhook]\nbreaker_open_ms = 1", "webhook.breaker_open_ms (2) has no effect: there is no webhook"),
            ("[webhook]\nforward = \"http://a\"\ntimeout_ms = 1", ""),
            (
                "[webhook]\nforward = \"http://a\"\nbreaker_failures = 0\nbreaker_open_ms = 1",
                "webhook.breaker_open_ms (4) has no effect: webhook.breaker_failures is 0",
            ),
            (
                "[webhook]\nforward = \"http://a\"\nbreaker_open_ms = 2\nbreaker_open_max_ms = 1",
                "webhook.breaker_open_max_ms (4) has no effect: it is less than",
            ),
            (
                "[broker]\ncompat = true\ndelivery_overlap_ms = 5",
                "broker.delivery_overlap_ms (3) has no effect: broker.compat is true",
            ),
            ("[api]\nsocket_mode = \"0660\"", "api.socket_mode (2) has no effect: api.address is not a Unix socket"),
            ("[api]\naddress = \"unix:/a\"\nsocket_mode = \"0660\"", ""),
            ("[tls]\nkey_file = \"k\"", "tls.key_file (2) has no effect: tls.cert_file"),
            ("[tls]\nclient_ca_file = \"c\"", "tls.client_ca_file (2) has no effect: no listener uses TLS"),
            ("[api]\ntls = true", "tls.cert_file is not set, and api.tls (2) needs it"),
            ("[tls]\ncert_file = \"c\"", "tls.key_file is not set, and tls.cert_file (2) needs it"),
            ("[tls]\ncert_file = \"c\"\nkey_file = \"k\"\n[ops]\ntls = true", ""),
            (
                "[tls]\ncert_file = \"c\"\nkey_file = \"k\"\nclient_required = true\n[ops]\ntls = true",
                "tls.client_required (4) has no effect: tls.client_ca_file is not set",
            ),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn only_the_settings_of_the_own_part_matter() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[webhook]\ntimeout_ms = 1\n[streams]\ndurability = \"sync\"").unwrap();
        for (purpose, errors) in
            [(Purpose::Broker, 0), (Purpose::Other, 0), (Purpose::Streams, 1), (Purpose::Dev, 2), (Purpose::Check, 2)]
        {
            let resolved = Sources::of(Some(file.path().to_owned()), &[]).resolve(purpose);
            let found = resolved.map_or_else(|found| found.iter().count(), |_| 0);
            assert_eq!(found, errors, "{purpose:?}");
        }
    }

    #[test]
    fn every_rule_is_about_settings_that_exist() {
        let defaults = super::super::merge::defaults();
        for key in RULES.iter().flat_map(|rule| rule.keys) {
            let exists =
                defaults.keys().any(|known| key.strip_suffix('*').map_or(known == key, |k| known.starts_with(k)));
            assert!(exists, "{key}");
        }
        assert!(RULES.iter().all(|rule| rule.keys.iter().all(|key| key.contains('.'))));
    }
}
