//! What went through the broker, for those who watch it: a bounded record, and live followers.
//!
//! A publisher pays for one push behind a lock that nobody holds for long; texts are made where they are read.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;

use super::rules::{FailedDelivery, Filter, PackedTrace, TimedRecord, activity};
use super::shell::Shell;
use super::wire::{Activity, Undelivered};
use crate::message::{ActivityId, Payload};
use crate::sync::lock;

/// Followers there may be at once; further ones are told to come later.
pub(super) const FOLLOWERS_MAX: usize = 32;

/// Events that may wait for one follower; what does not fit is left out and counted.
const FOLLOWER_EVENTS_MAX: usize = 1_024;

/// Payload bytes beyond those of the first event that may wait for one follower.
const FOLLOWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How soon the clock on the wall is read again; somebody may have set it.
const CLOCK_TRUSTED: Duration = Duration::from_secs(1);

/// The record and its followers.
pub(crate) struct Traffic {
    messages_max: usize,
    undelivered_max: usize,
    state: Mutex<State>,
}

struct State {
    clock: Clock,
    traces: VecDeque<(SystemTime, PackedTrace)>,
    given_up: VecDeque<FailedDelivery>,
    followers: Vec<Arc<Follower>>,
    closed: bool,
}

/// The clock on the wall, read now and then: reading it for every message would cost as much as all the rest.
struct Clock {
    at: Instant,
    wall: SystemTime,
}

/// What a follower gets to see.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message came by. The payload, if it is to be shown.
    Message(Box<TimedRecord>, Option<Payload>),
    /// A message was given up.
    Undelivered(Undelivered),
    /// So many events were left out here, since the follower was slow.
    Missed(u64),
}

struct Follower {
    filter: Filter,
    payloads: Payloads,
    queue: Mutex<Queue>,
    wake: Notify,
}

/// Whether a follower sees payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payloads {
    /// It asked for them and may.
    Shown,
    /// It does not.
    LeftOut,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    bytes: usize,
    missed: u64,
    closed: bool,
}

/// Why nobody can follow now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There are as many followers as may be.
    Full,
    /// The broker has shut down.
    Closed,
}

/// A follower's end of the line; dropped, it follows no more.
pub(crate) struct Following {
    follower: Arc<Follower>,
    shell: Arc<Shell>,
}

impl Traffic {
    /// Keeps the traces of `messages_max` messages and of `undelivered_max` that were given up.
    pub(super) fn new(messages_max: usize, undelivered_max: usize) -> Self {
        let (clock, traces, given_up) = (Clock::now(), VecDeque::new(), VecDeque::new());
        let state = State { clock, traces, given_up, followers: Vec::new(), closed: false };
        Self { messages_max, undelivered_max, state: Mutex::new(state) }
    }

    /// Enters a message that came by.
    pub(super) fn pass(&self, mut trace: PackedTrace) {
        let payload = trace.payload.take();
        let mut state = self.state();
        let wall = state.clock.wall(trace.at);
        if !state.followers.is_empty() {
            show(&state.followers, &TimedRecord { wall, record: trace.record() }, payload.as_ref());
        }
        let oldest = push_bounded(&mut state.traces, (wall, trace), self.messages_max);
        drop(state);
        // What was last touched thousands of messages ago takes a while to be freed; meanwhile others may enter.
        drop(oldest);
    }

    /// Enters a message that was given up.
    pub(super) fn give_up(&self, given_up: FailedDelivery) {
        let mut state = self.state();
        for follower in &state.followers {
            if follower.filter.matches_failure(&given_up) {
                follower.push(Event::Undelivered(given_up.row.clone()));
            }
        }
        push_bounded(&mut state.given_up, given_up, self.undelivered_max);
    }

    /// The messages that were given up, the oldest first.
    pub(super) fn undelivered(&self) -> Vec<Undelivered> {
        self.state().given_up.iter().map(|given_up| given_up.row.clone()).collect()
    }

    /// What is on record of an activity; `None` if nothing is.
    pub(super) fn activity(&self, id: &ActivityId) -> Option<Activity> {
        let (seen, given_up): (Vec<TimedRecord>, Vec<FailedDelivery>) = {
            let state = self.state();
            let given_up = state.given_up.iter().filter(|given_up| given_up.row.activity_id == *id);
            let traces = state.traces.iter().filter(|(_, trace)| trace.is_of(id));
            let seen = traces.map(|(wall, trace)| TimedRecord { wall: *wall, record: trace.record() });
            (seen.collect(), given_up.cloned().collect())
        };
        activity(id.clone(), &seen, &given_up)
    }

    /// Ends the line of every follower once it has seen what waits for it.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        for follower in state.followers.drain(..) {
            lock(&follower.queue).closed = true;
            follower.wake.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn show(followers: &[Arc<Follower>], seen: &TimedRecord, payload: Option<&Payload>) {
    for follower in followers.iter().filter(|follower| follower.filter.matches(&seen.record)) {
        let payload = payload.filter(|_| follower.payloads == Payloads::Shown).cloned();
        follower.push(Event::Message(Box::new(seen.clone()), payload));
    }
}

/// Adds to a record of at most `max` entries. Answers what had to give way.
fn push_bounded<T>(record: &mut VecDeque<T>, entry: T, max: usize) -> Option<T> {
    if max == 0 {
        return Some(entry);
    }
    let oldest = if record.len() >= max { record.pop_front() } else { None };
    record.push_back(entry);
    oldest
}

impl Clock {
    fn now() -> Self {
        Self { at: Instant::now(), wall: SystemTime::now() }
    }

    /// What the clock on the wall said at that moment.
    fn wall(&mut self, at: Instant) -> SystemTime {
        if at.saturating_duration_since(self.at) > CLOCK_TRUSTED {
            *self = Self::now();
        }
        match at.checked_duration_since(self.at) {
            Some(later) => self.wall + later,
            None => self.wall.checked_sub(self.at.duration_since(at)).unwrap_or(self.wall),
        }
    }
}

impl Following {
    /// Follows the traffic of a broker from now on.
    pub(super) fn start(shell: &Arc<Shell>, filter: Filter, payloads: Payloads) -> Result<Self, Refusal> {
        let follower = Arc::new(Follower { filter, payloads, queue: Mutex::default(), wake: Notify::new() });
        {
            let mut state = shell.traffic.state();
            if state.closed {
                return Err(Refusal::Closed);
            }
            if state.followers.len() >= FOLLOWERS_MAX {
                return Err(Refusal::Full);
            }
            state.followers.push(Arc::clone(&follower));
        }
        shell.exchange().follow();
        Ok(Self { follower, shell: Arc::clone(shell) })
    }

    /// The next event; `None` once the broker has shut down. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            match self.follower.take() {
                Ok(next) => return next,
                Err(Empty) => self.follower.wake.notified().await,
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.shell.traffic.state().followers.retain(|other| !Arc::ptr_eq(other, &self.follower));
        self.shell.exchange().unfollow();
    }
}

/// Nothing waits for the follower now.
struct Empty;

impl Follower {
    fn push(&self, event: Event) {
        let mut queue = lock(&self.queue);
        let bytes = event.payload_bytes();
        let fits = queue.bytes + bytes <= FOLLOWER_BYTES_MAX || queue.events.is_empty();
        // One place more is for the gap.
        if queue.events.len() >= FOLLOWER_EVENTS_MAX || !fits {
            queue.missed += 1;
            return;
        }
        if queue.missed > 0 {
            let missed = std::mem::take(&mut queue.missed);
            queue.events.push_back(Event::Missed(missed));
        }
        queue.bytes += bytes;
        queue.events.push_back(event);
        drop(queue);
        self.wake.notify_one();
    }

    fn take(&self) -> Result<Option<Event>, Empty> {
        let mut queue = lock(&self.queue);
        if let Some(event) = queue.events.pop_front() {
            queue.bytes -= event.payload_bytes();
            return Ok(Some(event));
        }
        match (queue.missed, queue.closed) {
            (0, false) => Err(Empty),
            (0, true) => Ok(None),
            (_, _) => Ok(Some(Event::Missed(std::mem::take(&mut queue.missed)))),
        }
    }
}

impl Event {
    fn payload_bytes(&self) -> usize {
        match self {
            Self::Message(_, payload) => payload.as_ref().map_or(0, |payload| payload.as_bytes().len()),
            Self::Undelivered(_) | Self::Missed(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follower() -> Follower {
        Follower { filter: Filter::default(), payloads: Payloads::Shown, queue: Mutex::default(), wake: Notify::new() }
    }

    fn with_payload(bytes: usize) -> Event {
        use super::super::rules::Record;
        use super::super::wire::Fate;
        use crate::message::{MessageId, MessageName};
        let (id, name) = (MessageId::parse("1").unwrap(), MessageName::parse("m").unwrap());
        let record = Record {
            at: Instant::now(),
            id: id.clone(),
            name: name.clone(),
            public: name,
            sender: None,
            origin: None,
            activity: id.into(),
            response_to: None,
            response_time: None,
            receivers: Vec::new(),
            absent: Vec::new(),
            left_out: 0,
            payload_bytes: bytes,
            fate: Fate::Routed,
            detail: None,
        };
        let payload = Payload::parse(format!("\"{}\"", "x".repeat(bytes)).into()).unwrap();
        Event::Message(Box::new(TimedRecord { wall: SystemTime::UNIX_EPOCH, record }), Some(payload))
    }

    /// What a follower is shown, until there is nothing or the end: a dot for a message, a number for a gap.
    fn check(follower: &Follower, expected: &str) {
        let mut shown = String::new();
        while let Ok(Some(event)) = follower.take() {
            match event {
                Event::Message(..) | Event::Undelivered(_) => shown.push('.'),
                Event::Missed(missed) => shown += &missed.to_string(),
            }
        }
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_gap_is_told_where_it_is() {
        let follower = follower();
        (0..FOLLOWER_EVENTS_MAX + 3).for_each(|_| follower.push(with_payload(1)));
        assert!(follower.take().is_ok());
        follower.push(with_payload(1));
        check(&follower, &format!("{}3.", ".".repeat(FOLLOWER_EVENTS_MAX - 1)));
    }

    #[test]
    fn a_gap_at_the_end_is_told_without_waiting_for_another_message() {
        let follower = follower();
        (0..FOLLOWER_EVENTS_MAX + 7).for_each(|_| follower.push(with_payload(1)));
        check(&follower, &format!("{}7", ".".repeat(FOLLOWER_EVENTS_MAX)));
    }

    #[test]
    fn the_clock_on_the_wall_is_told_for_moments_before_and_after() {
        let mut clock = Clock { at: Instant::now(), wall: SystemTime::UNIX_EPOCH + Duration::from_secs(9) };
        let at = clock.at;
        let mut check = |at: Instant, millis: u64| {
            assert_eq!(clock.wall(at), SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
        };
        check(at + Duration::from_millis(1_000), 10_000);
        check(at - Duration::from_millis(1), 8_999);
        assert!(clock.wall(at + Duration::from_millis(1_001)) > SystemTime::UNIX_EPOCH + Duration::from_secs(99));
    }

    #[test]
    fn a_record_of_none_keeps_none() {
        let mut record = VecDeque::new();
        assert_eq!(push_bounded(&mut record, 1, 0), Some(1));
        assert_eq!(push_bounded(&mut record, 2, 1), None);
        assert_eq!((push_bounded(&mut record, 3, 1), record.len()), (Some(2), 1));
    }

    #[test]
    fn payloads_that_wait_are_bounded_but_for_one() {
        let follower = follower();
        (0..3).for_each(|_| follower.push(with_payload(FOLLOWER_BYTES_MAX)));
        check(&follower, ".2");
        (0..3).for_each(|_| follower.push(with_payload(FOLLOWER_BYTES_MAX / 2 - 2)));
        check(&follower, "..1");
    }
}
