//! Messages from the bus to the service: the inbox, duplicates, handlers, subscribers, and waits for an activity.

mod dispatch;
mod failures;
mod handlers;
mod jobs;
mod outcome;
mod rules;
mod subscribers;
mod watch;

pub(super) use dispatch::{Accepted, Incoming};
pub(crate) use handlers::{Fallback, HandlerTable};
pub(crate) use outcome::{Failure, Outcome, Refused};
pub(crate) use rules::service_envelope;
pub(crate) use subscribers::Subscription;
pub use watch::Watching;
