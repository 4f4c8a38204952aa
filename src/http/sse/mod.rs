//! Server-sent events (HTML Standard 9.2): encoder and response for servers, decoder for clients.

mod decoder;
mod encoder;
mod response;

pub(crate) use decoder::{Decoder, Event};
pub(crate) use encoder::{DataPrefix, Encoder};
pub(crate) use response::{RETRY, keep_alive, respond, with_retry};
