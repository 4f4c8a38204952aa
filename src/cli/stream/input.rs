//! Content from an argument, a file or stdin, piece by piece.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::thread;

use bytes::Bytes;
use clap::Args;
use tokio::sync::mpsc;

use crate::cli::Error;
use crate::message::Payload;

/// How much is read at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Pieces that are read before somebody takes them.
const PIECES_MAX: usize = 2;

/// The longest content that is one JSON text.
const JSON_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What is to be written.
#[derive(Debug, Args)]
pub(super) struct Content {
    /// The content itself; - reads it from stdin
    content: Option<String>,
    /// Read the content from a file
    #[arg(long, value_name = "FILE", conflicts_with = "content")]
    from: Option<PathBuf>,
}

/// Where content comes from.
pub(super) enum Input {
    Text(Bytes),
    Reader { name: String, reader: Box<dyn Read + Send> },
}

/// Pieces of content in their order, read on a thread of their own.
pub(super) type Pieces = mpsc::Receiver<Result<Bytes, Error>>;

impl Content {
    /// The content that was given; `None` if none was. Errors: [`Error::File`].
    pub(super) fn open(self) -> Result<Option<Input>, Error> {
        match (self.content, self.from) {
            (Some(dash), _) if dash == "-" => Ok(Some(Input::stdin())),
            (Some(text), _) => Ok(Some(Input::Text(text.into()))),
            (None, Some(path)) => {
                let name = path.display().to_string();
                let file = File::open(&path).map_err(|cause| Error::File { name: name.clone(), cause })?;
                Ok(Some(Input::Reader { name, reader: Box::new(file) }))
            }
            (None, None) => Ok(None),
        }
    }
}

impl Input {
    pub(super) fn stdin() -> Self {
        Self::Reader { name: "stdin".to_owned(), reader: Box::new(io::stdin()) }
    }

    /// All of it, blocking. Errors: [`Error::File`], [`Error::InputTooLong`].
    pub(super) fn whole(self) -> Result<Bytes, Error> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Reader { name, reader } => {
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

    /// All of it, which must be JSON. Errors: as of [`Input::whole`], [`Error::Payload`], [`Error::InputNotJson`].
    pub(super) fn json(self) -> Result<Bytes, Error> {
        let typed = matches!(self, Self::Text(_));
        let whole = self.whole()?;
        let checked = Payload::parse(whole.clone());
        checked.map(|_| whole).map_err(|source| match typed {
            true => Error::Payload { source },
            false => Error::InputNotJson { source },
        })
    }

    /// Piece by piece, as it comes.
    pub(super) fn pieces(self) -> Pieces {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        match self {
            Self::Text(text) => drop(sender.try_send(Ok(text))),
            // It ends with the input, or when nobody takes its pieces any more.
            Self::Reader { name, reader } => drop(thread::spawn(move || read_on(&name, reader, &sender))),
        }
        pieces
    }
}

fn read_on(name: &str, mut reader: Box<dyn Read + Send>, sender: &mpsc::Sender<Result<Bytes, Error>>) {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let piece = match reader.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => Ok(Bytes::copy_from_slice(&buffer[..length])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => Err(Error::File { name: name.to_owned(), cause }),
        };
        let failed = piece.is_err();
        if sender.blocking_send(piece).is_err() || failed {
            return;
        }
    }
}
