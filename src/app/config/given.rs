//! A value from one layer.

use std::fmt;

/// The layer of a value. `config show` and errors print its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A configuration file.
    File {
        /// The file, as the user named it.
        name: String,
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A command-line flag, with its dashes.
    Flag(&'static str),
    /// A file that another setting names, with nothing but a secret in it.
    SecretFile(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(formatter, "default"),
            Self::File { name, line } => write!(formatter, "{name}:{line}"),
            Self::Environment(variable) => write!(formatter, "environment {variable}"),
            Self::Flag(flag) => write!(formatter, "flag {flag}"),
            Self::SecretFile(path) => write!(formatter, "file {path}"),
        }
    }
}

/// A value that a layer gives to a key such as `bus.url`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// A value: typed in files, text in the environment and in flags. Text is converted to the type of the key's default.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Typed(toml::Value),
}
