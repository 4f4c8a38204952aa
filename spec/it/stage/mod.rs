//! What the tests act on: real processes, services beside them, and traffic with every message numbered.

mod book;
mod calls;
mod peer;
mod process;
mod proxy;
mod raw;
mod roster;
mod service;
mod traffic;

pub(crate) use calls::{call, get, post};
pub(crate) use peer::{Peer, declare};
pub(crate) use process::{Over, Process, raise_file_limit, reserve};
pub(crate) use proxy::Proxy;
pub(crate) use raw::Raw;
pub(crate) use roster::{instances, knows};
pub(crate) use service::Service;
pub(crate) use traffic::{ORDER, Sender, Traffic, handles};
