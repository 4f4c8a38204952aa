//! Access control of listeners: bearer tokens, CORS, and the proxies in front of them. Also the compression of responses.

mod compression;
mod cors;
mod forwarded;
mod token;

pub(crate) use compression::compress;
pub(crate) use cors::{Cors, CorsSettings};
pub(crate) use forwarded::{Original, TrustedProxies, network};
pub(crate) use token::{bearer_token, equals_secret};
