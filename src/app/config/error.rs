//! Errors of a configuration.

use std::fmt;
use std::io;

use super::Origin;

/// One error. The text names the key, its origin and the expectation, with secrets hidden.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration file {name}: {source}")]
    Unreadable {
        /// The file, as the user named it.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{origin}: {cause}")]
    Syntax {
        /// File and line.
        origin: Origin,
        /// The parser's message.
        cause: String,
    },
    /// The key is unknown.
    #[error("unknown key {key} ({origin}): {hint}")]
    UnknownKey {
        /// The full key, such as `bus.url`.
        key: String,
        /// The layer that has it.
        origin: Origin,
        /// The nearest known key, or the known keys of the section.
        hint: String,
    },
    /// The value is not valid for its key.
    #[error("{key} ({origin}) is {got}: {cause}")]
    WrongValue {
        /// The full key, such as `bus.url`.
        key: String,
        /// The layer that has it.
        origin: Origin,
        /// The value, as the user wrote it.
        got: String,
        /// The expectation, or the violated rule.
        cause: String,
    },
    /// An entry of a list of tables is not valid.
    #[error("{key} ({at}): {cause}")]
    Entry {
        /// The full key, such as `access.rules`.
        key: String,
        /// The place where the entry is written.
        at: String,
        /// The expectation, without secrets.
        cause: String,
    },
    /// JWTs are accepted, and nothing says what their callers may do.
    #[error(
        "{key} ({origin}) accepts JWTs, and no rule says what their callers may do: add [[access.rules]] with who and allow"
    )]
    NoRules {
        /// The key.
        key: &'static str,
        /// The layer that has it.
        origin: Origin,
    },
    /// The variable is not UTF-8.
    #[error("the environment variable {variable} is not UTF-8")]
    NotText {
        /// Its name.
        variable: String,
    },
    /// The role of the sidecar is not set.
    #[error("relay.role is not set: give --role NAME, ROLE=NAME in the environment, or role = \"NAME\" under [relay]")]
    RoleMissing,
    /// The setting has no effect together with others.
    #[error("{key} ({origin}) has no effect: {because}")]
    NoEffect {
        /// The full key, such as `bus.close`.
        key: String,
        /// The layer that has it.
        origin: Origin,
        /// The reason, and what to do.
        because: &'static str,
    },
    /// The folder of the disk store is not set.
    #[error(
        "streams.store ({origin}) is \"disk\": set the folder with --data-dir DIR or data_dir = \"DIR\" under [streams]"
    )]
    NoDataDir {
        /// The layer that asks for the disk store.
        origin: Origin,
    },
    /// A listener or a certificate needs a file of `[tls]` that is not set.
    #[error("{missing} is not set, and {key} ({origin}) needs it: give the path of a PEM file under [tls]")]
    TlsFileMissing {
        /// The setting that needs it.
        key: &'static str,
        /// The layer that has it.
        origin: Origin,
        /// The setting of the file.
        missing: &'static str,
    },
    /// The broker would get two kinds of credentials in one header.
    #[error(
        "bus.url ({url}) has a user or a password, and bus.token is set ({token}): the broker gets one of them; remove the \
         other"
    )]
    TwoCredentials {
        /// The layer that has the URL.
        url: Origin,
        /// The layer that has the token.
        token: Origin,
    },
    /// A file with a secret cannot be used.
    #[error("{key} ({origin}): cannot read {path}: {source}")]
    SecretFile {
        /// The setting that names the file.
        key: &'static str,
        /// The layer that has it.
        origin: Origin,
        /// The file.
        path: String,
        /// The reason.
        source: io::Error,
    },
    /// A secret is given in two places.
    #[error("{key} ({origin}) and {file_key} ({file_origin}) are both set: remove one of them")]
    TwoSecrets {
        /// The secret.
        key: &'static str,
        /// The layer that has it.
        origin: Origin,
        /// The setting that names a file for it.
        file_key: &'static str,
        /// The layer that has that.
        file_origin: Origin,
    },
    /// A broker address is set but there is no embedded broker.
    #[error("{flag} needs --bus embedded: bus.url is {url:?} ({origin})")]
    NoEmbeddedBroker {
        /// The flag that sets the address.
        flag: Origin,
        /// The configured bus.
        url: String,
        /// The layer that has it.
        origin: Origin,
    },
}

/// All errors of a configuration; never empty. Displayed as one error per line.
#[derive(Debug)]
pub struct Errors(Vec<Error>);

impl Errors {
    /// Returns `None` if there are no errors.
    pub(super) fn of(errors: Vec<Error>) -> Option<Self> {
        if errors.is_empty() { None } else { Some(Self(errors)) }
    }

    /// Returns the errors in the order of the layers.
    pub fn iter(&self) -> impl Iterator<Item = &Error> {
        self.0.iter()
    }
}

impl std::error::Error for Errors {}

impl fmt::Display for Errors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "{error}")?;
        }
        Ok(())
    }
}
