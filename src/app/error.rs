//! The errors of starting and stopping a process.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use crate::{broker, http, relay, store, streams, webhook};

/// An error that keeps a process from starting, or that it ends with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listener could not be opened.
    #[error(transparent)]
    Listen(#[from] http::BindError),
    /// Other hosts reach a listener that nothing guards.
    #[error(
        "the listener {listener} is on {address}, where other hosts reach it, and nothing guards it: set {setting}; or listen \
         on 127.0.0.1; or let everyone use it with --insecure (access.insecure = true)"
    )]
    Unguarded {
        /// The listener.
        listener: &'static str,
        /// Its address.
        address: std::net::SocketAddr,
        /// The setting that guards it.
        setting: &'static str,
    },
    /// A credential of the configuration cannot be used.
    #[error(transparent)]
    Access(#[from] http::AccessError),
    /// A certificate or a key cannot be used.
    #[error(transparent)]
    Tls(#[from] http::TlsError),
    /// The system refuses a worker thread or its I/O driver.
    #[error("cannot start")]
    Threads(#[source] std::io::Error),
    /// The relay could not be created.
    #[error(transparent)]
    Relay(#[from] relay::Error),
    /// The webhook's settings are wrong.
    #[error(transparent)]
    Webhook(#[from] webhook::Error),
    /// The landscape file cannot be read.
    #[error("cannot read the landscape {}", path.display())]
    LandscapeFile {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        cause: std::io::Error,
    },
    /// The landscape file is malformed.
    #[error("the landscape {} is not usable", path.display())]
    Landscape {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        cause: broker::Error,
    },
    /// A variable of a service's environment is missing or wrong.
    #[error("{variable}: {problem}")]
    Environment {
        /// The variable.
        variable: &'static str,
        /// The problem, and what was expected.
        problem: String,
    },
    /// A service's `before_all` hook failed.
    #[error("the service cannot start: before_all failed: {reason}")]
    BeforeAll {
        /// The hook's error.
        reason: String,
    },
    /// The type of the landscape file is unknown.
    #[error(
        "unknown type of landscape {}: expected a file that ends in .toml, .json, .yml or .yaml, or a folder \
         with an application.yml",
        path.display()
    )]
    LandscapeKind {
        /// The file.
        path: PathBuf,
    },
    /// The variable holds a malformed landscape.
    #[error("{variable} is not usable")]
    LandscapeVariable {
        /// Its name.
        variable: &'static str,
        /// The reason.
        #[source]
        cause: broker::Error,
    },
    /// The folder of the streams cannot be opened.
    #[error("streams.data_dir")]
    Store(#[from] store::Error),
    /// The stored streams cannot be read.
    #[error("streams.data_dir: {} cannot be read", dir.display())]
    Streams {
        /// The folder.
        dir: PathBuf,
        /// The reason.
        #[source]
        cause: streams::Error,
    },
    /// The streams are served to other machines, whose URLs for them are not known.
    #[error(
        "streams.public_url is not set, and {address} is not a loopback address: set it to the URL under which clients and the \
         receivers of webhooks reach the streams, such as https://streams.example.com (--public-url URL)"
    )]
    PublicUrl {
        /// The address of the listener.
        address: std::net::SocketAddr,
    },
    /// Two systems of a listener have overlapping paths, or a path is malformed.
    #[error("{system} cannot be served at {path:?}: {problem}")]
    SystemPath {
        /// The name of the system.
        system: &'static str,
        /// The path that it asks for.
        path: String,
        /// The problem with the path.
        problem: String,
    },
    /// The service cannot be started.
    #[error("cannot run {program:?}: {cause}")]
    ServiceNotStarted {
        /// Its program.
        program: String,
        /// The system's reason.
        cause: String,
    },
    /// The service has ended, and the sidecar with it.
    #[error("the service has ended: {status}")]
    ServiceEnded {
        /// Its status.
        status: std::process::ExitStatus,
    },
    /// Another process has the port of the service.
    #[error(
        "port {port} of webhook.forward is in use at {host}, and the service could not listen there: stop what listens there, or \
         give another port; without --forward the service gets a free one"
    )]
    PortInUse {
        /// The host of `webhook.forward`.
        host: String,
        /// The port.
        port: u16,
    },
    /// The service would not be reached where it runs.
    #[error(
        "webhook.forward: {host} is not this host, where the service runs: give its address here, such as \
         http://127.0.0.1:3000, or start the sidecar without a command"
    )]
    ForwardElsewhere {
        /// The host of `webhook.forward`.
        host: String,
    },
    /// No port is free for the service or its sidecar.
    #[error("no port is free for the service: give one with --forward http://127.0.0.1:PORT")]
    NoPort,
    /// The process has ended with accepted messages or requests that it could not finish, hand over or send in time. Each of them
    /// is in the log.
    #[error(
        "stopped with {messages} unfinished {}: accepted, and neither handled nor handed over",
        if *messages == 1 { "message" } else { "messages" }
    )]
    Unfinished {
        /// Their number.
        messages: usize,
    },
    /// The signal handlers cannot be installed.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

impl Error {
    /// Returns the exit code of a service that has ended, as a shell reports it: 128 more than the number of the signal that
    /// ended it. `None` for every other error.
    pub fn service_code(&self) -> Option<u8> {
        let Self::ServiceEnded { status } = self else { return None };
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        Some(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
    }

    /// Returns true if the user has to correct the configuration: exit code 78.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::LandscapeFile { .. }
            | Self::Landscape { .. }
            | Self::LandscapeKind { .. }
            | Self::LandscapeVariable { .. }
            | Self::Tls(_)
            | Self::SystemPath { .. }
            | Self::Unguarded { .. }
            | Self::Access(_)
            | Self::PublicUrl { .. }
            | Self::ForwardElsewhere { .. }
            | Self::Environment { .. } => true,
            Self::Listen(_)
            | Self::Relay(_)
            | Self::Webhook(_)
            | Self::BeforeAll { .. }
            | Self::Store(_)
            | Self::Streams { .. }
            | Self::Threads(_)
            | Self::ServiceNotStarted { .. }
            | Self::ServiceEnded { .. }
            | Self::NoPort
            | Self::PortInUse { .. }
            | Self::Unfinished { .. }
            | Self::Signals(_) => false,
        }
    }
}
