//! What the webhook decides, without clock or socket: whether a call may go, what an answer means, when to try again.

mod breaker;
mod outcome;
mod schedule;

pub(crate) use breaker::{Admission, Breaker, Call, Change, Health, Hold, Limits};
pub(crate) use outcome::{Fate, Outcome};
pub(crate) use schedule::{Next, Schedule};
