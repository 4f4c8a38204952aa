//! Records of the messages that the broker has handled, and filters for them.

use std::time::{Duration, Instant, SystemTime};

use crate::broker::wire::{Fate, ReceiverRow, TrafficRow, Undelivered, millis};
use crate::message::{ActivityId, InstanceId, MessageId, MessageName, Role};

/// The record of one message that was routed or stopped.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Time of the decision.
    pub(crate) at: Instant,
    pub(crate) id: MessageId,
    /// The sender's name for the message.
    pub(crate) name: MessageName,
    /// The public name.
    pub(crate) public: MessageName,
    pub(crate) sender: Option<Role>,
    /// The sending instance.
    pub(crate) origin: Option<InstanceId>,
    pub(crate) activity: ActivityId,
    /// The request, if it is a reply.
    pub(crate) response_to: Option<MessageId>,
    /// Time between the request and this reply.
    pub(crate) response_time: Option<Duration>,
    pub(crate) receivers: Vec<Receiver>,
    /// The absent roles it waits for.
    pub(crate) absent: Vec<Role>,
    /// Number of receivers and absent roles beyond those listed.
    pub(crate) left_out: usize,
    pub(crate) payload_bytes: usize,
    pub(crate) fate: Fate,
    /// The reason if it was forbidden.
    pub(crate) detail: Option<String>,
}

/// A receiver of a message.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    pub(crate) role: Role,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) name: MessageName,
}

/// A record with its wall-clock time.
#[derive(Debug, Clone)]
pub(crate) struct TimedRecord {
    pub(crate) wall: SystemTime,
    pub(crate) record: Record,
}

impl TimedRecord {
    /// Returns the row that clients get.
    pub(crate) fn row(&self) -> TrafficRow {
        let record = &self.record;
        let receiver = |receiver: &Receiver| ReceiverRow {
            role: receiver.role.clone(),
            instance: receiver.instance.clone(),
            name: receiver.name.clone(),
        };
        TrafficRow {
            at: humantime::format_rfc3339_micros(self.wall).to_string(),
            id: record.id.clone(),
            name: record.name.clone(),
            public_name: record.public.clone(),
            sender: record.sender.clone(),
            instance: record.origin.clone(),
            activity_id: record.activity.clone(),
            response_to: record.response_to.clone(),
            response_time_ms: record.response_time.map(millis),
            receivers: record.receivers.iter().map(receiver).collect(),
            waiting_for: record.absent.clone(),
            left_out: record.left_out,
            payload_bytes: record.payload_bytes,
            fate: record.fate,
            detail: record.detail.clone(),
        }
    }
}

/// A message that could not be delivered to one role.
#[derive(Debug, Clone)]
pub(crate) struct FailedDelivery {
    /// Time at which it was given up.
    pub(crate) at: Instant,
    /// The row that clients get.
    pub(crate) row: Undelivered,
    /// The receiver's name for it.
    pub(crate) receiver_name: MessageName,
    /// The request, if it is a reply.
    pub(crate) response_to: Option<MessageId>,
    pub(crate) payload_bytes: usize,
}

impl FailedDelivery {
    /// Returns the row of the message, for one of which no record is kept.
    pub(crate) fn message(&self) -> TrafficRow {
        let Undelivered { id, name, sender, at, activity_id, receiver: _, reason: _ } = &self.row;
        TrafficRow {
            at: at.clone(),
            id: id.clone(),
            name: name.clone(),
            public_name: name.clone(),
            sender: sender.clone(),
            instance: None,
            activity_id: activity_id.clone(),
            response_to: self.response_to.clone(),
            response_time_ms: None,
            receivers: Vec::new(),
            waiting_for: Vec::new(),
            left_out: 0,
            payload_bytes: self.payload_bytes,
            fate: Fate::Undelivered,
            detail: None,
        }
    }
}

/// A follower's filter. `None` matches everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// A name of the message: the sender's, a receiver's, or the public one.
    pub(crate) message: Option<MessageName>,
    /// The role that sends or receives it.
    pub(crate) role: Option<Role>,
    pub(crate) activity: Option<ActivityId>,
}

impl Filter {
    /// Returns true if the message matches.
    pub(crate) fn matches(&self, record: &Record) -> bool {
        let Record { name, public, sender, receivers, absent, activity, .. } = record;
        let has_name = |wanted: &MessageName| {
            wanted == name || wanted == public || receivers.iter().any(|receiver| receiver.name == *wanted)
        };
        let concerns = |wanted: &Role| {
            let is_receiver = receivers.iter().any(|receiver| receiver.role == *wanted) || absent.contains(wanted);
            is_receiver || sender.as_ref() == Some(wanted)
        };
        self.message.as_ref().is_none_or(has_name)
            && self.role.as_ref().is_none_or(concerns)
            && self.activity.as_ref().is_none_or(|wanted| wanted == activity)
    }

    /// Returns true if the failed delivery matches.
    pub(crate) fn matches_failure(&self, failure: &FailedDelivery) -> bool {
        let row = &failure.row;
        let concerns = |wanted: &Role| row.sender.as_ref() == Some(wanted) || row.receiver.as_ref() == Some(wanted);
        self.message.as_ref().is_none_or(|wanted| *wanted == row.name || *wanted == failure.receiver_name)
            && self.role.as_ref().is_none_or(concerns)
            && self.activity.as_ref().is_none_or(|wanted| *wanted == row.activity_id)
    }
}
