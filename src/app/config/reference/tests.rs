//! The reference and the settings that exist.

use std::collections::BTreeSet;

use super::*;
use crate::app::Config;
use crate::app::config::{Purpose, Sources};

#[test]
fn every_setting_has_exactly_one_description() {
    let described: BTreeSet<String> = keys().map(|(key, _)| key.to_owned()).collect();
    let existing: BTreeSet<String> = defaults().into_keys().collect();
    let difference: Vec<&String> = described.symmetric_difference(&existing).collect();
    assert!(difference.is_empty(), "in the reference or in Config, but not in both: {difference:?}");
    assert_eq!(described.len(), keys().count(), "a key is described twice");
}

#[test]
fn the_reference_file_is_up_to_date() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docker/exorelay.toml");
    let written = std::fs::read_to_string(file).unwrap();
    assert!(written == toml_file(), "run: exorelay config show --format reference > docker/exorelay.toml");
}

#[test]
fn the_reference_file_holds_the_defaults() {
    assert_eq!(toml::from_str::<Config>(&toml_file()).unwrap(), Config::default());
}

#[test]
fn the_reference_file_can_be_used_as_it_is() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), toml_file()).unwrap();
    let resolved = Sources::of(Some(file.path().to_owned()), &[]).resolve(Purpose::Check);
    assert!(resolved.is_ok(), "{}", resolved.err().map(|errors| errors.to_string()).unwrap_or_default());
}

#[test]
fn the_table_has_a_row_for_every_key() {
    assert_eq!(markdown().lines().count(), keys().count() + 2);
    assert!(markdown().contains("| `bus.url` | `\"http://127.0.0.1:3100\"` | "));
}
