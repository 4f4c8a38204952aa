//! Requests that wait for their replies, by the time at which their senders stop waiting.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::message::{ActivityId, ReplyTo, Role};

/// Longest time for which a request is kept open. Far beyond any sensible timeout, and short enough to be added to any
/// clock.
const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Memory that a request counts for besides its ids.
const REQUEST_BYTES: usize = 256;

/// A request that waits for its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenRequest {
    pub(super) conversation: ActivityId,
    /// Role of the instance that waits.
    pub(super) role: Option<Role>,
    /// Number of receivers that may still answer.
    pub(super) receivers: usize,
    /// The roles that got it, if only those may answer.
    pub(super) answering: Vec<Role>,
    /// True if it waits for further replies after the first.
    pub(super) many: bool,
    /// Its position among the deadlines.
    deadline: (Instant, u64),
    bytes: usize,
}

/// The deadlines of all open requests. Bounded: at the limit new requests have to be refused.
pub(super) struct OpenRequests {
    deadlines: BTreeMap<(Instant, u64), ActivityId>,
    next: u64,
    requests_max: usize,
    /// Of all requests.
    pub(super) bytes: usize,
    bytes_max: usize,
}

impl OpenRequests {
    pub(super) fn new(requests_max: usize, bytes_max: usize) -> Self {
        Self { deadlines: BTreeMap::new(), next: 0, requests_max, bytes: 0, bytes_max }
    }

    pub(super) fn len(&self) -> usize {
        self.deadlines.len()
    }

    pub(super) fn has_capacity(&self) -> bool {
        self.len() < self.requests_max && self.bytes < self.bytes_max
    }

    /// Adds a request of which `asker` waits for the reply.
    pub(super) fn insert(
        &mut self,
        now: Instant,
        id: ActivityId,
        conversation: ActivityId,
        (asker, role): (&ReplyTo, Option<Role>),
    ) -> OpenRequest {
        let deadline = (now + asker.timeout().min(TIMEOUT_MAX), self.next);
        self.next += 1;
        let bytes = REQUEST_BYTES + id.as_str().len() + conversation.as_str().len();
        self.bytes += bytes;
        self.deadlines.insert(deadline, id);
        OpenRequest { conversation, role, receivers: 0, answering: Vec::new(), many: asker.many, deadline, bytes }
    }

    pub(super) fn remove(&mut self, request: &OpenRequest) {
        if self.deadlines.remove(&request.deadline).is_some() {
            self.bytes -= request.bytes;
        }
    }

    /// Returns a request whose time is over.
    pub(super) fn next_overdue(&self, now: Instant) -> Option<ActivityId> {
        let ((until, _), id) = self.deadlines.first_key_value()?;
        (*until <= now).then(|| id.clone())
    }
}
