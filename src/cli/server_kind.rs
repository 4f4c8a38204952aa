//! The two kinds of server that tools call.

use std::fmt;

/// A server that a tool calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// The sidecar of a service.
    Sidecar,
    /// The broker between the sidecars.
    Broker,
}

impl ServerKind {
    /// Returns the flag that sets its address, with an example value.
    pub(super) fn flag(self) -> (&'static str, &'static str) {
        match self {
            Self::Sidecar => ("--api", "http://127.0.0.1:4001"),
            Self::Broker => ("--broker", "http://127.0.0.1:3100"),
        }
    }

    /// Returns a command that starts one.
    pub(super) fn command(self) -> &'static str {
        match self {
            Self::Sidecar => "exorelay dev",
            Self::Broker => "exorelay broker",
        }
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sidecar => "sidecar",
            Self::Broker => "broker",
        })
    }
}
