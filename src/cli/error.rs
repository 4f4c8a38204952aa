//! The errors of commands and their exit codes.

use std::io;
use std::path::PathBuf;

use super::ServerKind;
use crate::app::{self, config};
use crate::http::{ClientError, hide_credentials};
use crate::message::{PayloadError, TextError};
use crate::store::{self, BackupError};
use crate::streams;

/// Exit code of a command that was called wrongly (sysexits `EX_USAGE`).
pub const USAGE: u8 = 64;

/// Exit code of a configuration that is wrong (sysexits `EX_CONFIG`).
const CONFIGURATION: u8 = 78;

/// Exit code of everything else that fails.
const FAILED: u8 = 1;

/// An error that ends a command. The text is one line for the user; a wrong configuration has one line per problem.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error(transparent)]
    Configuration(#[from] config::Errors),
    /// The variable for the number of threads is wrong.
    #[error("{variable} is {text:?}: expected a number of threads, at least 1")]
    WorkerThreads {
        /// The variable.
        variable: &'static str,
        /// Its value.
        text: String,
    },
    /// The system refuses the runtime's threads or its I/O driver.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// A server ended with an error.
    #[error(transparent)]
    App(#[from] app::Error),
    /// The JSON argument is not JSON.
    #[error(
        "the payload is not valid: {source}; in a shell, put single quotes around JSON, as in \
         '{{\"name\":\"world\"}}' or '\"hello\"'"
    )]
    Payload {
        /// The reason.
        source: PayloadError,
    },
    /// The payload on stdin is not JSON.
    #[error("the payload on stdin is not valid: {source}")]
    InputNotJson {
        /// The reason.
        source: PayloadError,
    },
    /// A name or an id is malformed.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A value cannot be sent in a header.
    #[error("{flag} contains a character that is not allowed in a header")]
    Header {
        /// The flag, with its dashes.
        flag: &'static str,
    },
    /// The address of a sidecar or broker is malformed.
    #[error("{} is {:?}: expected a URL such as {}", kind.flag().0, hide_credentials(url), kind.flag().1)]
    Url {
        /// The server that it should lead to.
        kind: ServerKind,
        /// The given text.
        url: String,
    },
    /// The payload cannot be read from stdin.
    #[error("cannot read the payload from stdin: {0}")]
    Input(io::Error),
    /// The payload on stdin is too long.
    #[error("the payload on stdin is over the limit of {bytes_max} bytes")]
    InputTooLong {
        /// The limit.
        bytes_max: u64,
    },
    /// The connection to a sidecar or broker is refused.
    #[error("no {kind} at {}: start one with `{}` or give {}", hide_credentials(url), kind.command(), kind.flag().0)]
    NotRunning {
        /// The expected server.
        kind: ServerKind,
        /// Its base URL.
        url: String,
    },
    /// There is no address to drain a server at.
    #[error("ops.address is not set: give --url URL, the address that the server was started with as --ops")]
    NoOperations,
    /// A server has drained, and messages were left.
    #[error(
        "drained, with {messages} unfinished {}: accepted, and neither handled nor handed over",
        if *messages == 1 { "message" } else { "messages" }
    )]
    Unfinished {
        /// Their number.
        messages: usize,
    },
    /// A call to a sidecar or broker failed.
    #[error(transparent)]
    Call(#[from] ClientError),
    /// An event stream cannot be opened.
    #[error("cannot follow {}: {cause}", hide_credentials(url))]
    Stream {
        /// The server's base URL.
        url: String,
        /// The reason.
        cause: String,
    },
    /// Another kind of server answers at the address.
    #[error(
        "{} is a {found}, not a {expected}: {}; {} takes a {expected}, such as {}",
        hide_credentials(url), found.usage(), expected.flag().0, expected.flag().1
    )]
    OtherServer {
        /// The called URL.
        url: String,
        /// The server that answers.
        found: ServerKind,
        /// The server that was meant.
        expected: ServerKind,
    },
    /// The server refuses the call.
    #[error("{detail}")]
    Refused {
        /// The status of its answer.
        status: u16,
        /// Its explanation.
        detail: String,
    },
    /// The URL of a stream, or of the server of streams, is malformed.
    #[error(
        "{:?} is not the URL of a stream: expected one such as http://127.0.0.1:4437/v1/stream/orders",
        hide_credentials(url)
    )]
    StreamUrl {
        /// The resulting URL.
        url: String,
    },
    /// The path of a stream is malformed.
    #[error(transparent)]
    StreamPath(#[from] streams::PathError),
    /// The connection to the server of streams is refused.
    #[error("no streams at {}: start a server with `exorelay streams` or give --url", hide_credentials(url))]
    NoStreams {
        /// The server's base URL.
        url: String,
    },
    /// A call to a server of streams failed.
    #[error("cannot reach {}: {cause}", hide_credentials(url))]
    StreamCall {
        /// The server's base URL.
        url: String,
        /// The reason.
        cause: String,
    },
    /// The stream does not exist.
    #[error("no stream {} at {}{}", hide_credentials(name), hide_credentials(root), similar.as_ref().map(|name| format!(": did you mean {name}?")).unwrap_or_default())]
    NoStream {
        /// The name, as the user wrote it.
        name: String,
        /// The server's base URL.
        root: String,
        /// An existing stream whose name is nearly the same.
        similar: Option<String>,
    },
    /// The server has its streams at another path.
    #[error("there are no streams at {}: did you mean --url {}?", hide_credentials(url), hide_credentials(meant))]
    StreamRoot {
        /// The given URL.
        url: String,
        /// The URL of the streams.
        meant: String,
    },
    /// The server of streams refuses the call.
    #[error("{detail}")]
    StreamRefused {
        /// The status of its answer.
        status: u16,
        /// Its explanation.
        detail: String,
    },
    /// Content of the stream was lost.
    #[error("{detail}; --from {until} goes on after it")]
    StreamDamaged {
        /// The server's explanation.
        detail: String,
        /// The offset after the damage.
        until: String,
    },
    /// The server does not follow the Durable Streams protocol.
    #[error("{} does not answer like a stream: {cause}", hide_credentials(url))]
    UnexpectedStreamAnswer {
        /// The stream.
        url: String,
        /// The reason.
        cause: String,
    },
    /// The server has no list of its streams.
    #[error("{} has no registry: the server does not support it, or it is switched off", hide_credentials(url))]
    NoRegistry {
        /// The server's base URL.
        url: String,
    },
    /// A line of an import is not valid JSON.
    #[error("line {number} is not valid JSON; none of the lines in its batch were appended: {cause}")]
    Line {
        /// Counted from 1.
        number: u64,
        /// The reason.
        cause: String,
    },
    /// A line of an import is too long.
    #[error("line {number} is longer than {bytes_max} bytes; none of the lines in its batch were appended")]
    LineTooLong {
        /// Counted from 1.
        number: u64,
        /// The limit.
        bytes_max: usize,
    },
    /// The input is empty.
    #[error("there is nothing to append")]
    NothingToAppend,
    /// The input cannot be read.
    #[error("cannot read {name}: {cause}")]
    File {
        /// The file, or stdin.
        name: String,
        /// The system's reason.
        cause: io::Error,
    },
    /// The sidecar is running but not ready.
    #[error("not ready: {reasons}")]
    NotReady {
        /// The reasons, separated by semicolons.
        reasons: String,
    },
    /// Something else answers at the address of a sidecar or broker.
    #[error("{} does not answer like a {kind}: {cause}", hide_credentials(url))]
    UnexpectedAnswer {
        /// The expected server.
        kind: ServerKind,
        /// Its base URL.
        url: String,
        /// The reason.
        cause: String,
    },
    /// Some messages have no receiver or no sender.
    #[error("messages sent but not received: {sent}, received but not sent: {received}")]
    Unmatched {
        /// Number of messages without a receiver.
        sent: usize,
        /// Number of messages without a sender.
        received: usize,
    },
    /// No landscape to check.
    #[error(
        "there is nothing to lint: this folder has no application.yml, and SERVICE_DATA is not set; give the PATH of a \
         landscape"
    )]
    NothingToLint,
    /// The command that handles messages cannot be run at all.
    #[error("cannot run {command:?}: {cause}; its message was not acknowledged and will be delivered again")]
    Command {
        /// The command.
        command: String,
        /// The reason.
        cause: String,
    },
    /// The command needs a data folder, and there is none.
    #[error(
        "{}: give the data folder of the streams, or set streams.data_dir",
        if dir.as_os_str().is_empty() { "no data folder".into() } else { format!("no data folder {}", dir.display()) }
    )]
    NoDataFolder {
        /// The folder; empty if none was given or configured.
        dir: PathBuf,
    },
    /// A data folder is damaged.
    #[error("{} is damaged ({faults} faults); restore it from a backup, or go on with what is left", dir.display())]
    Damaged {
        /// The folder.
        dir: PathBuf,
        /// Number of faults, each of which was printed.
        faults: usize,
    },
    /// A backup was not made.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A data folder cannot be opened.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Stored streams cannot be read.
    #[error(transparent)]
    Streams(#[from] streams::Error),
    /// The arguments of `access check` are wrong.
    #[error("{cause}")]
    AccessCheck {
        /// The argument, and what is expected.
        cause: String,
    },
    /// The rules do not allow a call.
    #[error("refused: {explanation}")]
    NotAllowed {
        /// The caller, the right, and the rule that decided.
        explanation: String,
    },
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl Error {
    /// Returns the exit code: 64 for wrong usage, 78 for a wrong configuration, else 1. A closed stdout, as in
    /// `exorelay tail | head -1`, is a success: 0.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Payload { .. }
            | Self::InputNotJson { .. }
            | Self::Text(_)
            | Self::Header { .. }
            | Self::Url { .. }
            | Self::StreamUrl { .. }
            | Self::StreamPath(_)
            | Self::Line { .. }
            | Self::LineTooLong { .. }
            | Self::NothingToAppend
            | Self::AccessCheck { .. }
            | Self::NoDataFolder { .. } => USAGE,
            Self::Configuration(_) | Self::WorkerThreads { .. } | Self::NothingToLint | Self::NoOperations => {
                CONFIGURATION
            }
            Self::App(error) if error.is_configuration() => CONFIGURATION,
            Self::App(error) if error.service_code().is_some() => error.service_code().unwrap_or(FAILED),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Runtime(_)
            | Self::App(_)
            | Self::Input(_)
            | Self::InputTooLong { .. }
            | Self::NotRunning { .. }
            | Self::Call(_)
            | Self::Stream { .. }
            | Self::OtherServer { .. }
            | Self::Refused { .. }
            | Self::NoStream { .. }
            | Self::StreamRoot { .. }
            | Self::NoStreams { .. }
            | Self::StreamCall { .. }
            | Self::StreamRefused { .. }
            | Self::StreamDamaged { .. }
            | Self::UnexpectedStreamAnswer { .. }
            | Self::NoRegistry { .. }
            | Self::File { .. }
            | Self::NotAllowed { .. }
            | Self::NotReady { .. }
            | Self::Unfinished { .. }
            | Self::UnexpectedAnswer { .. }
            | Self::Unmatched { .. }
            | Self::Command { .. }
            | Self::Damaged { .. }
            | Self::Backup(_)
            | Self::Store(_)
            | Self::Streams(_)
            | Self::Output(_) => FAILED,
        }
    }
}
