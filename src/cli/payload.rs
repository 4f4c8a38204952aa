//! The JSON argument of `send` and `request`.

use std::io::Read;

use bytes::Bytes;

use super::Error;
use crate::message::Payload;

/// The longest payload that is read from stdin; what the sidecar takes is its own `http.body_bytes_max`.
const STDIN_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads the argument: JSON, `-` for JSON on stdin (read to its end, blocking), nothing for no payload.
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
    std::io::stdin().lock().take(STDIN_BYTES_MAX + 1).read_to_end(&mut json).map_err(Error::Input)?;
    if json.len() as u64 > STDIN_BYTES_MAX {
        return Err(Error::InputTooLong { bytes_max: STDIN_BYTES_MAX });
    }
    Ok(json.into())
}
