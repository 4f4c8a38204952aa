//! Errors of `exocom`, with the messages of the original brokers where they had one.

use crate::app;
use crate::broker;

/// Exit code of the original in Go, and for wrong settings. exo 3.7.
const WRONG: u8 = 2;

/// Exit code of the originals in JavaScript. exo 2.6, 3.8.
const FAILED: u8 = 1;

/// An error that keeps `exocom` from starting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No variable holds the services.
    #[error("No service data provided")]
    NoServiceData,
    /// A variable holds a malformed landscape.
    #[error("{variable} is not usable: {cause}")]
    Landscape {
        /// The variable.
        variable: &'static str,
        /// The reason.
        cause: broker::Error,
    },
    /// A variable holds a landscape in a form that belongs to another variable.
    #[error("{variable} is not usable: expected {expected}")]
    Form {
        /// The variable.
        variable: &'static str,
        /// The expected form.
        expected: &'static str,
    },
    /// `--port` is not a number.
    #[error("Non-numerical port provided to ExoCom: {text:?}")]
    PortFlag {
        /// The given text.
        text: String,
    },
    /// The port is out of range.
    #[error("listen tcp: address {port}: invalid port")]
    Port {
        /// The given text.
        port: String,
    },
    /// The port cannot be bound, with the message of Go.
    #[error("listen tcp {address}: bind: {cause}")]
    Bind {
        /// The address; without a host it means every interface.
        address: String,
        /// The system's reason.
        cause: String,
    },
    /// The port is taken, with the message of the brokers in JavaScript.
    #[error("Error: port {port} is already in use")]
    InUse {
        /// The port.
        port: u16,
    },
    /// Any other error at the start.
    #[error(transparent)]
    App(Box<app::Error>),
}

impl From<app::Error> for Error {
    fn from(error: app::Error) -> Self {
        Self::App(Box::new(error))
    }
}

impl Error {
    /// Returns the exit code.
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
