//! The trace that a message leaves: everything of it but its payload, packed into one text.
//!
//! That is what makes traces cheap for publishers. Holding the names and ids one by one costs more than twice as much:
//! to share each of them, and to free each of them thousands of messages later.

use std::time::{Duration, Instant};

use super::passage::{Passage, Receiver};
use crate::broker::wire::Fate;
use crate::message::{ActivityId, InstanceId, Message, MessageId, MessageName, Payload, Role, TextError};

/// How long the text may grow by receivers; those beyond it are only counted.
const TEXT_BYTES_MAX: usize = 4 * 1024;

/// What is enough for most.
const TEXT_BYTES_USUAL: usize = 256;

/// The trace of one message.
///
/// Lines of `text`: activity, id, name, public name, sender, instance, what it answers; then three for each receiver
/// (role, instance, name) and one for each awaited role; the rest is the detail. No name and no id has a line break, and
/// none is empty: an empty line is none, and for the public name and a receiver's the same as the name before.
#[derive(Debug)]
pub(crate) struct Trace {
    text: String,
    /// When it was routed or stopped.
    pub(crate) at: Instant,
    response_time: Option<Duration>,
    payload_bytes: usize,
    receivers: usize,
    awaited: usize,
    left_out: usize,
    fate: Fate,
    /// Only where payloads may be shown; the record does not keep it.
    pub(crate) payload: Option<Payload>,
}

impl Trace {
    /// The trace of a message that is routed to nobody yet.
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
            awaited: 0,
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

    /// Adds a receiver; `name` is none if it calls the message as everybody else does. Before all awaited roles.
    pub(super) fn receiver(&mut self, role: &Role, instance: Option<&InstanceId>, name: Option<&MessageName>) {
        assert!(self.awaited == 0, "receivers stand before the roles that are awaited");
        if self.is_full() {
            return;
        }
        self.line(role.as_str());
        self.line(instance.map_or("", |instance| instance.as_str()));
        self.line(name.map_or("", |name| name.as_str()));
        self.receivers += 1;
    }

    /// Adds a role that is awaited.
    pub(super) fn awaited(&mut self, role: &Role) {
        if !self.is_full() {
            self.line(role.as_str());
            self.awaited += 1;
        }
    }

    /// The same message, if it goes to nobody.
    pub(super) fn stopped(mut self, fate: Fate, detail: &str) -> Self {
        assert!(self.receivers + self.awaited == 0, "what is stopped goes to nobody");
        self.fate = fate;
        self.text.push_str(detail);
        self
    }

    /// Whether it belongs to this activity.
    pub(crate) fn is_of(&self, activity: &ActivityId) -> bool {
        self.text.strip_prefix(activity.as_str()).is_some_and(|rest| rest.starts_with('\n'))
    }

    /// What it tells.
    pub(crate) fn passage(&self) -> Passage {
        self.read().expect("the texts were checked before they were written here")
    }

    /// Whether there is no room for another receiver, which is counted.
    fn is_full(&mut self) -> bool {
        let full = self.text.len() >= TEXT_BYTES_MAX;
        self.left_out += usize::from(full);
        full
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn read(&self) -> Result<Passage, TextError> {
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
        let awaited = (0..self.awaited).map(|_| Role::parse(line())).collect::<Result<_, _>>()?;
        Ok(Passage {
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
            awaited,
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

    fn passage() -> impl Strategy<Value = Passage> {
        let names = (text(), text(), text(), "(a|b)");
        let optional = (proptest::option::of(text()), proptest::option::of(text()), proptest::option::of(text()));
        let lists = (proptest::collection::vec(receiver(), 0..4), proptest::collection::vec(text(), 0..3));
        let fate = prop_oneof![
            lists.prop_map(|(receivers, awaited)| (receivers, awaited, None)),
            "(?s).{1,20}".prop_map(|detail| (Vec::new(), Vec::new(), Some(detail))),
        ];
        let micros = proptest::option::of(0_u64..9);
        (names, optional, fate, micros).prop_map(|(names, optional, (receivers, awaited, detail), micros)| Passage {
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
            awaited: awaited.iter().map(|text| Role::parse(text).unwrap()).collect(),
            left_out: 0,
            payload_bytes: 0,
            fate: if detail.is_some() { Fate::Forbidden } else { Fate::Routed },
            detail,
        })
    }

    /// The trace that the rules would leave of it.
    fn trace(passage: &Passage) -> Trace {
        let Passage { at, id, name, public, sender, origin, activity, response_to, response_time, .. } = passage;
        let (sender, response_to) = (sender.clone(), response_to.clone());
        let message = Message { sender, response_to, ..Message::new(id.clone(), name.clone()) };
        let mut trace = Trace::new(*at, &message, (public, activity), origin.as_ref(), *response_time);
        for Receiver { role, instance, name } in &passage.receivers {
            trace.receiver(role, instance.as_ref(), Some(name).filter(|name| *name != public));
        }
        passage.awaited.iter().for_each(|role| trace.awaited(role));
        match &passage.detail {
            Some(detail) => trace.stopped(Fate::Forbidden, detail),
            None => trace,
        }
    }

    proptest! {
        #[test]
        fn a_trace_tells_what_was_written(passage in passage()) {
            let trace = trace(&passage);
            for activity in ["a", "b", "ab"] {
                let activity = ActivityId::parse(activity).unwrap();
                prop_assert_eq!(trace.is_of(&activity), passage.activity == activity);
            }
            prop_assert_eq!(format!("{:?}", trace.passage()), format!("{passage:?}"));
        }
    }

    #[test]
    fn receivers_beyond_the_bound_are_counted() {
        let mut runner = TestRunner::deterministic();
        let mut passage = passage().new_tree(&mut runner).unwrap().current();
        let receiver = receiver().new_tree(&mut runner).unwrap().current();
        passage.receivers = vec![receiver; 1_000];
        passage.awaited = vec![Role::parse("log").unwrap(); 7];
        passage.detail = None;
        let trace = trace(&passage);
        let told = trace.passage();
        assert!(told.receivers.len() > 100, "{}", told.receivers.len());
        assert_eq!((told.receivers.len() + told.left_out, told.awaited.len()), (1_007, 0));
        assert!(trace.text.len() < 2 * TEXT_BYTES_MAX, "{}", trace.text.len());
    }
}
