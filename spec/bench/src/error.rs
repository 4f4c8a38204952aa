//! Errors that end a contender or the whole run.

use std::io;
use std::path::PathBuf;

/// Everything that can go wrong around a measurement. Failed requests are not here: they are counted in its figures.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The contender's program is not on this machine; the text says why.
    #[error("{0}")]
    Absent(String),
    /// The program could not be executed at all.
    #[error("{name} could not be started: {source}")]
    Spawn {
        /// The process's role.
        name: String,
        /// Cause.
        source: io::Error,
    },
    /// The program ran but never announced what was waited for.
    #[error("{name} {what}{log}")]
    NotReady {
        /// The process's role.
        name: String,
        /// Awaited event, and timeout.
        what: String,
        /// The end of its log, or nothing.
        log: String,
    },
    /// The contender is up but does not answer as it should.
    #[error("no good first answer within {seconds} s: {last}")]
    FirstCall {
        /// Timeout.
        seconds: u64,
        /// Outcome of the last attempt.
        last: String,
    },
    /// A process's figures are gone, so the process is.
    #[error("process {pid} has no figures any more: {source}")]
    Usage {
        /// The process asked about.
        pid: u32,
        /// Cause.
        source: io::Error,
    },
    /// The process that makes the load answered something else than figures.
    #[error("the process that makes the load answered {0:?}")]
    Caller(String),
    /// A server did not answer what a load needs before it can begin.
    #[error("{what}: {why}")]
    Prepare {
        /// Name of the preparation.
        what: String,
        /// Error in the answer.
        why: String,
    },
    /// The run's scratch folder is not usable.
    #[error("{path}: {source}")]
    Scratch {
        /// The file or folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A runtime or a service's socket could not be had.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A client lost or never had its NATS server.
    #[error("nats: {0}")]
    Nats(String),
    /// A client lost or never had its ExoCom broker.
    #[error("exocom: {0}")]
    Exocom(String),
}
