//! Why an `exocom` does not start, in the words of the originals where they had words.

use crate::app;
use crate::broker;

/// Exit code of the originals in Go, and of everything that is wrong with what was given. exo 3.7.
const WRONG: u8 = 2;

/// Exit code of the originals in JavaScript. exo 2.6, 3.8.
const FAILED: u8 = 1;

/// Why an `exocom` does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody says which services there are.
    #[error("No service data provided")]
    NoServiceData,
    /// A variable does not hold a landscape.
    #[error("{variable} is not usable: {cause}")]
    Landscape {
        /// The variable.
        variable: &'static str,
        /// What is wrong with it.
        cause: broker::Error,
    },
    /// A variable holds a landscape in the form of another variable.
    #[error("{variable} is not usable: expected {expected}")]
    Form {
        /// The variable.
        variable: &'static str,
        /// What would have been right.
        expected: &'static str,
    },
    /// `--port` is no port.
    #[error("Non-numerical port provided to ExoCom: {text:?}")]
    PortFlag {
        /// What was given.
        text: String,
    },
    /// There is no such port.
    #[error("listen tcp: address {port}: invalid port")]
    Port {
        /// What was given.
        port: String,
    },
    /// The port cannot be opened, in the words of Go.
    #[error("listen tcp {address}: bind: {cause}")]
    Bind {
        /// Where; without a host that is every interface.
        address: String,
        /// The system's reason.
        cause: String,
    },
    /// Somebody else has the port, in the words of the brokers in JavaScript.
    #[error("Error: port {port} is already in use")]
    InUse {
        /// The port.
        port: u16,
    },
    /// The process cannot be set up.
    #[error("{0}")]
    App(#[from] app::Error),
}

impl Error {
    /// What the shell gets.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoServiceData
            | Self::Landscape { .. }
            | Self::Form { .. }
            | Self::Port { .. }
            | Self::Bind { .. } => WRONG,
            Self::PortFlag { .. } | Self::InUse { .. } | Self::App(_) => FAILED,
        }
    }
}
