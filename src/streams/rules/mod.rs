//! The rules of the protocol: pure, without clock, sockets or store.
//!
//! The [`Ledger`] holds the state of every stream, including everything that is decided and not yet durable. A command is
//! either refused, and then nothing has changed, or it returns an answer and the changes that must be durable before the client
//! sees the answer. All stores get the same decisions, so they cannot disagree about a 409.

mod appending;
mod change;
mod content;
mod creating;
mod ending;
mod event;
mod forking;
mod ledger;
mod limits;
mod metadata;
mod producers;
mod producing;
mod refusal;
mod registry;
mod registry_rows;
mod stream;
#[cfg(test)]
mod tests;

pub use appending::{Appended, Effect};
pub(crate) use change::{Change, KeySpace};
pub(crate) use content::{Content, Record};
pub use creating::Created;
pub use event::{Happened, LifecycleEvent};
pub(crate) use forking::AppendAfter;
pub(crate) use ledger::Ledger;
pub(crate) use limits::Limits;
pub use refusal::Refusal;
pub(crate) use registry::ROWS_SINCE;
