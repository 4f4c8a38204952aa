//! What the tests act on: real processes, services beside them, and traffic with every message numbered.

mod book;
mod calls;
mod process;
mod raw;
mod service;
mod traffic;

pub(crate) use calls::{call, get, post};
pub(crate) use process::{Over, Process, raise_file_limit, reserve};
pub(crate) use raw::Raw;
pub(crate) use service::Service;
pub(crate) use traffic::{ORDER, Sender, Traffic, handles};
