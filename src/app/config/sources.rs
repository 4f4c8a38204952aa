//! The four layers and their resolution.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::given::{Given, Value};
use super::idle::{TLS_SWITCHES, idle};
use super::merge::{Leaf, Merge};
use super::{Config, Error, Errors, Origin, Purpose, environment, file, secret_files};
use crate::http::has_credentials;

/// The default configuration file.
const FILE_NAME: &str = "exorelay.toml";

/// The layers above the defaults.
#[derive(Clone)]
pub struct Sources {
    file: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    flags: Vec<Given>,
    defaults: Vec<Given>,
}

// Not derived: the values of the environment and of flags may be secrets.
impl fmt::Debug for Sources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sources").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Sources {
    /// Returns the layers of this process: `file`, else `exorelay.toml` in the working directory if it exists; and the
    /// environment.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        Self { file, environment: std::env::vars_os().collect(), flags: Vec::new(), defaults: Vec::new() }
    }

    /// As `of_process`, with another environment.
    #[cfg(test)]
    pub(super) fn of(file: Option<PathBuf>, environment: &[(&str, &str)]) -> Self {
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { file, environment, flags: Vec::new(), defaults: Vec::new() }
    }

    /// Adds a command-line flag, with its dashes, that sets `key`. `None` adds nothing.
    pub fn flag(mut self, flag: &'static str, key: &'static str, text: Option<impl ToString>) -> Self {
        self.flags.extend(text.map(|text| Given {
            key: key.to_owned(),
            value: Value::Text(text.to_string()),
            origin: Origin::Flag(flag),
        }));
        self
    }

    /// Replaces the default of `key`.
    pub fn default(mut self, key: &'static str, text: impl ToString) -> Self {
        let value = Value::Text(text.to_string());
        self.defaults.push(Given { key: key.to_owned(), value, origin: Origin::Default });
        self
    }

    /// Merges the layers. Blocks to read the file. Errors: all errors in all layers.
    pub fn resolve(mut self, purpose: Purpose) -> Result<Resolved, Errors> {
        let mut merge = Merge::of_defaults();
        std::mem::take(&mut self.defaults).into_iter().for_each(|given| merge.apply(given));
        match self.read_file() {
            Ok(given) => given.into_iter().for_each(|given| merge.apply(given)),
            Err(errors) => merge.add_errors(errors),
        }
        let (given, errors) = environment::read(self.environment.into_iter());
        merge.add_errors(errors);
        given.into_iter().chain(self.flags).for_each(|given| merge.apply(given));
        let warnings = secret_files::read(&mut merge, purpose);
        set_dependent(&mut merge);
        merge.add_errors(inconsistencies(&merge, purpose));
        let (config, leaves, errors) = merge.finish();
        Errors::of(errors).map_or(Ok(Resolved { config, warnings, leaves }), Err)
    }

    fn read_file(&self) -> Result<Vec<Given>, Vec<Error>> {
        let path = self.file.clone().unwrap_or_else(|| FILE_NAME.into());
        let name = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(text) => file::read(&name, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.file.is_none() => Ok(Vec::new()),
            Err(source) => Err(vec![Error::Unreadable { name, source }]),
        }
    }
}

/// Sets values that depend on other keys: `streams.data_dir` implies the disk store.
fn set_dependent(merge: &mut Merge) {
    let (store, dir) = (merge.leaf("streams.store"), merge.leaf("streams.data_dir"));
    if store.origin == Origin::Default && dir.value.as_str() != Some("") {
        let (key, value) = ("streams.store".to_owned(), Value::Text("disk".to_owned()));
        merge.apply(Given { key, value, origin: dir.origin.clone() });
    }
}

/// Returns the errors that involve several keys or the purpose.
fn inconsistencies(merge: &Merge, purpose: Purpose) -> Vec<Error> {
    let mut errors = Vec::new();
    let store = merge.leaf("streams.store");
    if store.value.as_str() == Some("disk") && merge.leaf("streams.data_dir").value.as_str() == Some("") {
        errors.push(Error::NoDataDir { origin: store.origin.clone() });
    }
    let (bus, token) = (merge.leaf("bus.url"), merge.leaf("bus.token"));
    let is_http = bus.value.as_str().is_some_and(|url| url.starts_with("http") && has_credentials(url));
    if is_http && token.value.as_str() != Some("") {
        errors.push(Error::TwoCredentials { url: bus.origin.clone(), token: token.origin.clone() });
    }
    errors.extend(jwt_without_rules(merge));
    // Tools need no certificate to know which listeners have one.
    if purpose != Purpose::Other {
        errors.extend(missing_tls_files(merge));
    }
    errors.extend(idle(merge.leaves(), purpose));
    if !purpose.is_sidecar() {
        return errors;
    }
    if merge.leaf("relay.role").value.as_str() == Some("") {
        errors.push(Error::RoleMissing);
    }
    let broker = merge.leaf("broker.address");
    if matches!(broker.origin, Origin::Flag(_)) && bus.value.as_str() != Some("embedded") {
        let url = super::hide::hide("bus.url", &bus.value);
        errors.push(Error::NoEmbeddedBroker {
            flag: broker.origin.clone(),
            url: url.as_str().unwrap_or_default().to_owned(),
            origin: bus.origin.clone(),
        });
    }
    errors
}

/// Returns the error if JWTs are accepted and there are no rules: their callers may be any that the issuer knows.
fn jwt_without_rules(merge: &Merge) -> Option<Error> {
    let keys =
        ["access.jwt_secret", "access.jwt_secret_file", "access.jwt_key", "access.jwt_key_file", "access.jwt_keys_url"];
    let is_empty = |value: &toml::Value| value.as_array().is_none_or(Vec::is_empty);
    let key = keys.into_iter().find(|key| merge.leaf(key).value.as_str() != Some(""))?;
    let origin = merge.leaf(key).origin.clone();
    is_empty(&merge.leaf("access.rules").value).then_some(Error::NoRules { key, origin })
}

/// Returns an error for each setting that needs a file of `[tls]` that is not set.
fn missing_tls_files(merge: &Merge) -> Vec<Error> {
    let is_set = |key: &'static str| merge.leaf(key).value.as_str() != Some("");
    let is_on = |key: &&'static str| merge.leaf(key).value.as_bool() == Some(true);
    let error =
        |key: &'static str, missing| Error::TlsFileMissing { key, origin: merge.leaf(key).origin.clone(), missing };
    match (is_set("tls.cert_file"), is_set("tls.key_file")) {
        (true, true) => Vec::new(),
        (true, false) => vec![error("tls.cert_file", "tls.key_file")],
        (false, _) => TLS_SWITCHES.iter().filter(|key| is_on(key)).map(|key| error(key, "tls.cert_file")).collect(),
    }
}

/// A valid configuration with the origin of each value.
#[derive(Clone)]
pub struct Resolved {
    /// The values.
    pub config: Config,
    /// Faults that do not keep the process from its work, such as a file with a secret that every user of the machine may read.
    pub warnings: Vec<String>,
    pub(super) leaves: BTreeMap<String, Leaf>,
}

// Not derived: only the values of `config` are shown without secrets.
impl fmt::Debug for Resolved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut resolved = formatter.debug_struct("Resolved");
        resolved.field("config", &self.config).field("warnings", &self.warnings).finish_non_exhaustive()
    }
}

impl Resolved {
    /// Returns the origin of a key such as `bus.url`; `None` if the key is unknown.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.leaves.get(key).map(|leaf| &leaf.origin)
    }
}
