//! The traffic of the broker: a bounded record of messages, and its live followers.
//!
//! Recording a message costs its publisher one push under a short lock; texts are rendered by readers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use super::follower::{BYTES_MAX, EVENTS_MAX, Event, EventId, Follower, Payloads};
use super::rules::{FailedDelivery, Filter, PackedTrace, TimedRecord, activity};
use super::wire::{Activity, Undelivered};
use crate::message::ActivityId;
use crate::sync::lock;

/// Simultaneous followers; further ones are refused.
pub(super) const FOLLOWERS_MAX: usize = 32;

/// Age at which the cached wall-clock time is refreshed, in case the clock is changed.
const CLOCK_AGE_MAX: Duration = Duration::from_secs(1);

/// The record and its followers.
pub(crate) struct Traffic {
    messages_max: usize,
    undelivered_max: usize,
    /// Start of this record, in milliseconds since 1970; ids of an earlier process have another one.
    begun_ms: u64,
    state: Mutex<State>,
}

struct State {
    clock: WallClock,
    /// Number of the last message or failed delivery.
    last: u64,
    traces: VecDeque<(u64, SystemTime, PackedTrace)>,
    failures: VecDeque<(u64, FailedDelivery)>,
    followers: Vec<Arc<Follower>>,
    is_closed: bool,
}

/// A cached reading of the wall clock: one per message would cost as much as all other work of recording it.
struct WallClock {
    at: Instant,
    wall: SystemTime,
}

/// Reason for refusing a follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There are too many followers.
    Full,
    /// The broker has shut down.
    Closed,
}

impl Traffic {
    /// Keeps the traces of the last `messages_max` messages and the last `undelivered_max` failed deliveries.
    pub(super) fn new(messages_max: usize, undelivered_max: usize) -> Self {
        let (clock, traces, failures) = (WallClock::now(), VecDeque::new(), VecDeque::new());
        let begun = clock.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let begun_ms = u64::try_from(begun.as_millis()).unwrap_or_default();
        let state = State { clock, last: 0, traces, failures, followers: Vec::new(), is_closed: false };
        Self { messages_max, undelivered_max, begun_ms, state: Mutex::new(state) }
    }

    /// Records a message.
    pub(super) fn record(&self, mut trace: PackedTrace) {
        let payload = trace.payload.take();
        let mut state = self.state();
        let wall = state.clock.wall(trace.at);
        state.last += 1;
        let number = state.last;
        if !state.followers.is_empty() {
            let record = TimedRecord { wall, record: trace.record() };
            state.followers.iter().for_each(|follower| follower.message(number, &record, payload.as_ref()));
        }
        let oldest = push_bounded(&mut state.traces, (number, wall, trace), self.messages_max);
        drop(state);
        // Freed outside the lock: memory last touched thousands of messages ago is slow to free.
        drop(oldest);
    }

    /// Records a failed delivery.
    pub(super) fn record_failure(&self, failure: FailedDelivery) {
        let mut state = self.state();
        state.last += 1;
        let number = state.last;
        state.followers.iter().for_each(|follower| follower.failure(number, &failure));
        push_bounded(&mut state.failures, (number, failure), self.undelivered_max);
    }

    /// Returns the failed deliveries, oldest first.
    pub(super) fn undelivered(&self) -> Vec<Undelivered> {
        self.state().failures.iter().map(|(_, failure)| failure.row.clone()).collect()
    }

    /// Returns the records of an activity; `None` if there are none.
    pub(super) fn activity(&self, id: &ActivityId) -> Option<Activity> {
        let (records, failures): (Vec<TimedRecord>, Vec<FailedDelivery>) = {
            let state = self.state();
            let failures = state.failures.iter().map(|(_, failure)| failure);
            let failures = failures.filter(|failure| failure.row.activity_id == *id);
            let traces = state.traces.iter().filter(|(_, _, trace)| trace.is_of(id));
            let records = traces.map(|(_, wall, trace)| TimedRecord { wall: *wall, record: trace.record() });
            (records.collect(), failures.cloned().collect())
        };
        activity(id.clone(), &records, &failures)
    }

    /// Adds a follower, until [`Traffic::remove_follower`]. If it comes again, it first gets what was recorded after its last
    /// event: at most [`EVENTS_MAX`] events, the newest ones and without payloads, after the number of those that it misses.
    /// Returns it with the id after which its events begin.
    pub(super) fn add_follower(
        &self,
        filter: Filter,
        payloads: Payloads,
        last: Option<EventId>,
    ) -> Result<(Arc<Follower>, EventId), Refusal> {
        let mut state = self.state();
        if state.is_closed {
            return Err(Refusal::Closed);
        }
        if state.followers.len() >= FOLLOWERS_MAX {
            return Err(Refusal::Full);
        }
        // The numbers of another process say nothing here: all that this one has is new to the follower.
        let after = last.map(|last| if last.begun_ms == self.begun_ms { last.number } else { 0 });
        let began = self.id_of(after.unwrap_or(state.last));
        let recorded = after.map(|after| state.since(after, &filter)).unwrap_or_default();
        let follower = Arc::new(Follower::new(filter, payloads, recorded));
        state.followers.push(Arc::clone(&follower));
        Ok((follower, began))
    }

    pub(super) fn remove_follower(&self, follower: &Arc<Follower>) {
        self.state().followers.retain(|other| !Arc::ptr_eq(other, follower));
    }

    /// Closes every follower after the events in its queue, and refuses further ones.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.followers.drain(..).for_each(|follower| follower.close());
    }

    /// The id of an event with this number.
    pub(super) fn id_of(&self, number: u64) -> EventId {
        EventId { begun_ms: self.begun_ms, number }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// The newest recorded events after number `after` that match the filter, at most [`EVENTS_MAX`] and [`BYTES_MAX`] of them, in order; before
    /// them one with the number of those in between that are not recorded any more, or left out.
    fn since(&self, after: u64, filter: &Filter) -> Vec<(u64, Event)> {
        let mut events = Vec::new();
        let (mut known, mut bytes) = (0, 0);
        let traces = self.traces.iter().rev().map(|(number, wall, trace)| (*number, Recorded::Trace(*wall, trace)));
        let mut traces = traces.take_while(|(number, _)| *number > after).peekable();
        let failures = self.failures.iter().rev().map(|(number, failure)| (*number, Recorded::Failure(failure)));
        let mut failures = failures.take_while(|(number, _)| *number > after).peekable();
        while events.len() < EVENTS_MAX && bytes < BYTES_MAX {
            let newest = match (traces.peek(), failures.peek()) {
                (Some(trace), Some(failure)) if trace.0 < failure.0 => failures.next(),
                (None, _) => failures.next(),
                (Some(_), _) => traces.next(),
            };
            let Some((number, recorded)) = newest else { break };
            known += 1;
            if let Some(event) = recorded.event(filter) {
                bytes += event.bytes();
                events.push((number, event));
            }
        }
        let oldest = events.last().map_or(self.last, |(number, _)| number - 1);
        let missed = self.last.saturating_sub(after).saturating_sub(known);
        if missed > 0 {
            events.push((oldest, Event::Missed(missed)));
        }
        events.reverse();
        events
    }
}

/// An entry of the record.
enum Recorded<'a> {
    Trace(SystemTime, &'a PackedTrace),
    Failure(&'a FailedDelivery),
}

impl Recorded<'_> {
    /// The event about it, if it matches the filter.
    fn event(self, filter: &Filter) -> Option<Event> {
        match self {
            Self::Trace(wall, trace) => {
                let record = trace.record();
                let is_wanted = filter.matches(&record);
                is_wanted.then(|| Event::Message(Box::new(TimedRecord { wall, record }), None))
            }
            Self::Failure(failure) => filter.matches_failure(failure).then(|| Event::Undelivered(failure.row.clone())),
        }
    }
}

/// Adds to a record of at most `max` entries. Returns the entry that was dropped for it.
fn push_bounded<T>(record: &mut VecDeque<T>, entry: T, max: usize) -> Option<T> {
    if max == 0 {
        return Some(entry);
    }
    let oldest = if record.len() >= max { record.pop_front() } else { None };
    record.push_back(entry);
    oldest
}

impl WallClock {
    fn now() -> Self {
        Self { at: Instant::now(), wall: SystemTime::now() }
    }

    /// Returns the wall-clock time at that moment.
    fn wall(&mut self, at: Instant) -> SystemTime {
        if at.saturating_duration_since(self.at) > CLOCK_AGE_MAX {
            *self = Self::now();
        }
        match at.checked_duration_since(self.at) {
            Some(later) => self.wall + later,
            None => self.wall.checked_sub(self.at.duration_since(at)).unwrap_or(self.wall),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_clock_times_are_known_before_and_after_the_reading() {
        let mut clock = WallClock { at: Instant::now(), wall: SystemTime::UNIX_EPOCH + Duration::from_secs(9) };
        let at = clock.at;
        let mut check = |at: Instant, millis: u64| {
            assert_eq!(clock.wall(at), SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
        };
        check(at + Duration::from_millis(1_000), 10_000);
        check(at - Duration::from_millis(1), 8_999);
        assert!(clock.wall(at + Duration::from_millis(1_001)) > SystemTime::UNIX_EPOCH + Duration::from_secs(99));
    }

    #[test]
    fn a_record_is_bounded() {
        let mut record = VecDeque::new();
        assert_eq!(push_bounded(&mut record, 1, 0), Some(1));
        assert_eq!(push_bounded(&mut record, 2, 1), None);
        assert_eq!((push_bounded(&mut record, 3, 1), record.len()), (Some(2), 1));
    }
}
