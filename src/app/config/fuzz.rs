//! Garbage for the parsers of the configuration.

use std::io::Write;

use proptest::prelude::*;

use super::{Purpose, Sources, to_json, to_toml};
use crate::mutation::mutated_text;

const FILES: [&str; 3] = [
    "[relay]\nrole = \"users\"\nreceives = [\"a\", \"b c\"]\n\n[bus]\nurl = \"http://me:pass@exocom:3100\"\ntoken = \"t\"\n",
    "[webhook]\nforward = \"http://127.0.0.1:3000\"\nsecret = [\"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\"]\ntimeout_ms = 500\n",
    "[broker]\ntokens = [\"users=t\"]\ncompat = true\n[http]\nhosts = [\"*\"]\n[log]\nlevel = \"info,exorelay=debug\"\n",
];

const VALUES: [&str; 8] = [
    "http://me:pass@exocom:3100",
    "127.0.0.1:4000",
    "30s",
    "[\"a\", \"b\"]",
    "users=t,web=u",
    "info,exorelay::bus=debug",
    "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",
    "https://app.example",
];

/// Settings of each kind.
const VARIABLES: [&str; 9] = [
    "EXORELAY__BUS__URL",
    "EXORELAY__API__ADDRESS",
    "EXORELAY__BUS__TIMEOUT_MS",
    "EXORELAY__RELAY__RECEIVES",
    "EXORELAY__BROKER__TOKENS",
    "EXORELAY__LOG__LEVEL",
    "EXORELAY__WEBHOOK__SECRET",
    "EXORELAY__API__CORS_ORIGINS",
    "EXOCOM_PORT",
];

/// Fewer inputs than elsewhere, as each is resolved as a whole.
fn cases() -> ProptestConfig {
    let all = ProptestConfig::default();
    ProptestConfig { cases: all.cases / 4, ..all }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn files_never_panic_and_are_shown(text in mutated_text(FILES)) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        for purpose in [Purpose::Check, Purpose::Sidecar] {
            match Sources::of(Some(file.path().to_owned()), &[]).resolve(purpose) {
                Ok(resolved) => {
                    prop_assert!(to_toml(&resolved).parse::<toml::Table>().is_ok());
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&to_json(&resolved)).is_ok());
                    drop(format!("{resolved:?}"));
                }
                Err(errors) => prop_assert!(!errors.to_string().is_empty()),
            }
        }
    }

    #[test]
    fn variables_never_panic(value in mutated_text(VALUES)) {
        for variable in VARIABLES {
            let resolved = Sources::of(Some("/dev/null".into()), &[(variable, &value)]).resolve(Purpose::Other);
            drop(resolved.map(|resolved| to_toml(&resolved)).map_err(|errors| errors.to_string()));
        }
    }
}
