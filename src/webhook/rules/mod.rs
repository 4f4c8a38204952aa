//! Delivery rules: circuit breaker, meaning of answers, retry schedule, warnings. Pure.

mod breaker;
mod failing;
mod outcome;
mod schedule;
mod warnings;

pub(crate) use breaker::{Admission, Breaker, Call, Change, Health, Hold, Limits};
pub(crate) use failing::Failing;
pub(crate) use outcome::{Disposition, Outcome};
pub(crate) use schedule::{Next, Schedule};
pub(crate) use warnings::Warnings;
