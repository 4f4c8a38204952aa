//! The token that proves to a server who is calling.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use clap::Args;

use crate::app::config::{Purpose, Sources};

/// The flag for the token. It is never printed.
#[derive(Default, Clone, Args)]
pub(super) struct Token {
    /// Token for the server, if its access.rules or broker.tokens ask for one; better in EXORELAY_TOKEN, where other users do not see it
    #[arg(long, value_name = "TOKEN", env = "EXORELAY_TOKEN", hide_env = true, value_parser = bearer)]
    token: Option<HeaderValue>,
}

/// Parses a token. The error does not repeat it.
fn bearer(token: &str) -> Result<HeaderValue, String> {
    let expected = || "expected visible ASCII without spaces".to_owned();
    let is_valid = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| expected())?;
    value.set_sensitive(true);
    if is_valid { Ok(value) } else { Err(expected()) }
}

impl Token {
    /// Adds the token to the headers of a call, unless they have one.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        if let Some(token) = &self.token {
            headers.entry(AUTHORIZATION).or_insert_with(|| token.clone());
        }
    }

    /// Takes, if none is given, the one for the broker of the configuration: the first token of an operator that is not hashed,
    /// else the sidecar's own.
    pub(super) fn or_of_broker(self) -> Self {
        if self.token.is_some() {
            return self;
        }
        let Ok(resolved) = Sources::of_process(None).resolve(Purpose::Other) else { return self };
        let mut operators = resolved.config.broker.operator_tokens.into_iter();
        let token = operators.find(|token| !token.starts_with("sha256:")).unwrap_or(resolved.config.bus.token);
        Self { token: bearer(&token).ok() }
    }

    /// Returns the headers of a call.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.add_to(&mut headers);
        headers
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.token.is_some() { "a token" } else { "no token" })
    }
}
