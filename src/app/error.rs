//! Why a process could not start.

use std::path::PathBuf;

use crate::{broker, http, relay, store, streams, webhook};

/// Why a process could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listener could not be opened.
    #[error("{0}")]
    Listen(#[from] http::BindError),
    /// The system refuses a thread that would answer, or its poll.
    #[error("cannot start: {0}")]
    Threads(std::io::Error),
    /// The relay could not be made.
    #[error("{0}")]
    Relay(#[from] relay::Error),
    /// The webhook's settings are not usable.
    #[error("{0}")]
    Webhook(#[from] webhook::Error),
    /// The landscape file cannot be read.
    #[error("cannot read the landscape {}: {cause}", path.display())]
    LandscapeFile {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// The landscape file does not hold a landscape.
    #[error("the landscape {} is not usable: {cause}", path.display())]
    Landscape {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: broker::Error,
    },
    /// A variable of a service's environment is missing or wrong.
    #[error("{variable}: {problem}")]
    Environment {
        /// The variable.
        variable: &'static str,
        /// What is wrong, and what was expected.
        problem: String,
    },
    /// What a service does before its first message failed.
    #[error("the service cannot start: before_all failed: {reason}")]
    BeforeAll {
        /// The hook's own words.
        reason: String,
    },
    /// The landscape's name does not say what it is.
    #[error(
        "cannot tell what the landscape {} is: expected a file that ends in .toml, .json, .yml or .yaml, or a folder \
         with an application.yml",
        path.display()
    )]
    LandscapeKind {
        /// The file.
        path: PathBuf,
    },
    /// The variable does not hold a landscape.
    #[error("{variable} is not usable: {cause}")]
    LandscapeVariable {
        /// Its name.
        variable: &'static str,
        /// What is wrong with it.
        cause: broker::Error,
    },
    /// The folder of the streams cannot be used.
    #[error("streams.data_dir: {0}")]
    Store(#[from] store::Error),
    /// What the store has kept cannot be read.
    #[error("streams.data_dir: {} cannot be read: {cause}", dir.display())]
    Streams {
        /// The folder.
        dir: PathBuf,
        /// What is wrong with it.
        cause: streams::Error,
    },
    /// Two systems of a listener have overlapping paths, or a path is malformed.
    #[error("{system} cannot be served at {path:?}: {problem}")]
    SystemPath {
        /// The name of the system.
        system: &'static str,
        /// The path that it asks for.
        path: String,
        /// What is wrong with the path.
        problem: String,
    },
    /// The operating system does not let us listen for signals.
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
}

impl Error {
    /// Whether somebody has to write something else before it can work: exit code 78.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::LandscapeFile { .. }
            | Self::Landscape { .. }
            | Self::LandscapeKind { .. }
            | Self::LandscapeVariable { .. }
            | Self::SystemPath { .. }
            | Self::Environment { .. } => true,
            Self::Listen(_)
            | Self::Relay(_)
            | Self::Webhook(_)
            | Self::BeforeAll { .. }
            | Self::Store(_)
            | Self::Streams { .. }
            | Self::Threads(_)
            | Self::Signals(_) => false,
        }
    }
}
