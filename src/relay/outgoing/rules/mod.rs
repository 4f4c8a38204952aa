//! Pure rules of the outgoing half: messages and requests that wait, and idempotency keys.

mod keys;
mod queue;
mod waiters;

pub(super) use keys::{KeyRefused, Keys};
pub(in crate::relay) use queue::Oldest;
pub(super) use queue::{Batch, Dropped, Queue, QueueLimits, Rejected, Waiting};
pub(in crate::relay) use waiters::Late;
pub(super) use waiters::{Full, Waiters};
