//! Settings of who may do what.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::http::debug_without_secrets;

/// `[access]` of the configuration.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// True if listeners on other addresses than loopback may be open to everyone.
    pub insecure: bool,
    /// Tokens of callers, for `Authorization: Bearer`.
    pub tokens: Vec<TokenConfig>,
    /// The rules; the first that is about a call decides.
    pub rules: Vec<RuleConfig>,
    /// Listeners that take a token from a cookie or the query, too.
    pub browser_listeners: Vec<String>,
    /// Name of that cookie; empty for none.
    pub cookie: String,
    /// Name of that parameter of the query; empty for none.
    pub query: String,
    /// Shared secret of JWTs with HS256; empty for none.
    pub jwt_secret: String,
    /// File with that secret; empty for none.
    pub jwt_secret_file: String,
    /// Public keys in PEM or as JWK set; empty for none.
    pub jwt_key: String,
    /// File with them; empty for none.
    pub jwt_key_file: String,
    /// URL of a JWK set; empty for none.
    pub jwt_keys_url: String,
    /// Issuer of JWTs; empty for any.
    pub jwt_issuer: String,
    /// Audiences of JWTs of which a token has to name one.
    pub jwt_audiences: Vec<String>,
    /// Time by which the clock of the issuer may differ.
    pub jwt_leeway_ms: u64,
    /// Claim with the roles of the caller.
    pub jwt_role_claim: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            insecure: false,
            tokens: Vec::new(),
            rules: Vec::new(),
            browser_listeners: vec!["edge".into(), "streams".into()],
            cookie: String::new(),
            query: String::new(),
            jwt_secret: String::new(),
            jwt_secret_file: String::new(),
            jwt_key: String::new(),
            jwt_key_file: String::new(),
            jwt_keys_url: String::new(),
            jwt_issuer: String::new(),
            jwt_audiences: Vec::new(),
            jwt_leeway_ms: 60_000,
            jwt_role_claim: "roles".into(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_without_secrets(formatter, self, &["tokens", "jwt_secret", "jwt_key"])
    }
}

impl Config {
    /// Returns true if JWTs are accepted.
    pub fn has_jwt(&self) -> bool {
        let keys = [&self.jwt_secret, &self.jwt_secret_file, &self.jwt_key, &self.jwt_key_file, &self.jwt_keys_url];
        keys.iter().any(|key| !key.is_empty())
    }

    /// Returns true if callers have to prove who they are, or are restricted otherwise.
    pub fn is_in_force(&self) -> bool {
        !self.rules.is_empty() || !self.tokens.is_empty() || self.has_jwt()
    }
}

/// `[[access.tokens]]` of the configuration: a token, in one of three forms.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenConfig {
    /// The caller that it stands for, in rules and in the log.
    pub name: String,
    /// The token, or `sha256:` and its hash.
    pub token: String,
    /// The file with the token or its hash.
    pub token_file: String,
    /// The hash of the token, in hexadecimal digits.
    pub token_sha256: String,
    /// Roles of the caller.
    pub roles: Vec<String>,
    /// Place where it is written, such as `exorelay.toml:12`.
    pub at: String,
}

/// `[[access.rules]]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// The callers that it is about.
    pub who: String,
    /// The grants that it gives.
    pub allow: Vec<String>,
    /// The grants that it refuses, which are looked at first.
    pub deny: Vec<String>,
    /// Place where it is written, such as `exorelay.toml:12`.
    pub at: String,
}

impl fmt::Debug for TokenConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, token_file, roles, at, .. } = self;
        let mut shown = formatter.debug_struct("TokenConfig");
        shown.field("name", name).field("token_file", token_file).field("roles", roles).field("at", at);
        shown.finish_non_exhaustive()
    }
}
