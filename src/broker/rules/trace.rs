//! Traces: records packed into one text each.
//!
//! Packing keeps traces cheap for publishers. Sharing each name and id, and freeing it thousands of messages later, costs
//! more than twice as much.

use std::time::{Duration, Instant};

use super::record::{Receiver, Record};
use crate::broker::wire::Fate;
use crate::message::{ActivityId, InstanceId, Message, MessageId, MessageName, Payload, Role, TextError};

/// Length of the text at which further receivers are only counted.
const TEXT_BYTES_MAX: usize = 4 * 1024;

/// Initial capacity, enough for most messages.
const TEXT_BYTES_USUAL: usize = 256;

/// The packed record of one message.
///
/// Lines of `text`: activity, id, name, public name, sender, instance, request; then three for each receiver (role,
/// instance, name) and one for each absent role; the rest is the detail. Names and ids have no line breaks and are not
/// empty: an empty line means none, or for a public or receiver's name, the same as the name before.
#[derive(Debug)]
pub(crate) struct PackedTrace {
    text: String,
    /// Time at which the message was routed or stopped.
    pub(crate) at: Instant,
    response_time: Option<Duration>,
    payload_bytes: usize,
    receivers: usize,
    absent: usize,
    left_out: usize,
    fate: Fate,
    /// Only set if payloads may be shown; not kept.
    pub(crate) payload: Option<Payload>,
}

impl PackedTrace {
    /// Returns the trace of a message without receivers.
    pub(super) fn new(
        at: Instant,
        message: &Message,
        (public, activity): (&MessageName, &ActivityId),
        origin: Option<&InstanceId>,
        response_time: Option<Duration>,
    ) -> Self {
        let mut trace = Self {
            text: String::with_capacity(TEXT_BYTES_USUAL),
            at,
            response_time,
            payload_bytes: message.payload.as_ref().map_or(0, |payload| payload.as_bytes().len()),
            receivers: 0,
            absent: 0,
            left_out: 0,
            fate: Fate::Routed,
            payload: None,
        };
        trace.line(activity.as_str());
        trace.line(message.id.as_str());
        trace.line(message.name.as_str());
        trace.line(if *public == message.name { "" } else { public.as_str() });
        trace.line(message.sender.as_ref().map_or("", |sender| sender.as_str()));
        trace.line(origin.map_or("", |origin| origin.as_str()));
        trace.line(message.response_to.as_ref().map_or("", |id| id.as_str()));
        trace
    }

    /// Adds a receiver; `name` is `None` if it is the public name. Receivers come before absent roles.
    pub(super) fn receiver(&mut self, role: &Role, instance: Option<&InstanceId>, name: Option<&MessageName>) {
        assert!(self.absent == 0, "receivers come before absent roles");
        if self.is_full() {
            return;
        }
        self.line(role.as_str());
        self.line(instance.map_or("", |instance| instance.as_str()));
        self.line(name.map_or("", |name| name.as_str()));
        self.receivers += 1;
    }

    /// Adds an absent role for which the message waits.
    pub(super) fn absent(&mut self, role: &Role) {
        if !self.is_full() {
            self.line(role.as_str());
            self.absent += 1;
        }
    }

    /// Returns the trace of the message if it is not routed.
    pub(super) fn stopped(mut self, fate: Fate, detail: &str) -> Self {
        assert!(self.receivers + self.absent == 0, "a stopped message has no receivers");
        self.fate = fate;
        self.text.push_str(detail);
        self
    }

    /// Returns true if it belongs to this activity.
    pub(crate) fn is_of(&self, activity: &ActivityId) -> bool {
        self.text.strip_prefix(activity.as_str()).is_some_and(|rest| rest.starts_with('\n'))
    }

    /// Unpacks the record.
    pub(crate) fn record(&self) -> Record {
        self.read().expect("it was packed from valid names and ids")
    }

    /// Returns true if another receiver does not fit, and counts it.
    fn is_full(&mut self) -> bool {
        let full = self.text.len() >= TEXT_BYTES_MAX;
        self.left_out += usize::from(full);
        full
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn read(&self) -> Result<Record, TextError> {
        let mut rest = self.text.as_str();
        let mut line = || {
            let (line, more) = rest.split_once('\n').unwrap_or((rest, ""));
            rest = more;
            line
        };
        let (activity, id, name) = (line(), line(), MessageName::parse(line())?);
        let public = or_same(line(), &name)?;
        let (sender, origin, response_to) = (line(), line(), line());
        let receiver = |(role, instance, called): (&str, &str, &str)| {
            let instance = optional(instance, InstanceId::parse)?;
            Ok(Receiver { role: Role::parse(role)?, instance, name: or_same(called, &public)? })
        };
        let receivers = (0..self.receivers).map(|_| receiver((line(), line(), line()))).collect::<Result<_, _>>()?;
        let absent = (0..self.absent).map(|_| Role::parse(line())).collect::<Result<_, _>>()?;
        Ok(Record {
            at: self.at,
            id: MessageId::parse(id)?,
            name,
            public,
            sender: optional(sender, Role::parse)?,
            origin: optional(origin, InstanceId::parse)?,
            activity: ActivityId::parse(activity)?,
            response_to: optional(response_to, MessageId::parse)?,
            response_time: self.response_time,
            receivers,
            absent,
            left_out: self.left_out,
            payload_bytes: self.payload_bytes,
            fate: self.fate,
            detail: Some(rest).filter(|detail| !detail.is_empty()).map(str::to_owned),
        })
    }
}

fn optional<T>(line: &str, parse: impl Fn(&str) -> Result<T, TextError>) -> Result<Option<T>, TextError> {
    if line.is_empty() { Ok(None) } else { parse(line).map(Some) }
}

fn or_same(line: &str, same: &MessageName) -> Result<MessageName, TextError> {
    if line.is_empty() { Ok(same.clone()) } else { MessageName::parse(line) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        "[a-zö /?#\"]{1,9}"
    }

    fn receiver() -> impl Strategy<Value = Receiver> {
        (text(), proptest::option::of(text()), text()).prop_map(|(role, instance, name)| Receiver {
            role: Role::parse(&role).unwrap(),
            instance: instance.map(|text| InstanceId::parse(&text).unwrap()),
            name: MessageName::parse(&name).unwrap(),
        })
    }

    fn record() -> impl Strategy<Value = Record> {
        let names = (text(), text(), text(), "(a|b)");
        let optional = (proptest::option::of(text()), proptest::option::of(text()), proptest::option::of(text()));
        let lists = (proptest::collection::vec(receiver(), 0..4), proptest::collection::vec(text(), 0..3));
        let fate = prop_oneof![
            lists.prop_map(|(receivers, absent)| (receivers, absent, None)),
            "(?s).{1,20}".prop_map(|detail| (Vec::new(), Vec::new(), Some(detail))),
        ];
        let micros = proptest::option::of(0_u64..9);
        (names, optional, fate, micros).prop_map(|(names, optional, (receivers, absent, detail), micros)| Record {
            at: Instant::now(),
            id: MessageId::parse(&names.0).unwrap(),
            name: MessageName::parse(&names.1).unwrap(),
            public: MessageName::parse(&names.2).unwrap(),
            activity: ActivityId::parse(&names.3).unwrap(),
            sender: optional.0.map(|text| Role::parse(&text).unwrap()),
            origin: optional.1.map(|text| InstanceId::parse(&text).unwrap()),
            response_to: optional.2.map(|text| MessageId::parse(&text).unwrap()),
            response_time: micros.map(Duration::from_micros),
            receivers,
            absent: absent.iter().map(|text| Role::parse(text).unwrap()).collect(),
            left_out: 0,
            payload_bytes: 0,
            fate: if detail.is_some() { Fate::Forbidden } else { Fate::Routed },
            detail,
        })
    }

    /// Packs a record as the rules do.
    fn pack(record: &Record) -> PackedTrace {
        let Record { at, id, name, public, sender, origin, activity, response_to, response_time, .. } = record;
        let (sender, response_to) = (sender.clone(), response_to.clone());
        let message = Message { sender, response_to, ..Message::new(id.clone(), name.clone()) };
        let mut trace = PackedTrace::new(*at, &message, (public, activity), origin.as_ref(), *response_time);
        for Receiver { role, instance, name } in &record.receivers {
            trace.receiver(role, instance.as_ref(), Some(name).filter(|name| *name != public));
        }
        record.absent.iter().for_each(|role| trace.absent(role));
        match &record.detail {
            Some(detail) => trace.stopped(Fate::Forbidden, detail),
            None => trace,
        }
    }

    proptest! {
        #[test]
        fn packing_and_unpacking_returns_the_record(record in record()) {
            let trace = pack(&record);
            for activity in ["a", "b", "ab"] {
                let activity = ActivityId::parse(activity).unwrap();
                prop_assert_eq!(trace.is_of(&activity), record.activity == activity);
            }
            prop_assert_eq!(format!("{:?}", trace.record()), format!("{record:?}"));
        }
    }

    #[test]
    fn receivers_beyond_the_limit_are_counted() {
        let mut runner = TestRunner::deterministic();
        let mut record = record().new_tree(&mut runner).unwrap().current();
        let receiver = receiver().new_tree(&mut runner).unwrap().current();
        record.receivers = vec![receiver; 1_000];
        record.absent = vec![Role::parse("log").unwrap(); 7];
        record.detail = None;
        let trace = pack(&record);
        let unpacked = trace.record();
        assert!(unpacked.receivers.len() > 100, "{}", unpacked.receivers.len());
        assert_eq!((unpacked.receivers.len() + unpacked.left_out, unpacked.absent.len()), (1_007, 0));
        assert!(trace.text.len() < 2 * TEXT_BYTES_MAX, "{}", trace.text.len());
    }
}
