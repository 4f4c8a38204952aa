//! What may happen to streams, without clock, socket or store.
//!
//! The [`Ledger`] knows the state of every stream as it will be once all that was decided is written. A command either is
//! refused, and then nothing has changed, or gives an answer and the changes that have to be written before anybody may
//! see the answer. Every store is fed from the same decisions, so no two of them can disagree about a 409.

mod appending;
mod content;
mod creating;
mod ending;
mod forking;
mod ledger;
mod lifecycle;
mod producing;
mod refusal;
mod stream;
#[cfg(test)]
mod tests;

pub use appending::{Appended, Effect};
pub(crate) use content::Content;
pub use creating::Created;
pub(crate) use forking::Following;
pub(crate) use ledger::{Change, Ledger, Limits};
pub use lifecycle::{Happened, LifecycleEvent};
pub use refusal::Refusal;
