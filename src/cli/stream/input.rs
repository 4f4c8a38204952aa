//! Reads content from an argument, a file or stdin in chunks.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::thread;

use bytes::Bytes;
use clap::Args;
use tokio::sync::mpsc;

use crate::cli::Error;
use crate::cli::output::warn;
use crate::cli::payload::READS_TERMINAL;
use crate::message::Payload;

/// Size of one read.
const CHUNK_BYTES: usize = 256 * 1024;

/// Maximum chunks read ahead; then the reading thread waits.
const CHUNKS_MAX: usize = 2;

/// Maximum length of content that is sent in one request.
const JSON_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The arguments for content.
#[derive(Debug, Args)]
pub(super) struct Content {
    /// The content; - reads it from stdin
    content: Option<String>,
    /// Read the content from a file
    #[arg(long, alias = "from", value_name = "FILE", conflicts_with = "content")]
    file: Option<PathBuf>,
}

/// A source of content.
pub(super) enum Input {
    Text(Bytes),
    Reader {
        name: String,
        reader: Box<dyn Read + Send>,
        /// Size of a regular file.
        bytes: Option<u64>,
    },
}

/// Chunks of content in order, read on a separate thread.
pub(super) type Chunks = mpsc::Receiver<Result<Bytes, Error>>;

impl Content {
    /// Opens the given content; `None` if none was given. Errors: [`Error::File`].
    pub(super) fn open(self) -> Result<Option<Input>, Error> {
        match (self.content, self.file) {
            (Some(dash), _) if dash == "-" => Ok(Some(Input::stdin())),
            (Some(text), _) => Ok(Some(Input::Text(text.into()))),
            (None, Some(path)) => {
                let name = path.display().to_string();
                let file = File::open(&path).map_err(|cause| Error::File { name: name.clone(), cause })?;
                Ok(Some(Input::Reader { name, bytes: size(&file), reader: Box::new(file) }))
            }
            (None, None) => Ok(None),
        }
    }
}

impl Input {
    pub(super) fn stdin() -> Self {
        let bytes = io::stdin().as_fd().try_clone_to_owned().ok().and_then(|stdin| size(&File::from(stdin)));
        let reader: Box<dyn Read + Send> = match io::stdin().is_terminal() {
            true => Box::new(Terminal { is_announced: false }),
            false => Box::new(io::stdin()),
        };
        Self::Reader { name: "stdin".to_owned(), reader, bytes }
    }

    /// Returns the size of the content, if it is known.
    pub(super) fn bytes(&self) -> Option<u64> {
        match self {
            Self::Text(text) => Some(text.len() as u64),
            Self::Reader { bytes, .. } => *bytes,
        }
    }

    /// Reads everything, blocking. Errors: [`Error::File`], [`Error::InputTooLong`].
    pub(super) fn whole(self) -> Result<Bytes, Error> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Reader { name, reader, .. } => {
                let mut whole = Vec::new();
                let read = reader.take(JSON_BYTES_MAX + 1).read_to_end(&mut whole);
                read.map_err(|cause| Error::File { name, cause })?;
                match whole.len() as u64 > JSON_BYTES_MAX {
                    true => Err(Error::InputTooLong { bytes_max: JSON_BYTES_MAX }),
                    false => Ok(whole.into()),
                }
            }
        }
    }

    /// Reads everything and checks that it is JSON. Errors: as [`Input::whole`], [`Error::Payload`], [`Error::InputNotJson`].
    pub(super) fn json(self) -> Result<Bytes, Error> {
        let is_argument = matches!(self, Self::Text(_));
        let whole = self.whole()?;
        let checked = Payload::parse_carried(whole.clone());
        checked.map(|_| whole).map_err(|source| match is_argument {
            true => Error::Payload { source },
            false => Error::InputNotJson { source },
        })
    }

    /// Reads chunks as they arrive.
    pub(super) fn chunks(self) -> Chunks {
        let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
        match self {
            Self::Text(text) => drop(sender.try_send(Ok(text))),
            // The thread ends with the input, or when the receiver is dropped.
            Self::Reader { name, reader, .. } => drop(thread::spawn(move || send_chunks(&name, reader, &sender))),
        }
        chunks
    }
}

/// The content that a person types, announced when it is about to be read.
struct Terminal {
    is_announced: bool,
}

impl Read for Terminal {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !std::mem::replace(&mut self.is_announced, true) {
            warn(READS_TERMINAL);
        }
        io::stdin().read(buffer)
    }
}

fn size(file: &File) -> Option<u64> {
    file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
}

fn send_chunks(name: &str, mut reader: Box<dyn Read + Send>, sender: &mpsc::Sender<Result<Bytes, Error>>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let chunk = match reader.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => Ok(Bytes::copy_from_slice(&buffer[..length])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => Err(Error::File { name: name.to_owned(), cause }),
        };
        let failed = chunk.is_err();
        if sender.blocking_send(chunk).is_err() || failed {
            return;
        }
    }
}
