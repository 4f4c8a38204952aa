//! Access control of listeners: bearer tokens and CORS. Also the compression of responses.

mod compression;
mod cors;
mod token;

pub(crate) use compression::compress;
pub(crate) use cors::{Cors, CorsSettings};
pub(crate) use token::{bearer_token, equals_secret};
