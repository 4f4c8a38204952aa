//! Pure rules of the outgoing half: requests that wait, and idempotency keys.

mod keys;
mod waiters;

pub(super) use keys::{Keys, Mismatch};
pub(in crate::relay) use waiters::Late;
pub(super) use waiters::{Full, Waiters};
