//! The JSON argument of `send` and `request`.

use std::io::{IsTerminal, Read};

use bytes::Bytes;

use super::Error;
use super::output::warn;
use crate::message::Payload;

/// Maximum payload read from stdin. The sidecar applies its own limit, `http.body_bytes_max`.
const STDIN_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Notice of a command that would otherwise seem to hang.
pub(super) const READS_TERMINAL: &str = "reading from the terminal: end the content with Ctrl-D";

/// Reads the payload: JSON from the argument, or from stdin (blocking, to its end) if it is `-`; `None` without argument.
/// Errors: [`Error::Payload`], [`Error::Input`], [`Error::InputNotJson`], [`Error::InputTooLong`].
pub(super) fn read(argument: Option<&str>) -> Result<Option<Payload>, Error> {
    match argument {
        None => Ok(None),
        Some("-") => Payload::parse(from_stdin()?).map(Some).map_err(|source| Error::InputNotJson { source }),
        Some(json) => {
            let json = Bytes::copy_from_slice(json.as_bytes());
            Payload::parse(json).map(Some).map_err(|source| Error::Payload { source })
        }
    }
}

fn from_stdin() -> Result<Bytes, Error> {
    let mut json = Vec::new();
    if std::io::stdin().is_terminal() {
        warn(READS_TERMINAL);
    }
    std::io::stdin().lock().take(STDIN_BYTES_MAX + 1).read_to_end(&mut json).map_err(Error::Input)?;
    if json.len() as u64 > STDIN_BYTES_MAX {
        return Err(Error::InputTooLong { bytes_max: STDIN_BYTES_MAX });
    }
    Ok(json.into())
}
