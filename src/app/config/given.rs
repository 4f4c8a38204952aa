//! One value, as one layer gives it.

use std::fmt;

/// Which layer a value came from. The text is what `config show` and every error print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A configuration file.
    File {
        /// The file, as it was named.
        name: String,
        /// Counted from 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line, with its dashes.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(formatter, "default"),
            Self::File { name, line } => write!(formatter, "{name}:{line}"),
            Self::Environment(variable) => write!(formatter, "environment {variable}"),
            Self::Flag(flag) => write!(formatter, "flag {flag}"),
        }
    }
}

/// One value that a layer gives to a key such as `bus.url`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// Files have types; environment and flags have texts, which take the type of the key's default.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Typed(toml::Value),
}
