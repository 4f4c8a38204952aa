//! Test fixtures: processes, services, and traffic of numbered messages.

mod calls;
mod instances;
mod peer;
mod process;
mod proxy;
mod raw;
mod received;
mod service;
mod traffic;

pub(crate) use calls::{Response, call, get, post};
pub(crate) use instances::{instances, wait_until_registered};
pub(crate) use peer::{Peer, declare};
pub(crate) use process::{Process, Transport, raise_file_limit, reserve_address};
pub(crate) use proxy::Proxy;
pub(crate) use raw::Raw;
pub(crate) use service::Service;
pub(crate) use traffic::{ORDER, Sender, Traffic, recording_relay};
