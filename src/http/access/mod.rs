//! Access control of listeners: hosts and web pages, bearer tokens, CORS, and the proxies in front of them. Also the
//! compression of responses.

mod compression;
mod cors;
mod forwarded;
mod listener;
mod rules;
mod token;

pub(crate) use compression::compress;
pub(crate) use cors::{Cors, CorsSettings};
pub(crate) use forwarded::{Original, TrustedProxies, network};
pub use listener::Access;
pub(crate) use rules::{Origins, Reach};
pub(crate) use token::{bearer_token, equals_secret};
