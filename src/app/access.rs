//! Access control of the listeners of a process.

use super::{Config, Error};
use crate::http::Listening;
use crate::http::access::{Control, RefusalMetrics, token_of_file};
use crate::{broker, listen};

/// The access control of the listeners of this process.
pub(super) struct Guards {
    control: Control,
    insecure: bool,
}

impl Guards {
    /// Reads the settings and their files. Blocks. Errors: [`Error::Access`].
    pub(super) fn read(config: &Config) -> Result<Self, Error> {
        let roles = config.broker.tokens.iter().filter_map(|entry| entry.split_once('='));
        Ok(Self { control: Control::read(&config.access, roles)?, insecure: config.access.insecure })
    }

    /// Makes a listener find its callers. Errors: [`Error::Unguarded`] if other hosts reach it, and no rules are in force.
    pub(super) fn guard(
        &self,
        listening: Listening,
        name: &'static str,
        metrics: RefusalMetrics,
    ) -> Result<Listening, Error> {
        self.check(&listening, name, self.control.is_in_force())?;
        Ok(listening.authorized(self.control.of_listener(name, metrics)))
    }

    /// As [`Guards::guard`], for the listener of the broker, whose roles may have tokens.
    pub(super) fn guard_broker(
        &self,
        listening: Listening,
        config: &broker::Config,
        metrics: RefusalMetrics,
    ) -> Result<Listening, Error> {
        self.check(&listening, "broker", self.control.is_in_force() || !config.tokens.is_empty())?;
        Ok(listening.authorized(self.control.of_listener("broker", metrics)))
    }

    /// Checks that a listener is on loopback, or guarded, or for clients with certificates only, or that everyone may use it, which is logged.
    /// Errors: [`Error::Unguarded`].
    pub(super) fn check(&self, listening: &Listening, listener: &'static str, is_guarded: bool) -> Result<(), Error> {
        let address = listening.address();
        if is_guarded || listening.requires_certificates() || address.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        if !self.insecure {
            return Err(Error::Unguarded { listener, address, setting: setting(listener) });
        }
        tracing::warn!(
            listener,
            %address,
            "NO ACCESS CONTROL: everyone who reaches this address may use the listener (access.insecure)"
        );
        Ok(())
    }
}

/// Returns the settings with the token of the file, if one is named. Blocks. Errors: [`Error::Access`].
pub(super) fn with_token(config: &listen::Config) -> Result<listen::Config, Error> {
    if config.token_file.is_empty() {
        return Ok(config.clone());
    }
    let token = token_of_file("listen.token_file", &config.token_file)?;
    Ok(listen::Config { token, token_file: String::new(), ..config.clone() })
}

/// Returns the setting that guards a listener.
fn setting(listener: &str) -> &'static str {
    match listener {
        "listen" => "listen.token_file, which the broker gets from the sidecar and presents",
        "broker" => "broker.tokens, or [[access.rules]] or [[access.tokens]]",
        _ => "[[access.rules]] or [[access.tokens]], or tls.client_required with its files",
    }
}
