//! One follower of the traffic: its filter, and a bounded queue of events.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;

use tokio::sync::Notify;

use super::rules::{FailedDelivery, Filter, TimedRecord};
use super::wire::Undelivered;
use crate::message::Payload;
use crate::sync::lock;

/// Events queued for one follower; further ones are dropped and counted.
pub(super) const EVENTS_MAX: usize = 1_024;

/// Bytes queued for one follower. A single event may have more.
pub(super) const BYTES_MAX: usize = 2 * 1024 * 1024;

/// Bytes that an event, or a receiver in it, takes besides its texts and its payload.
const STRUCTURE_BYTES: usize = 256;

/// An event for a follower.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message was routed or stopped; its payload, if the follower gets payloads.
    Message(Box<TimedRecord>, Option<Payload>),
    /// A message was given up.
    Undelivered(Undelivered),
    /// This number of events was dropped here because the follower was too slow.
    Missed(u64),
}

/// The id of an event: the start of the record, and the number of the event in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(crate) begun_ms: u64,
    pub(crate) number: u64,
}

impl EventId {
    /// Parses the text of an id.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (begun_ms, number) = text.split_once('-')?;
        Some(Self { begun_ms: begun_ms.parse().ok()?, number: number.parse().ok()? })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.begun_ms, self.number)
    }
}

/// Includes payloads in the events of a follower, or leaves them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payloads {
    Shown,
    LeftOut,
}

/// A follower of the traffic.
pub(crate) struct Follower {
    filter: Filter,
    payloads: Payloads,
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Default)]
struct Queue {
    /// Numbers and events.
    events: VecDeque<(u64, Event)>,
    bytes: usize,
    missed: u64,
    /// Number of the last one that was missed.
    missed_until: u64,
    is_closed: bool,
}

/// The queue has no event now.
struct Empty;

impl Follower {
    /// A follower that first gets the `recorded` events.
    pub(crate) fn new(filter: Filter, payloads: Payloads, recorded: Vec<(u64, Event)>) -> Self {
        let bytes = recorded.iter().map(|(_, event)| event.bytes()).sum();
        let queue = Queue { events: recorded.into(), bytes, ..Queue::default() };
        Self { filter, payloads, queue: Mutex::new(queue), wake: Notify::new() }
    }

    /// Queues a message, if it matches the filter.
    pub(crate) fn message(&self, number: u64, record: &TimedRecord, payload: Option<&Payload>) {
        if self.filter.matches(&record.record) {
            let payload = payload.filter(|_| self.payloads == Payloads::Shown).cloned();
            self.push(number, Event::Message(Box::new(record.clone()), payload));
        }
    }

    /// Queues a failed delivery, if it matches the filter.
    pub(crate) fn failure(&self, number: u64, failure: &FailedDelivery) {
        if self.filter.matches_failure(failure) {
            self.push(number, Event::Undelivered(failure.row.clone()));
        }
    }

    /// Ends the events after those in the queue.
    pub(crate) fn close(&self) {
        lock(&self.queue).is_closed = true;
        self.wake.notify_one();
    }

    /// Returns the next event with its number; `None` once it is closed. Cancel-safe.
    pub(crate) async fn next(&self) -> Option<(u64, Event)> {
        loop {
            match self.take() {
                Ok(next) => return next,
                Err(Empty) => self.wake.notified().await,
            }
        }
    }

    fn push(&self, number: u64, event: Event) {
        let mut queue = lock(&self.queue);
        let bytes = event.bytes();
        let fits = queue.bytes + bytes <= BYTES_MAX || queue.events.is_empty();
        // The event about missed ones may come on top.
        if queue.events.len() >= EVENTS_MAX || !fits {
            queue.missed += 1;
            queue.missed_until = number;
            return;
        }
        if queue.missed > 0 {
            let missed = (queue.missed_until, Event::Missed(std::mem::take(&mut queue.missed)));
            queue.events.push_back(missed);
        }
        queue.bytes += bytes;
        queue.events.push_back((number, event));
        drop(queue);
        self.wake.notify_one();
    }

    fn take(&self) -> Result<Option<(u64, Event)>, Empty> {
        let mut queue = lock(&self.queue);
        if let Some((number, event)) = queue.events.pop_front() {
            queue.bytes -= event.bytes();
            return Ok(Some((number, event)));
        }
        match (queue.missed, queue.is_closed) {
            (0, false) => Err(Empty),
            (0, true) => Ok(None),
            (_, _) => Ok(Some((queue.missed_until, Event::Missed(std::mem::take(&mut queue.missed))))),
        }
    }
}

impl Event {
    /// Returns the memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Message(seen, payload) => {
                let record = &seen.record;
                let receivers = record.receivers.iter().map(|receiver| {
                    let instance = receiver.instance.as_ref().map_or(0, |instance| instance.as_str().len());
                    STRUCTURE_BYTES + receiver.role.as_str().len() + receiver.name.as_str().len() + instance
                });
                let absent = record.absent.iter().map(|role| STRUCTURE_BYTES + role.as_str().len());
                let detail = record.detail.as_ref().map_or(0, String::len);
                let texts = 2 * record.name.as_str().len() + record.id.as_str().len() + record.activity.as_str().len();
                let payload = payload.as_ref().map_or(0, |payload| payload.as_bytes().len());
                STRUCTURE_BYTES + receivers.chain(absent).sum::<usize>() + detail + texts + payload
            }
            Self::Undelivered(row) => STRUCTURE_BYTES + row.name.as_str().len() + row.reason.len(),
            Self::Missed(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

    use super::super::rules::Record;
    use super::super::wire::Fate;
    use super::*;
    use crate::message::{MessageId, MessageName};

    fn follower() -> Follower {
        Follower::new(Filter::default(), Payloads::Shown, Vec::new())
    }

    fn event(payload_bytes: usize) -> Event {
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
            payload_bytes,
            fate: Fate::Routed,
            detail: None,
        };
        let payload = Payload::parse(format!("\"{}\"", "x".repeat(payload_bytes)).into()).unwrap();
        Event::Message(Box::new(TimedRecord { wall: SystemTime::UNIX_EPOCH, record }), Some(payload))
    }

    /// Expects these events in the queue: a dot for a message, a number for missed ones.
    fn check(follower: &Follower, expected: &str) {
        let mut actual = String::new();
        while let Ok(Some((_, event))) = follower.take() {
            match event {
                Event::Message(..) | Event::Undelivered(_) => actual.push('.'),
                Event::Missed(missed) => actual += &missed.to_string(),
            }
        }
        assert_eq!(actual, expected);
    }

    #[test]
    fn missed_events_are_reported_at_their_position() {
        let follower = follower();
        (0..EVENTS_MAX + 3).for_each(|_| follower.push(0, event(1)));
        assert!(follower.take().is_ok());
        follower.push(0, event(1));
        check(&follower, &format!("{}3.", ".".repeat(EVENTS_MAX - 1)));
    }

    #[test]
    fn missed_events_at_the_end_are_reported_without_a_further_event() {
        let follower = follower();
        (0..EVENTS_MAX + 7).for_each(|_| follower.push(0, event(1)));
        check(&follower, &format!("{}7", ".".repeat(EVENTS_MAX)));
    }

    #[test]
    fn queued_bytes_are_bounded_except_for_a_single_event() {
        let follower = follower();
        (0..3).for_each(|_| follower.push(0, event(BYTES_MAX)));
        check(&follower, ".2");
        (0..3).for_each(|_| follower.push(0, event(BYTES_MAX / 2 - 2 * STRUCTURE_BYTES)));
        check(&follower, "..1");
    }
}
