//! Delivery rules: circuit breaker, meaning of answers, retry schedule. Pure.

mod breaker;
mod outcome;
mod schedule;

pub(crate) use breaker::{Admission, Breaker, Call, Change, Health, Hold, Limits};
pub(crate) use outcome::{Disposition, Outcome};
pub(crate) use schedule::{Next, Schedule};
