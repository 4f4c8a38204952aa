//! How a command can fail, and what the shell gets to know of it.

use std::io;

use super::Side;
use crate::app::{self, config};
use crate::http::ClientError;
use crate::message::{PayloadError, TextError};

/// Exit code of a command that was called wrongly (sysexits `EX_USAGE`).
pub const USAGE: u8 = 64;

/// Exit code of a configuration that is wrong (sysexits `EX_CONFIG`).
const CONFIGURATION: u8 = 78;

/// Exit code of everything else that fails.
const FAILED: u8 = 1;

/// Why a command failed. The text is one line for the person at the terminal, one per problem for a configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error("{0}")]
    Configuration(#[from] config::Errors),
    /// The runtime cannot be built as the environment asks for it.
    #[error("{variable} is {text:?}: expected a number of threads from 1")]
    WorkerThreads {
        /// The variable.
        variable: &'static str,
        /// What it is set to.
        text: String,
    },
    /// The system refuses the runtime's threads or its poll.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// A server ended with an error.
    #[error("{0}")]
    App(#[from] app::Error),
    /// The JSON argument is not JSON.
    #[error(
        "the payload is not fit: {source}; in a shell, JSON needs single quotes around it: \
         '{{\"name\":\"world\"}}', and a text its own inside: '\"hello\"'"
    )]
    Payload {
        /// What is wrong with it.
        source: PayloadError,
    },
    /// What stands on stdin is not JSON.
    #[error("the payload on stdin is not fit: {source}")]
    InputNotJson {
        /// What is wrong with it.
        source: PayloadError,
    },
    /// A name or an id is not fit for use.
    #[error("{0}")]
    Text(#[from] TextError),
    /// A text cannot stand in a header.
    #[error("{flag} has a character that a header cannot carry")]
    Header {
        /// The flag, with its dashes.
        flag: &'static str,
    },
    /// The address of a sidecar or broker is not understood.
    #[error("{} is {url:?}: expected a URL such as {}", side.flag().0, side.flag().1)]
    Url {
        /// Whose address it is.
        side: Side,
        /// What was given.
        url: String,
    },
    /// The payload cannot be read from stdin.
    #[error("cannot read the payload from stdin: {0}")]
    Input(io::Error),
    /// There is more on stdin than a payload can have.
    #[error("the payload on stdin is over the limit of {bytes_max} bytes")]
    InputTooLong {
        /// The limit.
        bytes_max: u64,
    },
    /// Nobody listens there.
    #[error("no {side} at {url}: start one with `{}` or give {}", side.command(), side.flag().0)]
    Absent {
        /// Who should be there.
        side: Side,
        /// Its base URL.
        url: String,
    },
    /// The call has no usable answer.
    #[error("{0}")]
    Call(#[from] ClientError),
    /// The stream of messages cannot be opened.
    #[error("cannot follow {url}: {cause}")]
    Stream {
        /// The base URL of the other side.
        url: String,
        /// The reason.
        cause: String,
    },
    /// The other side says no; these are its words.
    #[error("{detail}")]
    Refused {
        /// What it says.
        detail: String,
    },
    /// The URL of a stream, or of all streams, is not understood.
    #[error("{url:?} is no URL of a stream: expected one such as http://127.0.0.1:4437/v1/stream/orders")]
    StreamUrl {
        /// What was given, or came of it.
        url: String,
    },
    /// Nobody listens where the streams should be.
    #[error("no streams at {url}: start a server with `exorelay streams` or give --url")]
    NoStreams {
        /// Where they should be.
        url: String,
    },
    /// A call to a server of streams has no usable answer.
    #[error("cannot reach {url}: {cause}")]
    StreamCall {
        /// Where the streams are.
        url: String,
        /// The reason.
        cause: String,
    },
    /// The server of the streams says no; these are its words.
    #[error("{detail}")]
    StreamRefused {
        /// The status of its answer.
        status: u16,
        /// What it says.
        detail: String,
    },
    /// Whatever answers there does not speak the protocol.
    #[error("{url} does not answer as a stream does: {cause}")]
    StreamStranger {
        /// The stream.
        url: String,
        /// What does not fit.
        cause: String,
    },
    /// The server does not tell which streams there are.
    #[error("{url} has no registry: the server keeps none, or has never had a stream")]
    NoRegistry {
        /// Where the streams are.
        url: String,
    },
    /// A line of an import is not fit for the stream.
    #[error("line {number} is not fit, nothing of its batch was appended: {cause}")]
    Line {
        /// Counted from 1.
        number: u64,
        /// What is wrong with it.
        cause: String,
    },
    /// There was nothing to append.
    #[error("there is nothing to append")]
    NothingToAppend,
    /// The content cannot be read.
    #[error("cannot read {name}: {cause}")]
    File {
        /// The file, or stdin.
        name: String,
        /// The system's reason.
        cause: io::Error,
    },
    /// The sidecar is there and cannot work yet.
    #[error("not ready: {reasons}")]
    NotReady {
        /// What it waits for.
        reasons: String,
    },
    /// Whatever answers there is none of ours.
    #[error("{url} does not answer as a {side} does: {cause}")]
    Stranger {
        /// Who should be there.
        side: Side,
        /// Its base URL.
        url: String,
        /// What does not fit.
        cause: String,
    },
    /// There are messages with only one end.
    #[error("messages sent but not received: {sent}, received but not sent: {received}")]
    Unmatched {
        /// How many are sent and not received.
        sent: usize,
        /// How many are received and not sent.
        received: usize,
    },
    /// There is nothing that says which messages there are.
    #[error(
        "there is nothing to lint: this folder has no application.yml, and SERVICE_DATA is not set; give the PATH of a \
         landscape"
    )]
    NothingToLint,
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl Error {
    /// What the shell gets: 64 for wrong usage, 78 for a wrong configuration, else 1. A reader that has seen enough,
    /// as in `exorelay tail | head -1`, is no failure: 0.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Payload { .. }
            | Self::InputNotJson { .. }
            | Self::Text(_)
            | Self::Header { .. }
            | Self::Url { .. }
            | Self::StreamUrl { .. }
            | Self::Line { .. }
            | Self::NothingToAppend => USAGE,
            Self::Configuration(_) | Self::WorkerThreads { .. } | Self::NothingToLint => CONFIGURATION,
            Self::App(error) if error.is_configuration() => CONFIGURATION,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Runtime(_)
            | Self::App(_)
            | Self::Input(_)
            | Self::InputTooLong { .. }
            | Self::Absent { .. }
            | Self::Call(_)
            | Self::Stream { .. }
            | Self::Refused { .. }
            | Self::NoStreams { .. }
            | Self::StreamCall { .. }
            | Self::StreamRefused { .. }
            | Self::StreamStranger { .. }
            | Self::NoRegistry { .. }
            | Self::File { .. }
            | Self::NotReady { .. }
            | Self::Stranger { .. }
            | Self::Unmatched { .. }
            | Self::Output(_) => FAILED,
        }
    }
}
