//! What can be wrong with a configuration.

use std::fmt;
use std::io;

use super::Origin;

/// One thing that is wrong. The text names the key, where it was set, and what would have been right; secrets are
/// hidden in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration file {name}: {source}")]
    Unreadable {
        /// The file, as it was named.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{origin}: {cause}")]
    Syntax {
        /// File and line.
        origin: Origin,
        /// What the parser says.
        cause: String,
    },
    /// There is no such key.
    #[error("unknown key {key} ({origin}): {hint}")]
    UnknownKey {
        /// The key, from the root.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// The nearest key there is, or what there is to choose from.
        hint: String,
    },
    /// The value is not fit for its key.
    #[error("{key} ({origin}) is {got}: {cause}")]
    WrongValue {
        /// The key, from the root.
        key: String,
        /// Where the value was given.
        origin: Origin,
        /// The value, as the user wrote it.
        got: String,
        /// What was expected, or what the value breaks.
        cause: String,
    },
    /// The variable holds bytes that are no text.
    #[error("the environment variable {variable} is not UTF-8")]
    NotText {
        /// Its name.
        variable: String,
    },
    /// The sidecar does not know who it speaks for.
    #[error("relay.role is not set: give --role NAME, ROLE=NAME in the environment, or role = \"NAME\" under [relay]")]
    RoleMissing,
    /// Nobody says where on the disk.
    #[error(
        "streams.store ({origin}) is \"disk\": say where, with --data-dir DIR or data_dir = \"DIR\" under [streams]"
    )]
    NoDataDir {
        /// Where it was asked for.
        origin: Origin,
    },
    /// There is no broker here whose listener could be opened.
    #[error("{flag} needs --bus embedded: bus.url is {url:?} ({origin})")]
    NoEmbeddedBroker {
        /// The flag that asks for the listener.
        flag: Origin,
        /// Where the bus is instead.
        url: String,
        /// Where that was set.
        origin: Origin,
    },
}

/// Everything that is wrong with a configuration; never empty. Prints one error a line.
#[derive(Debug)]
pub struct Errors(Vec<Error>);

impl Errors {
    /// `None` if nothing is wrong.
    pub(super) fn of(errors: Vec<Error>) -> Option<Self> {
        if errors.is_empty() { None } else { Some(Self(errors)) }
    }

    /// One after the other, in the order of the layers.
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
