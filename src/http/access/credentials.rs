//! The proofs of who is calling: tokens of the configuration, and JWTs.

mod jwt;
mod presented;
mod tokens;

use std::io;

use super::config::Config;
use super::principal::{Identity, Principal};
use jwt::{Jwt, Rejected};
pub(crate) use jwt::{KeySet, Origin, SECRET_BYTES_MIN};
pub(crate) use presented::Places;
use tokens::Tokens;
pub(crate) use tokens::{hash, parse_hash};

/// A credential of the configuration cannot be used. The text names the key, without the secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of a token cannot be read.
    #[error("cannot read the token_file {file:?} of access.tokens: {source}")]
    TokenFile {
        /// The file.
        file: String,
        /// The reason.
        source: io::Error,
    },
    /// The token of a listener cannot be read from its file, or is malformed.
    #[error("{key}: {file:?}: {cause}")]
    ListenerToken {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        file: String,
        /// The reason.
        cause: String,
    },
    /// A token is malformed.
    #[error("the token {name:?} of access.tokens: {cause}")]
    Token {
        /// The name of the token.
        name: String,
        /// The expectation.
        cause: &'static str,
    },
    /// The file of a key cannot be read.
    #[error("cannot read the key file {file:?} of [access]: {source}")]
    KeyFile {
        /// The file.
        file: String,
        /// The reason.
        source: io::Error,
    },
    /// A key is malformed.
    #[error("{key}: {cause}")]
    Keys {
        /// The key of the configuration.
        key: &'static str,
        /// The expectation.
        cause: String,
    },
}

/// Reads the token of a listener or of a caller from its file. Blocks. Errors: [`Error::ListenerToken`].
pub(crate) fn token_of_file(key: &'static str, file: &str) -> Result<String, Error> {
    let error = |cause: String| Error::ListenerToken { key, file: file.to_owned(), cause };
    let token = tokens::read_secret(file).map_err(|source| error(source.to_string()))?;
    match !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(token),
        false => Err(error("expected one line of visible ASCII without spaces".to_owned())),
    }
}

/// The result of a search for the caller of a token.
#[derive(Debug, Clone)]
pub(crate) enum Lookup {
    /// The caller, who may be one whose token is not accepted.
    Found(Principal),
    /// It is known once the keys have been fetched.
    Fetch,
    /// The keys could not be fetched.
    NoKeys,
}

impl Lookup {
    fn rejected(reason: &Rejected) -> Self {
        Self::Found(Identity { rejected: Some(reason.to_string()), ..Identity::default() }.into())
    }
}

/// The proofs that are accepted.
pub(crate) struct Credentials {
    tokens: Tokens,
    jwt: Option<Jwt>,
}

impl Credentials {
    /// Reads the settings and their files. Blocks. Errors: [`Error`].
    pub(crate) fn read(config: &Config) -> Result<Self, Error> {
        Ok(Self { tokens: Tokens::read(&config.tokens)?, jwt: Jwt::read(config)? })
    }

    /// Adds tokens of roles.
    pub(crate) fn with_roles<'a>(mut self, tokens: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        tokens.into_iter().for_each(|(role, token)| self.tokens.add_role(role, token));
        self
    }

    /// Finds the caller of a token. Does not block.
    pub(crate) fn find(&self, token: &str) -> Lookup {
        let hash = hash(token);
        if let Some(principal) = self.tokens.find(&hash) {
            return Lookup::Found(principal);
        }
        match &self.jwt {
            Some(jwt) => jwt.find(token, hash),
            None => Lookup::Found(
                Identity { rejected: Some("the token is not known".to_owned()), ..Identity::default() }.into(),
            ),
        }
    }

    /// Fetches what [`Lookup::Fetch`] asks for. Cancel-safe: a dropped call fetches nothing.
    pub(crate) async fn fetch(&self) {
        if let Some(jwt) = &self.jwt {
            jwt.fetch().await;
        }
    }
}
